"""Claims, leases and fencing: one worker a job, whatever is retried, lost, paused or late."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from tunebus.contracts.client import AsyncClient
from tunebus.contracts.identifiers import new_id
from tunebus.contracts.subjects import Subjects
from tunebus.projections.tables import workers
from tunebus.services.platform import database, leases
from tunebus.services.platform.connection import connect_to
from tunebus.services.platform.home import Home
from tunebus.services.platform.ledger import load_streams
from tunebus.services.platform.settings import Settings
from tunebus.services.registry import reaper

from tests.fixtures.registry import Running, eventually

HASH = "0" * 64


async def queue(running: Running, count: int = 1, **fields: Any) -> list[str]:
    await running.things()
    return [
        await running.accepted("StartFineTuningJob", base_model_id="starter", dataset_id="faq", **fields)
        for _ in range(count)
    ]


async def beat(running: Running, job: str, attempt: int = 1, worker: str = "w1") -> dict[str, Any]:
    return await running.call("Heartbeat", {"worker_id": worker, "job_id": job, "attempt": attempt})


async def test_two_workers_share_ten_jobs_each_claimed_once(running: Running) -> None:
    queued = await queue(running, 10)

    async def work(worker: str) -> list[str]:
        got = []
        while (assignment := (await running.claim(worker)).assignment) is not None:
            assert assignment.attempt == 1
            got.append(assignment.job_id)
        return got

    first, second = await asyncio.gather(work("w1"), work("w2"))
    assert sorted(first + second) == sorted(queued)
    assert first
    assert second
    assert len(running.events("AttemptStarted")) == 10


async def test_jobs_are_given_out_in_the_order_they_were_queued(running: Running) -> None:
    queued = await queue(running, 3)
    got = [(await running.claim()).assignment.job_id for _ in range(3)]  # type: ignore[union-attr]
    assert got == queued


async def test_a_claim_that_is_repeated_gets_the_same_attempt(running: Running) -> None:
    await queue(running, 2)
    claim_id = new_id()
    first = (await running.claim(claim_id=claim_id)).assignment
    again = (await running.claim(claim_id=claim_id, memory_gb=3.0)).assignment
    assert first is not None
    assert again == first
    assert len(running.events("AttemptStarted")) == 1


async def test_a_late_repetition_gets_nothing_once_the_job_is_anothers(running: Running) -> None:
    (job,) = await queue(running)
    claim_id = new_id()
    await running.claim(claim_id=claim_id)
    await lose(running, job)
    assert (await running.claim("w2")).assignment is not None
    assert (await running.claim(claim_id=claim_id)).assignment is None


async def test_a_claim_leaves_nothing_when_there_is_nothing(running: Running) -> None:
    for _ in range(3):
        reply = await running.claim()
        assert reply.assignment is None
        assert reply.waiting_reason == "no job waits"
    assert running.outcomes() == 0
    listed = await running.client.query("ListWorkers", {})
    assert [worker["worker_id"] for worker in listed["items"]] == ["w1"]


async def test_what_no_worker_can_do_waits_and_says_why(running: Running) -> None:
    (job,) = await queue(running, num_gpu=1)
    reply = await running.claim()
    assert reply.assignment is None
    assert "1 GPU" in str(reply.waiting_reason)
    document = await running.client.query("GetFineTuningJob", {"id": job})
    assert document["state"] == "queued"
    assert "1 GPU" in document["waiting_reason"]
    assert (await running.claim("w2", gpus=["A"])).assignment is not None


async def test_a_job_that_fits_passes_one_that_does_not(running: Running) -> None:
    await queue(running, num_memory=64.0)
    small = await running.accepted("StartFineTuningJob", base_model_id="starter", dataset_id="faq")
    assignment = (await running.claim()).assignment
    assert assignment is not None
    assert assignment.job_id == small


async def test_a_worker_of_another_artifact_root_gets_nothing(running: Running) -> None:
    await queue(running)
    reply = await running.claim(artifact_root="elsewhere")
    assert reply.assignment is None
    assert "artifact root" in str(reply.waiting_reason)


async def test_an_assignment_holds_all_that_a_worker_needs(running: Running) -> None:
    (job,) = await queue(running)
    await running.claim()
    for step in (5, 10):
        uri = f"artifact:jobs/{job}/attempt-1/checkpoints/step-{step}"
        await running.accepted(
            "RecordCheckpoint", job_id=job, attempt=1, step=step, uri=uri, manifest_sha256=HASH, loss=1.0
        )
    await lose(running, job)
    assignment = (await running.claim("w2")).assignment
    assert assignment is not None
    assert (assignment.attempt, assignment.lease_seconds) == (2, running.settings.lease_seconds)
    assert [checkpoint["step"] for checkpoint in assignment.checkpoints] == [10, 5]
    assert assignment.recipe["dataset"]["format"] == "prompt"


async def test_a_heartbeat_renews_the_lease(running: Running) -> None:
    (job,) = await queue(running)
    await running.claim()
    with database.write(running.engine) as connection:
        leases.renew(connection, job, 1, "w1", 1.0)
    reply = await beat(running, job)
    assert reply == {"desired": "run", "stale_attempt": False, "lease_seconds": running.settings.lease_seconds}
    with database.read(running.engine) as connection:
        lease = leases.get(connection, job)
    assert lease is not None
    assert lease.expires_at > time.time()


async def test_a_heartbeat_says_what_is_wanted(running: Running) -> None:
    (job,) = await queue(running)
    await running.claim()
    await running.accepted("StopFineTuningJob", id=job)
    assert (await beat(running, job))["desired"] == "stop_after_checkpoint"
    await running.accepted("StopFineTuningJob", id=job, force=True)
    assert (await beat(running, job))["desired"] == "kill"


async def test_an_evaluation_asked_to_stop_is_killed(running: Running) -> None:
    await running.things()
    job = await running.accepted("StartEvaluationJob", combinations=[{"base_model_id": "starter", "dataset_id": "faq"}])
    assert (await running.claim()).assignment is None
    assert (await running.claim(kind="evaluation_job")).assignment is not None
    await running.accepted("StopEvaluationJob", id=job)
    assert (await beat(running, job))["desired"] == "kill"


@pytest.mark.parametrize(("attempt", "worker"), [(2, "w1"), (1, "w2")])
async def test_a_heartbeat_of_another_attempt_or_worker_is_stale(running: Running, attempt: int, worker: str) -> None:
    (job,) = await queue(running)
    await running.claim()
    reply = await beat(running, job, attempt, worker)
    assert (reply["stale_attempt"], reply["desired"]) == (True, "kill")


async def lose(running: Running, job: str) -> None:
    """As if the lease had run out while the registry could hear all along."""
    assert running.registry is not None
    with database.write(running.engine) as connection:
        lease = leases.get(connection, job)
        assert lease is not None
        leases.renew(connection, job, lease.attempt, lease.worker_id, 1.0)
    running.registry.hearing._since -= 10_000
    await running.registry.reaper.reap()


async def test_a_lease_that_runs_out_queues_the_job_for_another(running: Running) -> None:
    (job,) = await queue(running)
    await running.claim()
    await lose(running, job)
    with database.read(running.engine) as connection:
        events = load_streams(connection, [("fine_tuning_job", job)])["fine_tuning_job", job]
        assert [event.type for event in events][-2:] == ["AttemptLost", "JobQueued"]
        assert leases.get(connection, job) is None
    assert (await beat(running, job))["stale_attempt"] is True
    report = {"job_id": job, "attempt": 1}
    problem = await running.refused("ReportAttemptRunning", **report, total_steps=1)
    assert problem.code == "stale_attempt"
    assignment = (await running.claim("w2")).assignment
    assert assignment is not None
    assert assignment.attempt == 2
    assert (await running.refused("FailAttempt", **report, cause="crashed", message="x")).code == "stale_attempt"


async def test_no_lease_runs_out_before_the_registry_has_listened_for_a_whole_one(running: Running) -> None:
    (job,) = await queue(running)
    await running.claim()
    assert running.registry is not None
    with database.write(running.engine) as connection:
        leases.renew(connection, job, 1, "w1", 1.0)
    running.registry.hearing.deaf()
    assert await running.registry.reaper.reap() == []
    assert running.events("AttemptLost") == []


async def test_an_end_releases_the_lease(running: Running) -> None:
    (job,) = await queue(running)
    await running.claim()
    await running.accepted("FailAttempt", job_id=job, attempt=1, cause="bad_data", message="no rows")
    with database.read(running.engine) as connection:
        assert leases.get(connection, job) is None
    assert (await running.client.query("GetFineTuningJob", {"id": job}))["state"] == "failed"


async def test_a_worker_is_shown_with_its_job(running: Running) -> None:
    (job,) = await queue(running)
    await running.claim()
    with database.read(running.engine) as connection:
        assert connection.scalar(select(workers.c.job_id).where(workers.c.worker_id == "w1")) == job


class Process:
    """The registry in a process of its own, to be paused and killed."""

    def __init__(self, settings: Settings, lease_seconds: float) -> None:
        assert settings.nats_url is not None
        assert settings.database_url is not None
        self._home = settings.home
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("TUNEBUS_")},
            "TUNEBUS_HOME": str(settings.home),
            "TUNEBUS_NATS_URL": settings.nats_url.get_secret_value(),
            "TUNEBUS_DATABASE_URL": settings.database_url.get_secret_value(),
            "TUNEBUS_NAMESPACE": settings.namespace,
            "TUNEBUS_DATASET_ROOTS": os.pathsep.join(map(str, settings.dataset_roots)),
            "TUNEBUS_LEASE_SECONDS": str(lease_seconds),
        }
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Process:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tunebus.services.registry", env=self._environment
        )

        async def ready() -> bool:
            state = self._home / "services" / "registry.json"
            return state.exists() and json.loads(state.read_text())["state"] == "ready"

        await eventually(ready, "the registry is ready", 60)
        return self

    def signal(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    async def __aexit__(self, *_: object) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)
        self._process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(self._process.wait(), 30) == 0


async def test_a_registry_that_was_paused_loses_nobodys_lease(
    registry_settings: Settings, bus: Subjects, nats_url: str, tmp_path: Path
) -> None:
    lease = 2.0
    home = Home(registry_settings.home, registry_settings.artifacts).create()
    async with Process(registry_settings, lease) as process:
        own = await connect_to(nats_url, "test", wait=10)
        client = await AsyncClient.connect(nats_url, registry_settings.namespace, timeout=30)
        engine = database.open_engine(registry_settings.ledger_url)
        running = Running(
            registry_settings, bus, own, client, engine, registry_settings.dataset_roots[0], home.artifact_root_id()
        )
        try:
            kept, lost = await queue(running, 2)
            assert (await running.claim("w1")).assignment is not None
            assert (await running.claim("w2")).assignment is not None

            async def heartbeats() -> None:
                while True:
                    assert (await beat(running, kept))["stale_attempt"] is False
                    await asyncio.sleep(lease / 10)

            process.signal(signal.SIGSTOP)
            await asyncio.sleep(2 * lease)  # the pause itself: both leases run out, and nobody could say a word
            process.signal(signal.SIGCONT)
            await asyncio.sleep(lease / 2)  # the reaper looks twice before the worker is heard again
            beating = asyncio.create_task(heartbeats())

            async def second_lost() -> Any:
                return running.events("AttemptLost")

            (event, *more) = await eventually(second_lost, "the silent worker's lease runs out", 10 * lease)
            assert more == []
            assert event.entity_id == lost
            assert not beating.done()
            beating.cancel()
        finally:
            await client.close()
            await own.close()
            engine.dispose()


def test_the_reaper_looks_often_enough() -> None:
    assert reaper.interval(30) == 2.0
    assert reaper.interval(2) == 0.4
