"""A message is acknowledged after its work, comes again a few times at growing intervals, or becomes a dead letter."""

from __future__ import annotations

import asyncio
import base64
import json
import time

import pytest
from nats.aio.msg import Msg
from tunebus.contracts.errors import Code, fail
from tunebus.contracts.rpc import RecordDeadLetter
from tunebus.contracts.subjects import Subjects
from tunebus.services.platform import delivery, topology
from tunebus.services.platform.connection import BusClient
from tunebus.services.platform.delivery import consume, redelivery_delay
from tunebus.services.platform.publish import publish
from tunebus.services.platform.pull import StandingPull

from tests.fixtures.nats import until


class Receiver:
    """Handles commands in a task, counting deliveries and keeping dead letters in a list."""

    def __init__(self, client: BusClient, subjects: Subjects) -> None:
        self.pull = StandingPull(client, subjects.commands_stream, topology.REGISTRY)
        self.seen: list[tuple[bytes, float]] = []
        self.letters: list[RecordDeadLetter] = []
        self.letters_refused = 0
        self.task = asyncio.create_task(consume(self.pull, self.handle, self.record))

    async def handle(self, message: Msg) -> None:
        self.seen.append((message.data, time.monotonic()))
        if message.data == b"transient":
            raise OSError("the disk is busy")
        if message.data == b"once" and message.metadata.num_delivered == 1:
            raise fail(Code.UNAVAILABLE, "later")
        if message.data == b"permanent":
            raise fail(Code.MALFORMED, "no JSON")

    async def record(self, letter: RecordDeadLetter) -> None:
        if self.letters_refused > 0:
            self.letters_refused -= 1
            raise OSError("the database is away")
        self.letters.append(letter)

    def deliveries(self, body: bytes) -> int:
        return sum(data == body for data, _ in self.seen)

    async def close(self) -> None:
        await self.pull.close()
        await asyncio.wait_for(self.task, 5)


@pytest.fixture
async def receiver(nats_client: BusClient, bus: Subjects, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(delivery, "_FIRST_DELAY", 0.05)
    receiver = Receiver(nats_client, bus)
    yield receiver
    await receiver.close()


async def send(client: BusClient, subjects: Subjects, *bodies: bytes) -> None:
    for body in bodies:
        await publish(
            client.jetstream(),
            subjects.command("dataset", "AddDataset"),
            body,
            stream=subjects.commands_stream,
            headers={"note": "kept"},
        )


async def unhandled(client: BusClient, subjects: Subjects) -> int:
    info = await client.jsm().consumer_info(subjects.commands_stream, topology.REGISTRY)
    return int(info.num_pending or 0) + int(info.num_ack_pending or 0)


async def test_what_is_handled_is_acknowledged_once(nats_client: BusClient, bus: Subjects, receiver: Receiver) -> None:
    await send(nats_client, bus, b"a", b"b")

    async def all_done() -> bool:
        return len(receiver.seen) == 2 and await unhandled(nats_client, bus) == 0

    await until(all_done, "both are acknowledged")
    assert [data for data, _ in receiver.seen] == [b"a", b"b"]


async def test_a_passing_failure_is_tried_again_later(
    nats_client: BusClient, bus: Subjects, receiver: Receiver
) -> None:
    await send(nats_client, bus, b"once", b"other")
    await until(lambda: receiver.deliveries(b"once") == 2, "it comes a second time")
    times = [moment for data, moment in receiver.seen if data == b"once"]
    assert times[1] - times[0] >= 0.03
    assert receiver.deliveries(b"other") == 1
    assert receiver.letters == []


async def test_a_lasting_failure_comes_five_times_and_an_advisory_tells_of_it(
    nats_client: BusClient, bus: Subjects, receiver: Receiver
) -> None:
    await send(nats_client, bus, b"transient", b"other")
    advisories = StandingPull(nats_client, bus.advisories_stream, topology.ADVISORIES)
    [advisory] = await asyncio.wait_for(anext(advisories), 30)
    told = json.loads(advisory.data)
    assert (told["stream"], told["consumer"], told["stream_seq"]) == (bus.commands_stream, topology.REGISTRY, 1)
    assert told["type"].endswith("max_deliver")
    assert receiver.deliveries(b"transient") == topology.MAX_DELIVER == 5
    assert receiver.deliveries(b"other") == 1
    assert receiver.letters == []
    await advisories.close()


async def test_a_bad_message_becomes_a_dead_letter_at_once(
    nats_client: BusClient, bus: Subjects, receiver: Receiver
) -> None:
    await send(nats_client, bus, b"permanent", b"other")
    await until(lambda: receiver.letters, "the letter is recorded")
    [letter] = receiver.letters
    assert base64.b64decode(letter.data) == b"permanent"
    assert (letter.stream, letter.seq, letter.consumer) == (bus.commands_stream, 1, topology.REGISTRY)
    assert letter.reason == "malformed: no JSON"
    assert letter.headers["note"] == "kept"
    await until(lambda: receiver.deliveries(b"other") == 1, "the next is handled")
    assert receiver.deliveries(b"permanent") == 1


async def test_a_bad_message_is_not_terminated_before_it_is_recorded(
    nats_client: BusClient, bus: Subjects, receiver: Receiver
) -> None:
    receiver.letters_refused = 2
    await send(nats_client, bus, b"permanent")
    await until(lambda: receiver.letters, "the letter is recorded at last")
    assert receiver.deliveries(b"permanent") == 3


def test_delays_grow_from_half_a_second_to_half_a_minute() -> None:
    delays = [redelivery_delay(number) for number in (1, 2, 3, 50)]
    assert all(low <= delay <= high for delay, (low, high) in zip(
        delays, [(0.4, 0.6), (0.8, 1.2), (1.6, 2.4), (24.0, 36.0)], strict=True
    ))  # fmt: skip
