"""Each command exactly one outcome, each bad message in the dead letters, whatever is sent how often."""

from __future__ import annotations

import asyncio
import json
import random
import threading
from dataclasses import replace
from typing import Any

import pytest
from nats.aio.msg import Msg
from sqlalchemy import text
from tunebus.contracts.envelope import CommandEnvelope
from tunebus.contracts.errors import Code, Problem
from tunebus.contracts.identifiers import new_id
from tunebus.services.platform import database, topology
from tunebus.services.platform.decisions import PreparedCommand
from tunebus.services.registry import command_loop
from tunebus.services.registry import dataset as dataset_decisions
from tunebus.services.registry.preparation import Preparation

from tests.fixtures.registry import Running, eventually

CONFIG = {"type": "custom", "config": {"a": 1}}


def command(name: str = "AddConfig", data: dict[str, Any] | None = None, command_id: str | None = None) -> bytes:
    return CommandEnvelope(id=command_id or new_id(), type=name, data=CONFIG if data is None else data).to_bytes()


class Replies:
    """Outcomes that come back to one inbox, in order."""

    def __init__(self, running: Running) -> None:
        self._running = running
        self.inbox = running.bus.new_inbox()
        self.documents: list[dict[str, Any]] = []
        self.arrived = asyncio.Event()

    async def open(self) -> Replies:
        async def take(message: Msg) -> None:
            self.documents.append(json.loads(message.data))
            self.arrived.set()

        await self._running.bus.subscribe(self.inbox, cb=take)
        return self

    async def wait(self, count: int, deadline: float = 30.0) -> list[dict[str, Any]]:
        async with asyncio.timeout(deadline):
            while len(self.documents) < count:
                self.arrived.clear()
                await self.arrived.wait()
        return self.documents


async def test_one_id_sent_three_times_has_one_effect_and_one_outcome(running: Running) -> None:
    subject = running.subjects.command("config", "AddConfig")
    replies = await Replies(running).open()
    body = command()
    for number in (1, 2):
        await running.raw(body, subject, replies.inbox)
        await replies.wait(number)
    # The third comes after the stream's duplicate window, and with an id that the server would know within it.
    info = await running.bus.jetstream().stream_info(running.subjects.commands_stream)
    await asyncio.sleep((info.config.duplicate_window or 0) + 0.1)  # the window is wall-clock time and nothing else
    await running.raw(body, subject, replies.inbox)
    first, second, third = await replies.wait(3)
    assert first == second == third
    assert first["outcome"] == "accepted"
    assert len(running.events("ConfigAdded")) == 1


async def test_one_id_with_another_body_is_refused(running: Running) -> None:
    subject = running.subjects.command("config", "AddConfig")
    replies = await Replies(running).open()
    command_id = new_id()
    await running.raw(command(command_id=command_id), subject, replies.inbox)
    other = command(data={"type": "custom", "config": {"a": 2}}, command_id=command_id)
    await running.raw(other, subject, replies.inbox)
    _, second = await replies.wait(2)
    assert second["error"]["code"] == "command_id_reused"
    assert len(running.events("ConfigAdded")) == 1


