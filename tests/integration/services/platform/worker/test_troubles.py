"""What must not cost a job: a silent registry, a bus that is away, a worker that is killed, paused or told to go."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
from tunebus.contracts.subjects import Subjects
from tunebus.services.platform import topology
from tunebus.services.platform.connection import connect_to
from tunebus.services.platform.home import Home
from tunebus.services.platform.process import Service
from tunebus.services.platform.server import NatsServer
from tunebus.services.platform.settings import load_settings
from tunebus.services.platform.worker.worker import serve

from tests.integration.services.platform.worker.conftest import KIND, Process, Running
from tests.integration.services.platform.worker.fakes import LEASE_SECONDS, FakeRegistry, eventually


def child_of(registry: FakeRegistry, job: str) -> int:
    return int(registry.of(job)[0].data["resolved"]["pid"])


def is_dead(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


async def test_a_silent_registry_stops_no_child(
    registry: FakeRegistry, start_worker: Callable[..., Running], dataset: Path, home: Home
) -> None:
    job = registry.add_job(dataset, {"steps": 110, "pause": 0.05, "save_every": 25})
    start_worker()
    await eventually(lambda: registry.of(job), "the attempt runs")
    registry.silent = True
    result = home.artifacts / "jobs" / job / "attempt-1" / "result.json"
    await eventually(result.exists, "the child's own end, more than three leases later", 30)
    assert registry.last(job) is None
    registry.silent = False
    await eventually(lambda: registry.last(job), "the report", 30)
    assert registry.names(job) == ["ReportAttemptRunning", *["RecordCheckpoint"] * 4, "CompleteAttempt"]


async def test_nothing_is_missing_after_the_bus_was_away(
    private_nats_server: NatsServer, tmp_path: Path, dataset: Path
) -> None:
    settings = load_settings({}, home=tmp_path / "home", nats_url=private_nats_server.url, namespace="away")
    home = Home(settings.home, settings.artifacts).create()
    client = await connect_to(private_nats_server.url, "test", wait=10)
    subjects = Subjects("away")
    await topology.apply(client, subjects)
    registry = await FakeRegistry(client, subjects, home.artifact_root_id()).start()
    job = registry.add_job(dataset, {"steps": 150, "pause": 0.02, "save_every": 30})
    service = Service("trainer", settings)
    worker = asyncio.create_task(serve(service, KIND))
    try:
        await eventually(lambda: registry.of(job), "the attempt runs")
        private_nats_server.kill()
        result = home.artifacts / "jobs" / job / "attempt-1" / "result.json"
        await eventually(result.exists, "the child's end while the bus is away", 30)
        private_nats_server.start()
        await eventually(lambda: registry.last(job), "the report", 60)
        assert registry.names(job) == ["ReportAttemptRunning", *["RecordCheckpoint"] * 5, "CompleteAttempt"]
        records = {record["n"]: record for record in await registry.telemetry(job)}
        assert [r["step"] for _, r in sorted(records.items()) if r["k"] == "metric"] == list(range(1, 151))
    finally:
        service.stop.set()
        await asyncio.wait_for(worker, 30)
        await client.close()


async def test_a_killed_worker_takes_its_child_with_it_and_its_successor_reports_both(
    registry: FakeRegistry, start_process: Callable[..., Process], dataset: Path, home: Home
) -> None:
    job = registry.add_job(dataset, {"steps": 10_000, "pause": 0.002, "save_every": 100, "deaf": True})
    worker = start_process()
    await eventually(lambda: "RecordCheckpoint" in registry.names(job), "a checkpoint")
    pid = child_of(registry, job)
    worker.kill()
    await eventually(lambda: is_dead(pid), "the child's death", 10)
    start_process()
    report = await eventually(lambda: registry.last(job), "the successor's report")
    assert (report.name, report.data["cause"]) == ("FailAttempt", "worker_shutdown")
    folder = home.artifacts / "jobs" / job / "attempt-1"
    spooled = [json.loads(line)["n"] for line in (folder / "telemetry.jsonl").read_bytes().splitlines()]
    sent = [record["n"] for record in await registry.telemetry(job)]
    assert sent == spooled, "every record once, in order"
    saved = sorted(int(path.name.removeprefix("step-")) for path in (folder / "checkpoints").glob("step-*"))
    reported = [report.data["step"] for report in registry.of(job) if report.name == "RecordCheckpoint"]
    assert reported == saved


async def test_a_job_that_finished_unreported_is_completed_by_the_next_worker(
    registry: FakeRegistry, start_process: Callable[..., Process], dataset: Path, home: Home
) -> None:
    job = registry.add_job(dataset, {"steps": 40, "pause": 0.02, "last_words": "that was it"})
    worker = start_process()
    await eventually(lambda: registry.of(job), "the attempt runs")
    registry.silent = True
    await eventually((home.artifacts / "jobs" / job / "attempt-1" / "result.json").exists, "the child's end")
    worker.kill()
    registry.silent = False
    start_process()
    report = await eventually(lambda: registry.last(job), "the successor's report")
    assert (report.name, report.data["outcome"], report.data["step"]) == ("CompleteAttempt", "finished", 40)
    records = await registry.telemetry(job)
    assert [record["n"] for record in records] == list(range(1, len(records) + 1))
    assert "".join(record["text"] for record in records if record["k"] == "log").endswith("that was it\n")


async def test_a_paused_worker_that_lost_its_lease_ends_its_child_first_thing(
    registry: FakeRegistry, start_process: Callable[..., Process], dataset: Path
) -> None:
    job = registry.add_job(dataset, {"steps": 10_000, "pause": 0.01, "save_every": 50})
    worker = start_process()
    await eventually(lambda: registry.of(job), "the attempt runs")
    pid = child_of(registry, job)
    worker.signal(signal.SIGSTOP)
    registry.stale.add((job, 1))
    before = registry.names(job)
    paused = asyncio.get_running_loop().time()
    await eventually(lambda: asyncio.get_running_loop().time() - paused > 1.2 * LEASE_SECONDS, "the lease is over")
    assert not is_dead(pid)
    worker.signal(signal.SIGCONT)
    await eventually(lambda: is_dead(pid), "the child's death", 10)
    following = registry.add_job(dataset)
    await registry.ring(following)
    await eventually(lambda: registry.last(following), "the worker works on")
    assert registry.names(job) == before


async def test_a_worker_told_to_go_saves_reports_and_leaves_nothing(
    registry: FakeRegistry, start_process: Callable[..., Process], dataset: Path
) -> None:
    job = registry.add_job(dataset, {"steps": 10_000, "pause": 0.02})
    worker = start_process()
    await eventually(lambda: registry.of(job), "the attempt runs")
    pid = child_of(registry, job)
    worker.signal(signal.SIGTERM)
    code = await asyncio.to_thread(worker.process.wait, 20)
    assert code == 0
    assert is_dead(pid)
    assert registry.names(job)[-2:] == ["RecordCheckpoint", "FailAttempt"]
    assert registry.of(job)[-1].data["cause"] == "worker_shutdown"


async def test_a_worker_told_to_go_is_not_held_up_by_a_silent_registry(
    registry: FakeRegistry, start_process: Callable[..., Process], dataset: Path
) -> None:
    job = registry.add_job(dataset, {"steps": 10_000, "pause": 0.02})
    worker = start_process()
    await eventually(lambda: registry.of(job), "the attempt runs")
    registry.silent = True
    worker.signal(signal.SIGTERM)
    assert await asyncio.to_thread(worker.process.wait, 20) == 0
    registry.silent = False
    start_process()
    report = await eventually(lambda: registry.last(job), "the successor's report")
    assert report.data["cause"] == "worker_shutdown"
    assert [name for name in registry.names(job) if name == "RecordCheckpoint"] == ["RecordCheckpoint"]


async def test_a_child_that_ignores_the_end_is_killed(
    registry: FakeRegistry, start_process: Callable[..., Process], dataset: Path
) -> None:
    job = registry.add_job(dataset, {"steps": 10_000, "pause": 0.02, "deaf": True, "end": "linger"})
    worker = start_process()
    await eventually(lambda: registry.of(job), "the attempt runs")
    pid = child_of(registry, job)
    os.kill(pid, signal.SIGSTOP)
    worker.signal(signal.SIGTERM)
    assert await asyncio.to_thread(worker.process.wait, 25) == 0
    assert is_dead(pid)
    report: Any = registry.last(job)
    assert report.data["cause"] == "worker_shutdown"
