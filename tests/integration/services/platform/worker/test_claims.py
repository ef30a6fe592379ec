"""How jobs come to workers: one claim each, by the bell or without it, and never to a worker that cannot do them."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from pathlib import Path

import pytest
from tunebus.services.platform.home import Home
from tunebus.services.platform.worker import worker
from tunebus.services.platform.worker.calls import Registry

from tests.integration.services.platform.worker.conftest import Running
from tests.integration.services.platform.worker.fakes import FakeRegistry, eventually

Start = Callable[..., Running]


async def test_a_bell_is_answered_by_a_claim(registry: FakeRegistry, start_worker: Start, dataset: Path) -> None:
    start_worker(idle_claim_seconds=600)
    await eventually(lambda: registry.claims, "the claim at the start")
    job = registry.add_job(dataset)
    await registry.ring(job)
    await eventually(lambda: registry.last(job), "the job's end")


async def test_a_bell_is_acknowledged_after_the_claim(
    registry: FakeRegistry, start_worker: Start, dataset: Path
) -> None:
    start_worker(idle_claim_seconds=600)
    await registry.ring(registry.add_job(dataset))
    await eventually(lambda: registry.reports, "a report")
    stream = registry.subjects.events_stream

    async def unanswered() -> int:
        info = await registry.client.jsm().consumer_info(stream, "trainer")
        return (info.num_ack_pending or 0) + (info.num_pending or 0)

    for _ in range(200):
        if await unanswered() == 0:
            break
        await asyncio.sleep(0.05)
    assert await unanswered() == 0


async def test_an_idle_worker_asks_without_a_bell(registry: FakeRegistry, start_worker: Start, dataset: Path) -> None:
    start_worker(idle_claim_seconds=0.3)
    await eventually(lambda: len(registry.claims) >= 2, "a second claim")
    job = registry.add_job(dataset)
    await eventually(lambda: registry.last(job), "the job's end")


async def test_two_workers_share_jobs_and_work_at_once(
    registry: FakeRegistry, start_worker: Start, dataset: Path
) -> None:
    jobs = [registry.add_job(dataset, {"steps": 4, "pause": 0.1}) for _ in range(6)]
    start_worker("trainer")
    start_worker("trainer-2")
    await eventually(lambda: all(registry.last(job) for job in jobs), "all jobs done", 60)
    workers: dict[str, str] = {beat.job_id: beat.worker_id for beat in registry.beats}
    assert len(set(workers.values())) == 2
    for job in jobs:
        assert registry.names(job) == ["ReportAttemptRunning", "CompleteAttempt"]


async def test_a_lost_reply_is_asked_for_again_under_the_same_claim(
    registry: FakeRegistry, start_worker: Start, dataset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "Registry", functools.partial(Registry, timeout=0.5))
    registry.silent = True
    job = registry.add_job(dataset)
    asked = await registry.client.subscribe(registry.subjects.rpc("ClaimJob"))
    start_worker()
    first, second = await asked.next_msg(20), await asked.next_msg(20)
    assert first.data == second.data
    registry.silent = False
    await eventually(lambda: registry.last(job), "the job's end", 30)
    assert len(registry.given) - len([reply for reply in registry.given.values() if not reply.assignment]) == 1


async def test_a_worker_without_the_artifact_root_does_not_claim(
    registry: FakeRegistry, start_worker: Start, dataset: Path, home: Home
) -> None:
    home.artifacts.rename(home.artifacts.with_name("elsewhere"))
    job = registry.add_job(dataset)
    running = start_worker(idle_claim_seconds=0.2)
    await eventually(lambda: (home.folder / "services" / "trainer.json").exists(), "the worker is ready")
    await registry.ring(job)
    await asyncio.wait({running.task}, timeout=1.0)
    assert registry.claims == []
    home.artifacts.with_name("elsewhere").rename(home.artifacts)
    await eventually(lambda: registry.last(job), "the job's end")


async def test_a_bad_bell_becomes_a_dead_letter_and_the_next_one_rings(
    registry: FakeRegistry, start_worker: Start, dataset: Path
) -> None:
    start_worker(idle_claim_seconds=600)
    await eventually(lambda: registry.claims, "the claim at the start")
    await registry.ring_raw(b"\xff not an event")
    await registry.ring_raw(b'{"type": "JobQueued"}')
    await eventually(lambda: len(registry.letters) == 2, "two dead letters")
    assert "UTF-8" in registry.letters[0].reason
    assert registry.letters[1].consumer == "trainer"
    job = registry.add_job(dataset)
    await registry.ring(job)
    await eventually(lambda: registry.last(job), "the job's end")
