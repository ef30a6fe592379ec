"""A standing pull takes what is there at once, survives the server's crash, and never spins."""

from __future__ import annotations

import asyncio
import time

import pytest
from nats.aio.msg import Msg
from tunebus.contracts.errors import Code, TunebusError
from tunebus.contracts.subjects import Subjects
from tunebus.services.platform import topology
from tunebus.services.platform.connection import BusClient, connect_to
from tunebus.services.platform.publish import publish
from tunebus.services.platform.pull import StandingPull
from tunebus.services.platform.server import NatsServer

from tests.fixtures.nats import until


async def send(client: BusClient, subjects: Subjects, count: int, first: int = 0) -> None:
    js = client.jetstream()
    for number in range(first, first + count):
        await publish(js, subjects.command("dataset", "AddDataset"), b"%d" % number, stream=subjects.commands_stream)


def commands(client: BusClient, subjects: Subjects, batch: int = 64, **options: float) -> StandingPull:
    return StandingPull(client, subjects.commands_stream, topology.REGISTRY, batch, **options)


async def take(pull: StandingPull, count: int, deadline: float = 15.0) -> list[bytes]:
    """The bodies of the next `count` messages, acknowledged."""
    taken: list[bytes] = []
    async with asyncio.timeout(deadline):
        while len(taken) < count:
            for message in await anext(pull):
                taken.append(message.data)
                await message.ack()
    return taken


async def test_a_lone_message_arrives_at_once(nats_client: BusClient, bus: Subjects) -> None:
    pull = commands(nats_client, bus)
    waiting = asyncio.create_task(take(pull, 1))
    delays = []
    for number in range(20):
        done, _ = await asyncio.wait({waiting}, timeout=0.02)
        assert not done
        begun = time.perf_counter()
        await send(nats_client, bus, 1, number)
        assert await waiting == [b"%d" % number]
        delays.append(time.perf_counter() - begun)
        waiting = asyncio.create_task(take(pull, 1))
    assert sorted(delays)[10] < 0.1  # far below any pull's time-out
    waiting.cancel()
    await pull.close()


async def test_it_takes_what_is_there_up_to_a_batch_in_order(nats_client: BusClient, bus: Subjects) -> None:
    await send(nats_client, bus, 200)
    pull = commands(nats_client, bus)
    sizes, bodies = [], []
    while len(bodies) < 200:
        messages = await asyncio.wait_for(anext(pull), 5)
        sizes.append(len(messages))
        for message in messages:
            bodies.append(message.data)
            await message.ack()
        await asyncio.sleep(0)
    assert bodies == [b"%d" % number for number in range(200)]
    assert max(sizes) <= 64
    await pull.close()


async def test_what_is_outstanding_stays_within_two_batches(nats_client: BusClient, bus: Subjects) -> None:
    await send(nats_client, bus, 60)
    pull = commands(nats_client, bus, batch=8)
    await anext(pull)

    async def pending() -> int:
        info = await nats_client.jsm().consumer_info(bus.commands_stream, topology.REGISTRY)
        return int(info.num_ack_pending or 0)

    await until(lambda: pull._room() <= 0 or len(pull._buffer) >= 8, "the window fills")
    assert await pending() <= 24
    await pull.close()


async def test_one_at_a_time_asks_for_nothing_in_advance(nats_client: BusClient, bus: Subjects) -> None:
    await send(nats_client, bus, 3)
    busy, free = commands(nats_client, bus, batch=1), commands(nats_client, bus, batch=1)
    [first] = await anext(busy)
    assert await take(free, 2) == [b"1", b"2"]
    await first.ack()
    await busy.close()
    await free.close()


async def test_cancelling_a_wait_loses_nothing(nats_client: BusClient, bus: Subjects) -> None:
    pull = commands(nats_client, bus)
    for _ in range(3):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(pull), 0.05)
    await send(nats_client, bus, 5)
    assert await take(pull, 5) == [b"%d" % number for number in range(5)]
    await pull.close()


async def test_pausing_gives_back_what_was_not_taken(nats_client: BusClient, bus: Subjects) -> None:
    await send(nats_client, bus, 10)
    first, second = commands(nats_client, bus, batch=4), commands(nats_client, bus, batch=4)
    messages = await anext(first)
    await until(lambda: len(first._buffer) > 0, "more than was taken has arrived")
    await first.pause()
    left = set(await take(second, 10 - len(messages)))
    assert left | {message.data for message in messages} == {b"%d" % number for number in range(10)}
    await first.close()
    await second.close()