async def test_bad_messages_among_good_ones_harm_nobody(running: Running) -> None:
    subject = running.subjects.command("config", "AddConfig")
    replies = await Replies(running).open()
    good = {new_id(): {"type": "custom", "config": {"number": number}} for number in range(500)}
    without_id = [
        b"",
        b"not json",
        b"\xff\xfe\xfd",
        b"[" * 100_000 + b"]" * 100_000,
        b'{"id": "a", "id": "b"}',
        b'{"type": "AddConfig", "data": {}}',
        b'{"id": "no uuid", "type": "AddConfig"}',
        b"[1, 2]",
        b"\x00" * 10,
    ]
    with_id = [
        command("AddCofnig"),
        b'{"id": "%s", "type": "AddConfig", "data": {"x": NaN}}' % new_id().encode(),
        command(data={"type": "custom", "config": {}, "nmae": 1}),
        command(data={"type": "nope", "config": {}}),
        command(data={}),
        json.dumps({"id": new_id(), "data": {}}).encode(),
    ]
    bad = without_id * 3 + with_id * 4
    messages = [(command(data=data, command_id=command_id), False) for command_id, data in good.items()]
    messages += [(body, True) for body in bad]
    random.Random(5).shuffle(messages)
    await asyncio.gather(*(running.raw(body, subject, replies.inbox) for body, _ in messages))
    documents = await replies.wait(len(messages))

    accepted = {found["command_id"] for found in documents if found["outcome"] == "accepted"}
    assert accepted == set(good)
    refused = [found for found in documents if found["outcome"] == "rejected"]
    assert len(refused) == len(bad) == 51
    assert all(found["error"]["message"] for found in refused)
    assert len(running.events("ConfigAdded")) == 500
    letters = running.letters()
    assert len(letters) == len(without_id) * 3
    assert all(letter.reason for letter in letters)
    info = await running.bus.jetstream().consumer_info(running.subjects.commands_stream, topology.REGISTRY)
    assert (info.num_redelivered or 0, info.num_ack_pending) == (0, 0)


async def test_a_malformed_message_with_an_id_has_an_outcome_that_is_kept(running: Running) -> None:
    replies = await Replies(running).open()
    command_id = new_id()
    body = json.dumps({"id": command_id, "type": 7}).encode()
    for _ in range(2):
        await running.raw(body, running.subjects.command("config", "AddConfig"), replies.inbox)
    first, second = await replies.wait(2)
    assert first == second
    assert first["error"]["code"] == "malformed"
    kept = await running.client.query("GetCommandOutcome", {"command_id": command_id})
    assert kept["error"]["code"] == "malformed"


async def test_a_reply_never_goes_where_it_could_do_harm(running: Running) -> None:
    subject = running.subjects.command("config", "AddConfig")
    replies = ["$JS.API.INFO", f"{running.subjects.namespace}.cmd.config.AddConfig", "a.*", "a b", ".a"]
    for number, reply in enumerate(replies):
        await running.raw(command(data={"type": "custom", "config": {"n": number}}), subject, reply)
    # A later command tells when those before it are done.
    assert (await running.client.send("AddConfig", CONFIG)).error is None
    assert running.letters() == []
    assert running.outcomes() == len(replies) + 1


async def test_handled_messages_are_purged(running: Running) -> None:
    await running.accepted("AddConfig", **CONFIG)

    async def empty() -> bool:
        info = await running.bus.jetstream().stream_info(running.subjects.commands_stream)
        return info.state.messages == 0

    await eventually(empty, "the stream is purged below the ack floor")


async def test_a_slow_preparation_holds_nobody_up(running: Running) -> None:
    """A named pipe with no writer would block whoever opens it; here a large file merely takes long."""
    path = running.write("big.jsonl", '{"a": "' + "x" * 1000 + '"}\n')
    with path.open("a") as file:
        for _ in range(60_000):
            file.write('{"a": "' + "y" * 1000 + '"}\n')
    slow = asyncio.create_task(running.client.send("AddDataset", {"name": "big", "path": str(path)}))
    await asyncio.sleep(0)
    quick = await running.client.send("AddConfig", CONFIG)
    assert quick.error is None
    assert not slow.done()
    outcome = await slow
    assert outcome.error is None
    assert outcome.position is not None
    assert quick.position is not None
    assert outcome.position > quick.position


