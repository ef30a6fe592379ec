"""Streams and consumers are made once, drift is told field by field, and namespaces never meet."""

from __future__ import annotations

import pytest
from nats.js import api
from nats.js.errors import NotFoundError
from tunebus.contracts.errors import Code, TunebusError
from tunebus.contracts.subjects import Subjects
from tunebus.services.platform import topology
from tunebus.services.platform.connection import BusClient, connect_to
from tunebus.services.platform.publish import publish
from tunebus.services.platform.pull import StandingPull
from tunebus.services.platform.server import NatsServer

from tests.fixtures.nats import until


async def test_before_it_is_applied_everything_is_missing(nats_client: BusClient, namespace: str) -> None:
    subjects = Subjects(namespace)
    problems = await topology.verify(nats_client, subjects)
    assert len(problems) == len(topology.streams(subjects)) + len(topology.consumers(subjects))
    assert all("is missing" in problem.message and "topology apply" in (problem.hint or "") for problem in problems)


async def test_applying_makes_everything_and_again_changes_nothing(nats_client: BusClient, bus: Subjects) -> None:
    assert await topology.verify(nats_client, bus) == []
    assert await topology.apply(nats_client, bus) == []


async def test_a_service_refuses_drift_and_names_every_field(nats_client: BusClient, bus: Subjects) -> None:
    js = nats_client.jetstream()
    await js.update_stream(
        (await js.stream_info(bus.telemetry_stream)).config.evolve(max_age=3600.0, max_bytes=1_000_000)
    )
    await js.delete_consumer(bus.events_stream, "trainer")
    await js.add_consumer(
        bus.commands_stream,
        (await js.consumer_info(bus.commands_stream, topology.REGISTRY)).config.evolve(max_deliver=100),
    )
    with pytest.raises(TunebusError) as refused:
        await topology.require(nats_client, bus)
    assert refused.value.problem.code is Code.CONFLICT
    assert [problem.message for problem in refused.value.problem.details or []] == [
        f"stream {bus.telemetry_stream}: max_age is 3600.0, should be 604800.0",
        f"stream {bus.telemetry_stream}: max_bytes is 1000000, should be 4294967296",
        f"consumer registry of {bus.commands_stream}: max_deliver is 100, should be 5",
        f"consumer trainer of {bus.events_stream} is missing",
    ]
    assert len(await topology.apply(nats_client, bus)) == 3
    await topology.require(nats_client, bus)


async def test_what_an_operator_added_is_left_alone(nats_client: BusClient, bus: Subjects) -> None:
    js = nats_client.jetstream()
    config = (await js.stream_info(bus.events_stream)).config
    await js.update_stream(config.evolve(description="the operator's note", max_age=60.0, duplicate_window=60.0))
    await topology.apply(nats_client, bus)
    found = (await js.stream_info(bus.events_stream)).config
    assert (found.description, found.max_age) == ("the operator's note", 0.0)


async def test_a_change_that_the_server_refuses_is_told(nats_client: BusClient, namespace: str) -> None:
    subjects = Subjects(namespace)
    await nats_client.jsm().add_stream(
        name=subjects.commands_stream, subjects=[subjects.all_commands], storage=api.StorageType.MEMORY
    )
    with pytest.raises(TunebusError) as refused:
        await topology.apply(nats_client, subjects)
    await nats_client.jsm().delete_stream(subjects.commands_stream)
    assert refused.value.problem.code is Code.NOT_SUPPORTED
    assert subjects.commands_stream in refused.value.problem.message


async def test_namespaces_on_one_server_see_nothing_of_each_other(nats_client: BusClient, bus: Subjects) -> None:
    other = Subjects(f"{bus.namespace}_b")
    await topology.apply(nats_client, other)
    js = nats_client.jetstream()
    await publish(js, other.command("dataset", "AddDataset"), b"{}", stream=other.commands_stream)
    states = {name: (await js.stream_info(name)).state for name in (bus.commands_stream, other.commands_stream)}
    assert [state.messages for state in states.values()] == [0, 1]
    mine, theirs = ({s for stream in topology.streams(it) for s in stream.settings["subjects"]} for it in (bus, other))
    assert not mine & theirs
    for stream in topology.streams(other):
        await js.delete_stream(stream.name)
    assert await topology.verify(nats_client, bus) == []


async def test_handled_commands_are_purged_and_no_others(nats_client: BusClient, bus: Subjects) -> None:
    js = nats_client.jetstream()
    for number in range(4):
        await publish(js, bus.command("dataset", "AddDataset"), b"%d" % number, stream=bus.commands_stream)
    assert await topology.purge_handled(js, bus) == 0
    pull = StandingPull(nats_client, bus.commands_stream, topology.REGISTRY)
    taken = await anext(pull)
    while len(taken) < 4:
        taken += await anext(pull)
    for message in (taken[0], taken[1], taken[3]):
        await message.ack()

    async def floor() -> bool:
        return (await js.consumer_info(bus.commands_stream, topology.REGISTRY)).ack_floor.stream_seq == 2

    await until(floor, "two are acknowledged in a row")
    assert await topology.purge_handled(js, bus) == 2
    state = (await js.stream_info(bus.commands_stream)).state
    assert (state.first_seq, state.messages) == (3, 2)
    await pull.close()


async def test_nothing_is_purged_while_an_advisory_waits(nats_client: BusClient, bus: Subjects) -> None:
    js = nats_client.jetstream()
    await publish(js, bus.command("dataset", "AddDataset"), b"bad", stream=bus.commands_stream)
    pull = StandingPull(nats_client, bus.commands_stream, topology.REGISTRY)
    [bad] = await anext(pull)
    await bad.term()

    async def advised() -> bool:
        return (await js.stream_info(bus.advisories_stream)).state.messages == 1

    await until(advised, "the advisory is there")
    assert await topology.purge_handled(js, bus) == 0
    advisories = StandingPull(nats_client, bus.advisories_stream, topology.ADVISORIES)
    [advisory] = await anext(advisories)
    await advisory.ack_sync()
    assert await topology.purge_handled(js, bus) == 1
    with pytest.raises(NotFoundError):
        await js.get_msg(bus.commands_stream, 1)
    await pull.close()
    await advisories.close()


async def test_a_server_without_an_answer_is_unavailable(private_nats_server: NatsServer, namespace: str) -> None:
    client = await connect_to(private_nats_server.url, "patient", wait=5)
    private_nats_server.kill()
    await until(lambda: not client.is_connected, "the connection is lost")
    with pytest.raises(TunebusError) as failed:
        await topology.verify(client, Subjects(namespace), wait=0.2)
    assert failed.value.problem.code is Code.UNAVAILABLE
    await client.close()
