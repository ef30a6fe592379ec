"""The projector on a real server: telemetry becomes rows, wrong messages become dead letters, nothing is lost."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, func, select
from tunebus.contracts import strictjson
from tunebus.contracts.errors import Code, fail
from tunebus.contracts.rpc import RECORD_DEAD_LETTER, RecordDeadLetter
from tunebus.contracts.subjects import Subjects
from tunebus.projections import telemetry
from tunebus.services.platform import database, topology
from tunebus.services.platform.connection import BusClient
from tunebus.services.platform.publish import publish
from tunebus.services.platform.pull import StandingPull
from tunebus.services.platform.settings import Settings
from tunebus.services.projector.ingestion import Ingestion
from tunebus.services.projector.parsing import Rows
from tunebus.services.projector.store import Store

JOB = "0197a3f2-7c00-7000-8000-000000000001"
DEADLINE = 60.0


def body(first: int, count: int = 10, attempt: int = 1) -> bytes:
    records = [
        {"k": "metric", "n": n, "t": 0.0, "step": n, "values": {"loss": 1.0 / (n + 1)}}
        for n in range(first, first + count)
    ]
    return strictjson.dumps({"v": 1, "job_id": JOB, "attempt": attempt, "records": records})


async def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass"
        await asyncio.sleep(0.02)


class Studio:
    """A projector in this process, and what it was given and wrote."""

    def __init__(self, client: BusClient, subjects: Subjects, engine: Engine) -> None:
        self.client, self.subjects, self.engine = client, subjects, engine
        self.store = Store(engine)
        self.letters: list[RecordDeadLetter] = []
        self.registry_away = False

    def ingestion(self) -> Ingestion:
        pull = StandingPull(self.client, self.subjects.telemetry_stream, topology.PROJECTOR)
        return Ingestion(pull, self.store, self.record)

    async def record(self, letter: RecordDeadLetter) -> None:
        if self.registry_away:
            raise fail(Code.UNAVAILABLE, "no reply")
        self.letters.append(letter)

    async def send(self, data: bytes, attempt: int = 1) -> None:
        subject = self.subjects.telemetry(JOB, attempt)
        await publish(self.client.jetstream(), subject, data, stream=self.subjects.telemetry_stream)

    def steps(self) -> list[int]:
        with database.read(self.engine) as connection:
            return telemetry.curves(connection, JOB)["series"].get("loss", {"steps": []})["steps"]

    async def unsettled(self) -> int:
        info = await self.client.jsm().consumer_info(self.subjects.telemetry_stream, topology.PROJECTOR)
        return (info.num_pending or 0) + (info.num_ack_pending or 0)

    async def until_settled(self) -> None:
        deadline = time.monotonic() + DEADLINE
        while await self.unsettled():
            assert time.monotonic() < deadline, "messages stay unacknowledged"
            await asyncio.sleep(0.02)


@pytest.fixture
async def studio(nats_client: BusClient, bus: Subjects, database_url: str) -> AsyncIterator[Studio]:
    engine = database.open_engine(database_url, synchronous="NORMAL")
    made = Studio(nats_client, bus, engine)
    made.store.create()
    yield made
    engine.dispose()


async def test_what_is_sent_becomes_rows_once_and_is_acknowledged(studio: Studio) -> None:
    ingestion = studio.ingestion()
    running = asyncio.create_task(ingestion.run())
    for first in range(0, 500, 10):
        await studio.send(body(first))
        await studio.send(body(first))  # a sender that got no acknowledgement sends again
    await studio.until_settled()
    assert studio.steps() == list(range(500))
    assert studio.letters == []
    await ingestion.stop()
    await running


async def test_wrong_messages_are_dead_letters_and_hold_nobody_up(studio: Studio) -> None:
    ingestion = studio.ingestion()
    running = asyncio.create_task(ingestion.run())
    wrong = [b"", b"\xff", b"{", b"[]", b"[" * 50_000, body(0, attempt=7), strictjson.dumps({"job_id": JOB})]
    partly = json.loads(body(30))
    partly["records"][3]["values"] = {"loss": "many"}
    for first, data in enumerate([*wrong, strictjson.dumps(partly)]):
        await studio.send(body(first * 10 + 100))
        await studio.send(data)
    await studio.until_settled()

    assert [base64.b64decode(letter.data) for letter in studio.letters] == [*wrong, strictjson.dumps(partly)]
    assert all(letter.reason.startswith("malformed: ") for letter in studio.letters)
    assert {letter.consumer for letter in studio.letters} == {topology.PROJECTOR}
    assert studio.steps() == [*(n for n in range(30, 40) if n != 33), *range(100, 180)]
    await ingestion.stop()
    await running


async def test_a_dead_letter_waits_for_the_registry(studio: Studio) -> None:
    studio.registry_away = True
    ingestion = studio.ingestion()
    running = asyncio.create_task(ingestion.run())
    await studio.send(b"no telemetry")
    await studio.send(body(0))
    await until(lambda: studio.steps() == list(range(10)))
    assert await studio.unsettled() == 1, "terminated before it was recorded"
    studio.registry_away = False
    await studio.until_settled()
    assert len(studio.letters) == 1
    await ingestion.stop()
    await running


async def test_a_database_that_is_away_costs_no_point_and_no_delivery(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, failures = studio.store.write, 5

    def away(rows: Rows) -> None:
        nonlocal failures
        if failures:
            failures -= 1
            raise fail(Code.DISK_FULL, "the database cannot grow")
        write(rows)

    monkeypatch.setattr(studio.store, "write", away)
    monkeypatch.setattr("tunebus.services.projector.ingestion._FIRST_PAUSE", 0.01)
    ingestion = studio.ingestion()
    await studio.send(body(0))
    running = asyncio.create_task(ingestion.run())
    await studio.until_settled()
    assert failures == 0
    assert studio.steps() == list(range(10))
    assert studio.letters == []
    await ingestion.stop()
    await running


async def test_rows_that_a_database_refuses_cost_only_their_own_message(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = studio.store.write

    def refuses(rows: Rows) -> None:
        if any(row[2] == 13 for row in rows.metrics):
            raise ValueError("no such step")
        write(rows)

    monkeypatch.setattr(studio.store, "write", refuses)
    for first in (0, 10, 20):
        await studio.send(body(first))
    ingestion = studio.ingestion()
    running = asyncio.create_task(ingestion.run())
    await studio.until_settled()
    assert studio.steps() == [*range(10), *range(20, 30)]
    assert [json.loads(base64.b64decode(letter.data))["records"][3]["step"] for letter in studio.letters] == [13]
    await ingestion.stop()
    await running


async def test_nothing_is_acknowledged_before_it_is_kept(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    write = studio.store.write
    entered, go_on = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def slowly(rows: Rows) -> None:
        loop.call_soon_threadsafe(entered.set)
        asyncio.run_coroutine_threadsafe(go_on.wait(), loop).result(DEADLINE)
        write(rows)

    monkeypatch.setattr(studio.store, "write", slowly)
    ingestion = studio.ingestion()
    running = asyncio.create_task(ingestion.run())
    await studio.send(body(0))
    await asyncio.wait_for(entered.wait(), DEADLINE)
    assert await studio.unsettled() == 1
    assert studio.steps() == []
    go_on.set()
    await studio.until_settled()
    assert studio.steps() == list(range(10))
    await ingestion.stop()
    await running


def start(settings: Settings) -> subprocess.Popen[bytes]:
    environment = {
        **os.environ,
        "TUNEBUS_HOME": str(settings.home),
        "TUNEBUS_NAMESPACE": settings.namespace,
        "TUNEBUS_NATS_URL": settings.nats_url.get_secret_value() if settings.nats_url else "",
    }
    return subprocess.Popen([sys.executable, "-m", "tunebus.services.projector"], env=environment)


def state(settings: Settings) -> dict[str, Any]:
    file: Path = settings.home / "services" / "projector.json"
    return json.loads(file.read_text()) if file.exists() else {}


async def test_the_process_survives_kill_9_without_losing_or_doubling_a_point(
    bus_settings: Settings, bus: Subjects, nats_client: BusClient
) -> None:
    async def send(first: int) -> None:
        subject = bus.telemetry(JOB, 1)
        await publish(nats_client.jetstream(), subject, body(first), stream=bus.telemetry_stream)

    def count() -> int:
        with engine.connect() as connection:
            return connection.scalar(select(func.count()).select_from(telemetry.metrics)) or 0

    process = start(bus_settings)
    try:
        await until(lambda: state(bus_settings).get("state") == "ready")
        engine = create_engine(bus_settings.telemetry_url)
        for first in range(0, 3000, 10):
            await send(first)
            if first == 1500:
                process.kill()
                process.wait()
                process = start(bus_settings)
        await until(lambda: count() == 3000)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=DEADLINE) == 0
        engine.dispose()
    finally:
        process.kill()
        process.wait()


async def test_the_process_refuses_to_start_without_its_consumer(bus_settings: Settings) -> None:
    process = start(bus_settings)
    try:
        assert await asyncio.to_thread(process.wait, DEADLINE) == 5  # topology drift
    finally:
        process.kill()
        process.wait()


async def test_a_dead_letter_reaches_the_registry_by_rpc(
    bus_settings: Settings, bus: Subjects, nats_client: BusClient
) -> None:
    received: asyncio.Queue[bytes] = asyncio.Queue()

    async def registry(message: Any) -> None:
        received.put_nowait(message.data)
        await message.respond(b"{}")

    await nats_client.subscribe(bus.rpc(RECORD_DEAD_LETTER), cb=registry)
    process = start(bus_settings)
    try:
        await publish(nats_client.jetstream(), bus.telemetry(JOB, 1), b"what is this", stream=bus.telemetry_stream)
        letter = RecordDeadLetter.model_validate_json(await asyncio.wait_for(received.get(), DEADLINE))
        assert base64.b64decode(letter.data) == b"what is this"
        assert letter.subject == bus.telemetry(JOB, 1)
    finally:
        process.kill()
        process.wait()