async def test_a_defect_of_ours_ends_in_the_dead_letters_and_an_answer(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("a defect")

    monkeypatch.setattr("tunebus.services.platform.delivery._FIRST_DELAY", 0.01)
    assert running.registry is not None
    handlers = running.registry.ledger._domain._handlers  # type: ignore[attr-defined]
    from tunebus.contracts.commands import AddDataset
    from tunebus.services.registry.domain import Handler

    monkeypatch.setitem(handlers, AddDataset, Handler(broken, handlers[AddDataset].refer))  # type: ignore[arg-type]
    path = running.write("faq.csv", "question,answer\nq,a\n")
    poison = asyncio.create_task(running.client.send("AddDataset", {"name": "x", "path": str(path)}))
    good = await asyncio.gather(
        *(running.client.send("AddConfig", {"type": "custom", "config": {"n": n}}) for n in range(20))
    )
    assert all(outcome.error is None for outcome in good)
    outcome = await poison
    assert outcome.error is not None
    assert outcome.error.code == "internal"
    (letter,) = running.letters()
    assert "RuntimeError" in letter.reason
    assert dataset_decisions.add is not broken


async def test_what_the_server_gave_up_on_becomes_a_dead_letter_and_can_be_sent_again(running: Running) -> None:
    """A doorbell that a worker naks until the server stops delivering it."""
    job = await _queue(running)
    js = running.bus.jetstream()
    body = json.dumps({"id": new_id(), "type": "JobQueued"}).encode()
    subject = running.subjects.event("fine_tuning_job", job, "JobQueued")
    ack = await js.publish(subject, body, timeout=5)
    pull = await js.pull_subscribe_bind("trainer", running.subjects.events_stream)
    for _ in range(topology.MAX_DELIVER):
        for message in await pull.fetch(1, timeout=5):
            await message.nak()
    with pytest.raises(TimeoutError):
        await pull.fetch(1, timeout=0.5)

    async def kept() -> Any:
        return running.letters()

    (letter,) = await eventually(kept, "the advisory becomes a dead letter")
    assert (letter.stream, letter.seq, bytes(letter.data)) == (running.subjects.events_stream, ack.seq, body)
    assert "5 times" in letter.reason
    assert (await running.call("ResendDeadLetter", {"id": letter.id}))["error"]["code"] == "not_supported"


async def _queue(running: Running) -> str:
    await running.things()
    return await running.accepted("StartFineTuningJob", base_model_id="starter", dataset_id="faq")


async def test_a_dead_command_can_be_sent_again(running: Running) -> None:
    with database.write(running.engine) as connection:
        from tunebus.services.platform import deadletters

        letter = deadletters.record(
            connection,
            stream=running.subjects.commands_stream,
            seq=1,
            subject=running.subjects.command("config", "AddConfig"),
            data=command(),
            reason="internal: RuntimeError",
            headers={"reply_to": "nobody", "Nats-Expected-Stream": "x"},
        )
    reply = await running.call("ResendDeadLetter", {"id": letter})
    assert reply["stream"] == running.subjects.commands_stream

    async def done() -> bool:
        return bool(running.events("ConfigAdded"))

    await eventually(done, "the command is done")
    listed = await running.client.query("ListDeadLetters", {})
    assert listed["items"][0]["resent_at"] is not None
    assert (await running.call("ResendDeadLetter", {"id": letter + 1}))["error"]["code"] == "not_found"


async def test_a_full_disk_is_told_and_nothing_is_lost(running: Running) -> None:
    """SQLite's page limit stands for a disk that is full; a report without a reply waits until there is space."""
    if running.engine.dialect.name != "sqlite":
        pytest.skip("a PostgreSQL server's disk cannot be filled here")
    running.engine.dispose()
    with database.write(running.engine) as connection:
        pages = connection.scalar(text("PRAGMA page_count"))
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
    big = {"type": "custom", "config": {"text": "x" * 200_000}}
    await running.raw(command(data=big), running.subjects.command("config", "AddConfig"))
    outcome = await running.client.send("AddConfig", {"type": "custom", "config": {"text": "y" * 200_000}})
    assert outcome.error is not None
    assert outcome.error.code == "disk_full"
    assert running.events("ConfigAdded") == []
    assert running.troubles[-1] is not None

    def enlarge() -> None:
        with database.write(running.engine) as connection:
            connection.exec_driver_sql("PRAGMA max_page_count = 1000000")

    enlarge()

    async def done() -> bool:
        return len(running.events("ConfigAdded")) == 1 and running.troubles[-1] is None

    await eventually(done, "the command that nobody was told about is done, and the trouble over")
    assert (await running.client.send("AddConfig", CONFIG)).error is None


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_burst_on_a_full_disk_is_answered_whole_and_leaves_a_registry_that_works(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert running.registry is not None
    ledger, ready, piled = running.registry.ledger, running.registry.commands._ready, threading.Event()
    execute = ledger.execute

    def execute_once_piled(commands: Any) -> Any:
        piled.wait(20)
        return execute(commands)

    monkeypatch.setattr(ledger, "execute", execute_once_piled)
    running.engine.dispose()
    with database.write(running.engine) as connection:
        pages = connection.scalar(text("PRAGMA page_count"))
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
    replies = await Replies(running).open()
    subject, count = running.subjects.command("config", "AddConfig"), command_loop.MOST_READY + 200
    for number in range(count):
        big = {"type": "custom", "config": {"number": number, "text": "x" * 20_000}}
        await running.bus.publish(subject, command(data=big), headers={"reply_to": replies.inbox})
    await running.bus.flush()

    async def as_many_as_are_taken() -> bool:
        return len(ready) >= command_loop.MOST_READY

    await eventually(as_many_as_are_taken, "no more is taken")
    piled.set()
    answers = await replies.wait(count)
    assert {answer["error"]["code"] for answer in answers} == {"disk_full"}
    assert running.troubles[-1] is not None
    with database.write(running.engine) as connection:
        connection.exec_driver_sql("PRAGMA max_page_count = 1000000")

    async def over() -> bool:
        return running.troubles[-1] is None

    await eventually(over, "the trouble is over")
    assert (await running.client.send("AddConfig", CONFIG)).error is None
    assert len(running.events("ConfigAdded")) == 1


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_commands_that_wait_for_files_hold_up_no_others(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many they are: more than are decided or asked for at a time."""
    looked_at, going = 0, asyncio.Event()

    async def prepare(_: Preparation, received: PreparedCommand) -> PreparedCommand:
        nonlocal looked_at
        looked_at += 1
        await going.wait()
        return replace(received, rejection=Problem(code=Code.INVALID, message="is no dataset"))

    monkeypatch.setattr(Preparation, "prepare", prepare)
    replies = await Replies(running).open()
    count = 5 * command_loop.BATCH
    for number in range(count):
        asked = command("AddDataset", {"name": f"slow {number}", "path": "nowhere.csv"})
        await running.bus.publish(
            running.subjects.command("dataset", "AddDataset"), asked, headers={"reply_to": replies.inbox}
        )
    await running.accepted("AddConfig", **CONFIG)

    async def all_looked_at() -> bool:
        return looked_at == count

    await eventually(all_looked_at, "every file is looked at")
    assert replies.documents == []
    going.set()
    assert {answer["outcome"] for answer in await replies.wait(count)} == {"rejected"}


async def test_commands_wait_for_a_database_that_is_away_and_are_done_once(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert running.registry is not None
    ledger = running.registry.ledger
    away = True
    execute = ledger.execute

    def fails(commands: Any) -> Any:
        if away:
            problem = Problem(code=Code.UNAVAILABLE, message="the database cannot be used now")
            raise database.DatabaseError(problem)
        return execute(commands)

    monkeypatch.setattr(ledger, "execute", fails)
    asked = [
        asyncio.create_task(running.client.send("AddConfig", {"type": "custom", "config": {"n": n}})) for n in range(30)
    ]

    async def in_trouble() -> bool:
        return bool(running.troubles and running.troubles[-1])

    await eventually(in_trouble, "the registry says that it cannot work")
    assert not any(task.done() for task in asked)
    away = False
    outcomes = await asyncio.gather(*asked)
    assert all(outcome.error is None for outcome in outcomes)
    assert len(running.events("ConfigAdded")) == 30
    assert running.troubles[-1] is None
    info = await running.bus.jetstream().consumer_info(running.subjects.commands_stream, topology.REGISTRY)
    assert info.num_ack_pending == 0
