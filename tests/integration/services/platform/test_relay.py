"""Every recorded event reaches the stream once and in order, whatever dies, and nobody else's events are carried on."""

from __future__ import annotations

import asyncio
import json
import os
import random
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import nats.errors
import pytest
from sqlalchemy import Engine, text
from tunebus.contracts.envelope import EventEnvelope
from tunebus.contracts.errors import Code, Problem, TunebusError
from tunebus.contracts.events import RecordedEvent
from tunebus.contracts.identifiers import new_id, timestamp
from tunebus.contracts.subjects import Subjects
from tunebus.services.platform import database, relay, schema, topology
from tunebus.services.platform.connection import BusClient, connect_to
from tunebus.services.platform.cursors import move_relay, relay_cursor
from tunebus.services.platform.process import end_tasks
from tunebus.services.platform.publish import publish
from tunebus.services.platform.relay import Relay
from tunebus.services.platform.server import NatsServer

from tests.fixtures.nats import until

_numbers = iter(range(1, 1_000_000))


def record(engine: Engine, count: int) -> list[str]:
    """Append events, each of an entity of its own; returns their ids."""
    rows = [
        {
            "event_id": new_id(),
            "stream_id": f"dataset/{new_id()}",
            "version": 1,
            "type": "DatasetAdded",
            "schema_version": 1,
            "data": {"name": f"faq {next(_numbers)}", "note": None, "size": "é"},
            "recorded_at": timestamp(),
            "meta": {},
        }
        for _ in range(count)
    ]
    with database.write(engine) as connection:
        connection.execute(schema.events.insert(), rows)
    return [str(row["event_id"]) for row in rows]


async def published(client: BusClient, subjects: Subjects) -> list[EventEnvelope]:
    """Everything on the events stream, in its order."""
    info = await client.jsm().stream_info(subjects.events_stream)
    messages = [
        await client.jsm().get_msg(subjects.events_stream, number)
        for number in range(info.state.first_seq, info.state.last_seq + 1)
        if info.state.messages
    ]
    return [EventEnvelope.model_validate_json(message.data or b"") for message in messages]


async def is_published(client: BusClient, subjects: Subjects, count: int) -> bool:
    try:
        return (await client.jsm(timeout=1).stream_info(subjects.events_stream)).state.messages >= count
    except nats.errors.Error:
        return False  # the server is away


@asynccontextmanager
async def relaying(client: BusClient, engine: Engine, subjects: Subjects, **options: Any) -> AsyncIterator[Relay]:
    """A relay that runs within the block; its errors are the block's."""
    stop, ready = asyncio.Event(), asyncio.Event()
    made = Relay(client, engine, subjects, **{"poll": 0.05, **options})
    task = asyncio.create_task(made.run(stop, ready.set))
    waiting = asyncio.create_task(ready.wait())
    await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    try:
        yield made
    finally:
        stop.set()
        await asyncio.wait_for(task, 10)


async def test_events_are_published_in_order_as_they_are(nats_client: BusClient, bus: Subjects, engine: Engine) -> None:
    ids = record(engine, 600)
    async with relaying(nats_client, engine, bus):
        await until(lambda: is_published(nats_client, bus, 600), "all are published")
        ids += record(engine, 2)
        await until(lambda: is_published(nats_client, bus, 602), "later ones too")
    found = await published(nats_client, bus)
    assert [event.id for event in found] == ids
    positions = [event.position for event in found]
    assert positions == sorted(set(positions))
    first = await nats_client.jsm().get_msg(bus.events_stream, 1)
    assert first.subject == f"{bus.namespace}.evt.dataset.{found[0].entity_id}.DatasetAdded"
    assert first.headers is not None
    assert first.headers["Nats-Msg-Id"] == ids[0]
    body = json.loads(first.data or b"")
    assert body["data"]["note"] is None
    assert body["data"]["size"] == "é"
    assert body["dataschema"].endswith(":1")
    assert "actor" not in body
    with database.read(engine) as connection:
        cursor = relay_cursor(connection, bus.events_stream)
    assert cursor is not None
    assert (cursor.position, cursor.stream_seq) == (positions[-1], 602)


async def test_a_nudge_is_quicker_than_the_poll(nats_client: BusClient, bus: Subjects, engine: Engine) -> None:
    async with relaying(nats_client, engine, bus, poll=60.0):
        record(engine, 1)
        await nats_client.publish(bus.relay_nudge)
        await until(lambda: is_published(nats_client, bus, 1), "the event is published", deadline=10)


async def test_a_killed_relay_goes_on_where_the_stream_ends(
    nats_client: BusClient, bus: Subjects, engine: Engine, database_url: str, nats_url: str, tmp_path: Path
) -> None:
    ids = record(engine, 1200)
    environment = {
        **os.environ,
        "TUNEBUS_HOME": str(tmp_path / "home"),
        "TUNEBUS_NATS_URL": nats_url,
        "TUNEBUS_DATABASE_URL": database_url,
        "TUNEBUS_NAMESPACE": bus.namespace,
    }
    for wanted in (1, 600, 1200):
        process = subprocess.Popen([sys.executable, "-m", "tunebus.services.registry.relay"], env=environment)
        try:
            await until(lambda count=wanted: is_published(nats_client, bus, count), f"{wanted} are published", 20)
        finally:
            process.kill()
            process.wait()
    assert [event.id for event in await published(nats_client, bus)] == ids


