"""A publish is acknowledged by the stream it names, or says why not; a retry is stored once."""

from __future__ import annotations

import asyncio

import pytest
from nats.js.errors import APIError
from tunebus.contracts.errors import Code, TunebusError
from tunebus.contracts.subjects import Subjects
from tunebus.services.platform import topology
from tunebus.services.platform.connection import BusClient, connect_to
from tunebus.services.platform.publish import (
    Pipeline,
    WrongLastSequenceError,
    publish,
    publish_headers,
    reply_subject,
)
from tunebus.services.platform.server import NatsServer

from tests.fixtures.nats import until


async def test_a_retry_with_the_same_id_is_stored_once(nats_client: BusClient, bus: Subjects) -> None:
    js = nats_client.jetstream()
    subject = bus.event("dataset", "1", "DatasetAdded")
    first = await publish(js, subject, b"{}", stream=bus.events_stream, message_id="one")
    again = await publish(js, subject, b"{}", stream=bus.events_stream, message_id="one")
    assert (first.seq, again.seq, again.duplicate) == (1, 1, True)


async def test_a_senders_own_message_id_does_not_swallow_a_command(nats_client: BusClient, bus: Subjects) -> None:
    js = nats_client.jetstream()
    subject = bus.command("dataset", "AddDataset")
    await publish(js, subject, b"{}", stream=bus.commands_stream, message_id="own")

    async def stored_again() -> bool:
        return not (await publish(js, subject, b"{}", stream=bus.commands_stream, message_id="own")).duplicate

    await until(stored_again, "the server forgets the id", deadline=3)


async def test_an_unexpected_sequence_is_refused(nats_client: BusClient, bus: Subjects) -> None:
    js = nats_client.jetstream()
    subject = bus.event("dataset", "1", "DatasetAdded")
    await publish(js, subject, b"{}", stream=bus.events_stream, expected_last_sequence=0)
    with pytest.raises(WrongLastSequenceError):
        await publish(js, subject, b"{}", stream=bus.events_stream, expected_last_sequence=0)


async def test_the_wrong_stream_and_no_stream_are_told(nats_client: BusClient, bus: Subjects) -> None:
    js = nats_client.jetstream()
    with pytest.raises(TunebusError) as wrong:
        await publish(js, bus.command("dataset", "AddDataset"), b"{}", stream=bus.events_stream)
    assert wrong.value.problem.code is Code.UNAVAILABLE
    with pytest.raises(TunebusError) as none:
        await publish(js, f"{bus.namespace}.nowhere", b"{}", stream=bus.events_stream, attempts=2, timeout=1)
    assert none.value.problem.code is Code.UNAVAILABLE
    assert "2 attempts" in none.value.problem.message


async def test_too_much_is_too_large(nats_client: BusClient, bus: Subjects) -> None:
    with pytest.raises(TunebusError) as refused:
        await publish(
            nats_client.jetstream(),
            bus.command("dataset", "AddDataset"),
            b"x" * (nats_client.max_payload + 1),
            stream=bus.commands_stream,
        )
    assert refused.value.problem.code is Code.TOO_LARGE


async def test_a_full_stream_is_unavailable(nats_client: BusClient, bus: Subjects) -> None:
    js = nats_client.jetstream()
    await js.update_stream((await js.stream_info(bus.commands_stream)).config.evolve(max_bytes=2000))
    subject = bus.command("dataset", "AddDataset")
    await publish(js, subject, b"x" * 1500, stream=bus.commands_stream)
    with pytest.raises(TunebusError, match="takes no more"):
        await publish(js, subject, b"x" * 1500, stream=bus.commands_stream)


async def test_it_goes_on_when_the_server_comes_back(private_nats_server: NatsServer, namespace: str) -> None:
    subjects = Subjects(namespace)
    client = await connect_to(private_nats_server.url, "publisher", wait=5)
    await topology.apply(client, subjects)
    private_nats_server.kill()
    publishing = asyncio.create_task(
        publish(
            client.jetstream(),
            subjects.telemetry("job", 1),
            b"{}",
            stream=subjects.telemetry_stream,
            message_id="t1",
            timeout=1.0,
            attempts=20,
        )
    )
    done, _ = await asyncio.wait({publishing}, timeout=0.3)
    assert not done
    private_nats_server.start()
    await asyncio.wait_for(publishing, 20)
    assert (await client.jsm().stream_info(subjects.telemetry_stream)).state.messages == 1
    await client.close()


async def test_a_pipeline_hands_out_each_acknowledgement_and_refusal(nats_client: BusClient, bus: Subjects) -> None:
    pipeline = Pipeline(nats_client)
    subject = bus.event("dataset", "1", "DatasetAdded")
    futures = [
        await pipeline.send(subject, b"{}", publish_headers(bus.events_stream, expected_last_sequence=number))
        for number in (0, 1, 1)
    ]
    await asyncio.wait(futures, timeout=5)
    assert [future.result().seq for future in futures[:2]] == [1, 2]
    refusal = futures[2].exception()
    assert isinstance(refusal, APIError)
    assert refusal.err_code == 10071
    await pipeline.close()


@pytest.mark.parametrize(
    "wanted",
    [
        "",
        "a b",
        "a.*",
        "a.>",
        "$JS.API.STREAM.DELETE.X",
        "studio.cmd.dataset.AddDataset",
        "a..b",
        ".a",
        "a.",
        "x" * 300,
    ],
)
def test_an_outcome_is_not_sent_where_it_could_do_harm(wanted: str) -> None:
    assert reply_subject({"reply_to": wanted}, Subjects("studio")) is None


def test_an_outcome_is_sent_to_an_inbox() -> None:
    assert reply_subject({"reply_to": "_INBOX.abc.outcome"}, Subjects("studio")) == "_INBOX.abc.outcome"
    assert reply_subject(None, Subjects("studio")) is None
