"""Workers under test: in this process for what they say, as processes of their own for what kills them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import psutil
import pytest
from tunebus.contracts.subjects import Subjects
from tunebus.services.platform.connection import BusClient
from tunebus.services.platform.home import Home
from tunebus.services.platform.process import Service
from tunebus.services.platform.settings import Settings
from tunebus.services.platform.worker.attempt import WorkerKind
from tunebus.services.platform.worker.worker import serve

from tests.integration.services.platform.worker.fakes import COMMAND, FakeRegistry, verify

KIND = WorkerKind("trainer", "fine_tuning_job", COMMAND, verify)


@pytest.fixture
def home(bus_settings: Settings) -> Home:
    return Home(bus_settings.home, bus_settings.artifacts).create()


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"question": "?", "answer": "!"}\n')
    return path


@pytest.fixture
async def registry(nats_client: BusClient, bus: Subjects, home: Home) -> FakeRegistry:
    return await FakeRegistry(nats_client, bus, home.artifact_root_id()).start()


class Running:
    """A worker inside the test's process; `stop` is what SIGTERM would do."""

    def __init__(self, name: str, settings: Settings) -> None:
        self.service = Service(name, settings)
        self.task = asyncio.create_task(serve(self.service, KIND))

    async def stop(self, seconds: float = 25.0) -> None:
        self.service.stop.set()
        await asyncio.wait_for(self.task, seconds)


@pytest.fixture
async def start_worker(home: Home, bus: Subjects, bus_settings: Settings) -> AsyncIterator[Callable[..., Running]]:
    """`start_worker(name="trainer", **settings)`; every worker is stopped at the end."""
    started: list[Running] = []

    def start(name: str = "trainer", **changes: object) -> Running:
        running = Running(name, bus_settings.model_copy(update=changes))
        started.append(running)
        return running

    yield start
    for running in started:
        if not running.task.done():
            await running.stop()


class Process:
    """A worker in a process of its own."""

    def __init__(self, name: str, settings: Settings, log: Path) -> None:
        assert settings.nats_url is not None
        self.log = log
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, str(Path(__file__).with_name("worker_process.py")), name],
                env={
                    **{key: value for key, value in os.environ.items() if not key.startswith("TUNEBUS_")},
                    "TUNEBUS_HOME": str(settings.home),
                    "TUNEBUS_NATS_URL": settings.nats_url.get_secret_value(),
                    "TUNEBUS_NAMESPACE": settings.namespace,
                    "HF_TOKEN": "hf_abcdefghijklmnop",
                },
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )

    @property
    def pid(self) -> int:
        return self.process.pid

    def child(self) -> psutil.Process | None:
        children = psutil.Process(self.pid).children()
        return children[0] if children else None

    def signal(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(10)


@pytest.fixture
def start_process(
    home: Home, bus: Subjects, bus_settings: Settings, tmp_path: Path
) -> Iterator[Callable[..., Process]]:
    """`start_process(name="trainer")`; every process is killed at the end."""
    started: list[Process] = []

    def start(name: str = "trainer") -> Process:
        process = Process(name, bus_settings, tmp_path / f"{name}.log")
        started.append(process)
        return process

    yield start
    for process in started:
        with contextlib.suppress(ProcessLookupError):
            process.signal(signal.SIGCONT)
        process.kill()