async def test_a_relay_cancelled_anywhere_publishes_nothing_twice(
    nats_client: BusClient, bus: Subjects, engine: Engine
) -> None:
    chance = random.Random(7)
    ids: list[str] = []
    for _ in range(25):
        ids += record(engine, chance.randrange(60))
        task = asyncio.create_task(Relay(nats_client, engine, bus, window=16).run(asyncio.Event()))
        await asyncio.wait({task}, timeout=chance.random() * 0.06)
        await end_tasks(task)
    async with relaying(nats_client, engine, bus):
        await until(lambda: is_published(nats_client, bus, len(ids)), "all are published")
    assert [event.id for event in await published(nats_client, bus)] == ids


async def test_an_old_cursor_doubles_nothing_after_the_duplicate_window(
    nats_client: BusClient, bus: Subjects, engine: Engine
) -> None:
    js = nats_client.jetstream()
    await js.update_stream((await js.stream_info(bus.events_stream)).config.evolve(duplicate_window=0.1))
    ids = record(engine, 5)
    async with relaying(nats_client, engine, bus):
        await until(lambda: is_published(nats_client, bus, 5), "all are published")
    with database.write(engine) as connection:
        move_relay(connection, bus.events_stream, 1, 1)
    await asyncio.sleep(0.2)  # the duplicate window passes
    async with relaying(nats_client, engine, bus):
        ids += record(engine, 1)
        await until(lambda: is_published(nats_client, bus, 6), "the new one is published")
    assert [event.id for event in await published(nats_client, bus)] == ids


@pytest.mark.parametrize("away", [0, 1], ids=["record-there", "record-away"])
async def test_a_lost_acknowledgement_doubles_nothing(
    nats_client: BusClient, bus: Subjects, engine: Engine, monkeypatch: pytest.MonkeyPatch, away: int
) -> None:
    """Also when the record cannot be read just when the stream is asked how far it got, and the server no longer
    remembers the ids."""
    monkeypatch.setattr(relay, "_ACK_TIMEOUT", 0.3)
    js = nats_client.jetstream()
    await js.update_stream((await js.stream_info(bus.events_stream)).config.evolve(duplicate_window=0.1))
    found, looks = Relay._position_of, [database.DatabaseError(Problem(code=Code.UNAVAILABLE, message="away"))] * away

    def position_of(of: Relay, message: Any) -> int:
        if lost and looks:
            raise looks.pop()
        return found(of, message)

    monkeypatch.setattr(Relay, "_position_of", position_of)
    lost: list[object] = []
    ids = record(engine, 20)
    async with relaying(nats_client, engine, bus) as running:
        await until(lambda: is_published(nats_client, bus, 20), "all are published")
        acknowledged = running._pipeline._acknowledged

        async def lose(message: Any) -> None:
            lost.append(message)

        assert running._pipeline._subscription is not None
        running._pipeline._subscription._cb = lose
        ids += record(engine, 3)
        await until(lambda: len(lost) >= 3, "acknowledgements are lost")
        running._pipeline._subscription._cb = acknowledged
        ids += record(engine, 3)
        await until(lambda: is_published(nats_client, bus, 26), "all are published")
    assert [event.id for event in await published(nats_client, bus)] == ids
    assert not looks


async def test_an_emptied_stream_stops_it_and_a_replay_repairs_it(
    nats_client: BusClient, bus: Subjects, engine: Engine
) -> None:
    ids = record(engine, 300)
    async with relaying(nats_client, engine, bus):
        await until(lambda: is_published(nats_client, bus, 300), "all are published")
    await nats_client.jsm().purge_stream(bus.events_stream)
    with pytest.raises(TunebusError, match="is empty, but events up to position") as refused:
        await Relay(nats_client, engine, bus).run(asyncio.Event())
    assert refused.value.problem.code is Code.CONFLICT
    assert "--replay" in (refused.value.problem.hint or "")
    # At once, well inside the duplicate window in which the server remembers every id.
    assert await Relay(nats_client, engine, bus).replay() == 300
    async with relaying(nats_client, engine, bus):
        ids += record(engine, 1)
        await until(lambda: is_published(nats_client, bus, 301), "it goes on")
    assert [event.id for event in await published(nats_client, bus)] == ids


async def test_an_interrupted_replay_is_finished_by_the_next_relay(
    nats_client: BusClient, bus: Subjects, engine: Engine
) -> None:
    ids = record(engine, 200)
    async with relaying(nats_client, engine, bus):
        await until(lambda: is_published(nats_client, bus, 200), "all are published")

    class Interrupted(Relay):
        async def _publish(self, events: Sequence[RecordedEvent]) -> None:
            if self._sequence >= 240:
                raise InterruptedError
            await super()._publish(events)

    with pytest.raises(InterruptedError):
        await Interrupted(nats_client, engine, bus, window=8).replay()
    assert (await nats_client.jsm().stream_info(bus.events_stream)).state.messages == 40
    async with relaying(nats_client, engine, bus):
        await until(lambda: is_published(nats_client, bus, 200), "the rest is published")
    assert [event.id for event in await published(nats_client, bus)] == ids