async def test_closing_ends_the_iteration(nats_client: BusClient, bus: Subjects) -> None:
    pull = commands(nats_client, bus)
    waiting = asyncio.create_task(anext(pull))
    await until(lambda: pull._requests, "a request stands")
    await pull.close()
    with pytest.raises(StopAsyncIteration):
        await asyncio.wait_for(waiting, 5)


async def test_a_request_is_renewed_when_it_expires(nats_client: BusClient, bus: Subjects) -> None:
    pull = commands(nats_client, bus, expires=1.0, heartbeat=0.4)
    waiting = asyncio.create_task(take(pull, 1))
    await until(lambda: "3" in pull._requests, "the third request stands")
    await send(nats_client, bus, 1)
    assert await waiting == [b"0"]
    await pull.close()


async def test_a_request_that_the_server_forgot_is_sent_again(nats_client: BusClient, bus: Subjects) -> None:
    pull = commands(nats_client, bus, heartbeat=0.2)
    waiting = asyncio.create_task(take(pull, 1))
    await until(lambda: pull._requests, "a request stands")
    await nats_client.flush()
    pull._inbox = nats_client.new_inbox()  # what is asked from now on still arrives nowhere
    assert pull._subscription is not None
    await pull._subscription.unsubscribe()
    pull._subscription = await nats_client.subscribe(f"{pull._inbox}.*", cb=pull._receive)
    await send(nats_client, bus, 1)
    assert await asyncio.wait_for(waiting, 10) == [b"0"]
    await pull.close()


async def test_a_consumer_that_is_gone_is_a_clear_error(nats_client: BusClient, bus: Subjects) -> None:
    pull = commands(nats_client, bus)
    waiting = asyncio.create_task(anext(pull))
    await until(lambda: pull._requests, "a request stands")
    await nats_client.jsm().delete_consumer(bus.commands_stream, topology.REGISTRY)
    with pytest.raises(TunebusError, match=r"consumer registry of stream .* is gone") as gone:
        await asyncio.wait_for(waiting, 10)
    assert gone.value.problem.code is Code.UNAVAILABLE
    assert "topology apply" in (gone.value.problem.hint or "")
    await pull.close()


async def test_a_consumer_that_never_was_is_a_clear_error(nats_client: BusClient, bus: Subjects) -> None:
    pull = StandingPull(nats_client, bus.commands_stream, "nobody")
    with pytest.raises(TunebusError, match="is gone"):
        await asyncio.wait_for(anext(pull), 10)
    await pull.close()


@pytest.mark.parametrize("status", ["409", "503", "100", "408"])
async def test_a_strangers_headers_cannot_pose_as_the_servers(
    nats_client: BusClient, bus: Subjects, status: str
) -> None:
    headers = {"Status": status, "Description": "Consumer Deleted"}
    await nats_client.publish(bus.command("dataset", "AddDataset"), b"", headers=headers)
    await nats_client.flush()
    await send(nats_client, bus, 1)
    pull = commands(nats_client, bus)
    assert await take(pull, 2) == [b"", b"0"]
    await pull.close()


async def test_it_goes_on_after_a_crash_of_the_server_without_spinning(
    private_nats_server: NatsServer, namespace: str
) -> None:
    subjects = Subjects(namespace)
    client = await connect_to(private_nats_server.url, "puller", wait=5)
    await topology.apply(client, subjects)
    await send(client, subjects, 3)
    pull = commands(client, subjects)
    assert len(await take(pull, 3)) == 3
    waiting: asyncio.Task[list[Msg]] = asyncio.create_task(anext(pull))
    private_nats_server.kill()
    await until(lambda: not client.is_connected, "the connection is lost")
    before, begun = time.process_time(), time.monotonic()
    await asyncio.wait({waiting}, timeout=3.0)
    used = (time.process_time() - before) / (time.monotonic() - begun)
    assert not waiting.done()
    assert used < 0.2, f"{used:.0%} of a core while the server is away"
    private_nats_server.start()
    other = await connect_to(private_nats_server.url, "sender", wait=5)
    await send(other, subjects, 100, 3)
    # An acknowledgement just before the crash may be lost, so the first three may come again.
    wanted = {b"%d" % number for number in range(3, 103)}
    messages = await asyncio.wait_for(waiting, 10)
    while wanted:
        for message in messages:
            wanted.discard(message.data)
            await message.ack()
        if wanted:
            messages = await asyncio.wait_for(anext(pull), 10)
    await pull.close()
    await other.close()
    await client.close()
