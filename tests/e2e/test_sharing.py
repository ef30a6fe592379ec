"""Two trainers and one queue: each job is claimed once, both work at once, and a paused trainer is fenced off."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import psutil
import pytest
from tunebus.contracts.client import Client

from tests.fixtures.studio import Studio, eventually
from tests.torture.killing import Killing, is_dead

SMALL = {
    "base_model_id": "starter",
    "dataset_id": "starter-questions",
    "batch_size": 2,
    "max_length": 64,
    "dataset_fraction": 0.1,
    "train_test_split": 0.9,
    "eval_steps": 1000,
}


def start_job(client: Client, **settings: Any) -> str:
    eventually(lambda: client.query("ListDatasets", {})["items"], "the starter questions", 60)
    outcome = client.send("StartFineTuningJob", {**SMALL, **settings})
    assert outcome.id, outcome
    return outcome.id


def events_of(client: Client, job_id: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client.query("ListEvents", {"entity_id": job_id, "limit": 1000})["items"]
    return found


def state_of(client: Client, job_id: str) -> str:
    return str(client.query("GetFineTuningJob", {"id": job_id})["state"])


@pytest.mark.timeout(600)
def test_two_trainers_share_ten_jobs(make_studio: Callable[..., Studio]) -> None:
    studio = make_studio(TUNEBUS_TRAINERS="2")
    with studio.client() as client:
        jobs = [start_job(client, max_steps=3) for _ in range(10)]
        eventually(lambda: all(state_of(client, job) == "succeeded" for job in jobs), "ten successes", 400, interval=1)
        claims = Counter[str]()
        spans: dict[str, list[tuple[str, str]]] = {}
        for job in jobs:
            events = events_of(client, job)
            claimed = [event for event in events if event["type"] == "AttemptStarted"]
            assert len(claimed) == 1, [event["type"] for event in events]
            worker = claimed[0]["data"]["worker_id"]
            claims[worker] += 1
            ended = next(event for event in events if event["type"] == "JobSucceeded")
            spans.setdefault(worker, []).append((claimed[0]["recorded_at"], ended["recorded_at"]))
        assert len(claims) == 2, claims
        one, other = spans.values()
        assert any(a < d and c < b for a, b in one for c, d in other), "they never worked at once"


@pytest.mark.timeout(400)
def test_a_paused_trainer_is_refused_and_stops_its_child(make_studio: Callable[..., Studio]) -> None:
    studio = make_studio(TUNEBUS_TRAINERS="2", TUNEBUS_LEASE_SECONDS="3")
    with studio.client() as client:
        job_id = start_job(client, max_steps=250, save_steps=20)
        job = Killing(studio, job_id, seed=0, checkpoint_steps=20)
        eventually(lambda: job.progress()[1] > 20, "a first checkpoint", 120)
        worker = events_of(client, job_id)[2]["data"]["worker_id"]
        child = job.child()
        supervisor = child.parent()
        assert supervisor is not None
        supervisor.suspend()
        try:
            eventually(lambda: len(job.attempts()) == 2, "another trainer takes over", 120)
        finally:
            supervisor.resume()
        eventually(lambda: is_dead(child), "the child of the old attempt is dead", 60)
        eventually(lambda: state_of(client, job_id) in ("succeeded", "failed"), "the job's end", 200)
        events = events_of(client, job_id)
        assert events[-1]["type"] == "JobSucceeded"
        assert events[-1]["data"]["attempt"] == 2
        types = [event["type"] for event in events]
        assert types.count("AttemptLost") == 1
        second = [event for event in events if event["type"] == "AttemptStarted"][1]
        assert second["data"]["worker_id"] != worker
        after = types[types.index("AttemptLost") :]
        assert "AttemptFailed" not in after


@pytest.mark.timeout(300)
def test_a_paused_registry_loses_nobody_s_lease(make_studio: Callable[..., Studio]) -> None:
    studio = make_studio(TUNEBUS_LEASE_SECONDS="2")
    with studio.client() as client:
        job_id = start_job(client, max_steps=150, save_steps=50)
        job = Killing(studio, job_id, seed=0, checkpoint_steps=50)
        eventually(lambda: job.progress()[1] > 3, "training", 120)
        registry = psutil.Process(studio.pid("registry"))
        step = job.progress()[1]
        began = time.monotonic()
        registry.suspend()
        try:
            eventually(lambda: time.monotonic() - began > 6 and job.progress()[1] > step, "three leases go by", 60)
        finally:
            registry.resume()
        eventually(lambda: state_of(client, job_id) in ("succeeded", "failed"), "the job's end", 200)
        types = [event["type"] for event in events_of(client, job_id)]
        assert types[-1] in ("JobSucceeded", "AdapterAdded")
        assert "AttemptLost" not in types, json.dumps(types)
        assert types.count("AttemptStarted") == 1