async def test_a_foreign_message_stops_it_by_name(nats_client: BusClient, bus: Subjects, engine: Engine) -> None:
    ids = record(engine, 3)
    subject = bus.event("dataset", "1", "DatasetAdded")
    running = asyncio.create_task(Relay(nats_client, engine, bus, poll=0.05).run(asyncio.Event()))
    await until(lambda: is_published(nats_client, bus, 3), "all are published")
    await publish(nats_client.jetstream(), subject, b'{"id":"x"}', stream=bus.events_stream)
    ids += record(engine, 1)
    with pytest.raises(TunebusError, match=r"somebody else publishes to stream .*message 4 ") as refused:
        await asyncio.wait_for(running, 10)
    assert refused.value.problem.code is Code.CONFLICT
    with pytest.raises(TunebusError, match="somebody else"):
        await Relay(nats_client, engine, bus).run(asyncio.Event())
    assert await Relay(nats_client, engine, bus).replay() == 4
    assert [event.id for event in await published(nats_client, bus)] == ids


async def test_a_stream_of_another_record_is_refused(
    nats_client: BusClient, bus: Subjects, engine: Engine, tmp_path: Path
) -> None:
    other = database.open_engine(f"sqlite:///{tmp_path / 'other.db'}")
    database.migrate(other)
    record(other, 5)
    async with relaying(nats_client, other, bus):
        await until(lambda: is_published(nats_client, bus, 5), "the other's are published")
    other.dispose()
    record(engine, 2)
    with pytest.raises(TunebusError, match="ahead of the record: it ends at position 5, the record at 2"):
        await Relay(nats_client, engine, bus).run(asyncio.Event())
    record(engine, 8)
    with pytest.raises(TunebusError, match="somebody else publishes"):
        await Relay(nats_client, engine, bus).run(asyncio.Event())


async def test_a_second_relay_waits_for_the_first(nats_client: BusClient, bus: Subjects, engine: Engine) -> None:
    ids = record(engine, 1)
    second_ready, stop = asyncio.Event(), asyncio.Event()
    async with relaying(nats_client, engine, bus):
        await until(lambda: is_published(nats_client, bus, 1), "the first works")
        second = asyncio.create_task(Relay(nats_client, engine, bus, poll=0.05).run(stop, second_ready.set))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(second_ready.wait(), 1.0)
    await asyncio.wait_for(second_ready.wait(), 5)
    ids += record(engine, 1)
    await until(lambda: is_published(nats_client, bus, 2), "the second works")
    stop.set()
    await second
    assert [event.id for event in await published(nats_client, bus)] == ids


async def test_a_relay_that_lost_its_lock_ends(nats_client: BusClient, bus: Subjects, engine: Engine) -> None:
    if engine.dialect.name == "sqlite":
        pytest.skip("a file lock cannot be lost")
    lock = relay._AdvisoryLock(engine)
    assert lock.try_to_take()
    assert not relay._AdvisoryLock(engine).try_to_take()
    lock.check()
    with engine.connect() as connection:
        connection.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND pid <> pg_backend_pid()"
            )
        )
    with pytest.raises(TunebusError, match="lock is lost"):
        lock.check()
    lock.release()


async def test_it_goes_on_when_the_database_comes_back(
    nats_client: BusClient, bus: Subjects, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = 3

    def flaky(*arguments: Any, **options: Any) -> Any:
        nonlocal away
        if away > 0:
            away -= 1
            raise database.DatabaseError(relay.fail(Code.UNAVAILABLE, "the database is away").problem)
        return real(*arguments, **options)

    async with relaying(nats_client, engine, bus):
        real = relay.events_after
        monkeypatch.setattr(relay, "events_after", flaky)
        record(engine, 2)
        await until(lambda: is_published(nats_client, bus, 2), "both are published")
    assert away == 0


async def test_a_crash_of_the_server_loses_and_doubles_nothing(
    private_nats_server: NatsServer, namespace: str, engine: Engine
) -> None:
    subjects = Subjects(namespace)
    client = await connect_to(private_nats_server.url, "relay", wait=5)
    await topology.apply(client, subjects)
    ids: list[str] = []
    async with relaying(client, engine, subjects):
        for round_number in range(3):
            ids += record(engine, 400)
            await until(lambda least=400 * round_number + 1: is_published(client, subjects, least), "some are there")
            private_nats_server.kill()
            ids += record(engine, 5)
            private_nats_server.start()
            await until(lambda: client.is_connected, "connected again")
        await until(lambda: is_published(client, subjects, len(ids)), "all are published", 30)
    assert [event.id for event in await published(client, subjects)] == ids
    await client.close()
