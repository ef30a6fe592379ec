"""The client sends until it is answered, always under the same id, and follows streams across crashes."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from nats.aio.msg import Msg
from tunebus.contracts import client as client_module
from tunebus.contracts import telemetry
from tunebus.contracts.client import AsyncClient, Client, find_url
from tunebus.contracts.commands import EvaluationCombination, StopFineTuningJob
from tunebus.contracts.envelope import EventEnvelope
from tunebus.contracts.errors import Code, TunebusError
from tunebus.contracts.identifiers import new_id, timestamp
from tunebus.contracts.queries import GetDataset
from tunebus.contracts.subjects import Subjects
from tunebus.services.platform import topology
from tunebus.services.platform.broker import answer, make_broker
from tunebus.services.platform.connection import BusClient, connect_to
from tunebus.services.platform.publish import publish
from tunebus.services.platform.pull import StandingPull
from tunebus.services.platform.server import NatsServer

from tests.fixtures.nats import until


class Registry:
    """Answers commands as the registry would, except those it is told to ignore."""

    def __init__(self, client: BusClient, subjects: Subjects) -> None:
        self.client = client
        self.ignore = 0
        self.seen: list[dict[str, Any]] = []
        self.pull = StandingPull(client, subjects.commands_stream, topology.REGISTRY)
        self.task = asyncio.create_task(self.serve())

    async def serve(self) -> None:
        async for messages in self.pull:
            for message in messages:
                await self.take(message)

    async def take(self, message: Msg) -> None:
        body = json.loads(message.data)
        self.seen.append(body)
        await message.ack()
        if self.ignore > 0:
            self.ignore -= 1
            return
        assert message.headers is not None
        outcome = {"command_id": body["id"], "outcome": "accepted", "id": body["data"].get("name"), "position": 1}
        if body["data"].get("name") == "refused":
            error = {"code": "duplicate_name", "message": "in use", "param": "name", "hint": None}
            outcome |= {"outcome": "rejected", "error": error}
        await self.client.publish(message.headers["reply_to"], json.dumps(outcome).encode())


@pytest.fixture
async def registry(nats_client: BusClient, bus: Subjects) -> AsyncIterator[Registry]:
    registry = Registry(nats_client, bus)
    yield registry
    await registry.pull.close()
    await registry.task


@pytest.fixture
async def client(nats_url: str, namespace: str) -> AsyncIterator[AsyncClient]:
    async with await AsyncClient.connect(nats_url, namespace) as client:
        yield client


def event(position: int, job_id: str, kind: str = "JobQueued") -> EventEnvelope:
    return EventEnvelope(
        id=new_id(),
        type=kind,
        subject=f"fine_tuning_job/{job_id}",
        time=timestamp(),
        dataschema=f"urn:tunebus:event:{kind}:1",
        position=position,
        streamversion=position,
        data={"cause": "submitted"},
    )


async def emit(client: BusClient, subjects: Subjects, *events: EventEnvelope) -> None:
    for one in events:
        subject = subjects.event(one.aggregate, one.entity_id, one.type)
        await publish(client.jetstream(), subject, one.to_bytes(), stream=subjects.events_stream, message_id=one.id)


async def test_a_command_is_answered_with_its_outcome(client: AsyncClient, registry: Registry) -> None:
    outcome = await client.add_dataset(name="faq", path="faq.csv")
    assert (outcome.outcome, outcome.id, outcome.position) == ("accepted", "faq", 1)
    [sent] = registry.seen
    assert sent["data"] == {"name": "faq", "path": "faq.csv"}  # nothing that was not given
    assert outcome.command_id == sent["id"]
    refused = await client.add_dataset(name="refused", path="faq.csv")
    assert refused.error is not None
    assert refused.error.code is Code.DUPLICATE_NAME


async def test_what_json_cannot_say_is_refused_by_its_field(client: AsyncClient) -> None:
    for fields, param in (
        ({"learning_rate": float("inf")}, "learning_rate"),
        ({"lora": {"lora_dropout": float("nan")}}, "lora.lora_dropout"),
        ({"labels": ["a", {1}]}, "labels.1"),
        ({"notes": "\ud800"}, "notes"),
    ):
        with pytest.raises(TunebusError) as refused:
            await client.send("StartFineTuningJob", fields)
        assert (refused.value.problem.code, refused.value.problem.param) == (Code.INVALID, param)
    with pytest.raises(TunebusError) as refused:
        await client.query("ListJobs", {"limit": float("nan")})
    assert refused.value.problem.param == "limit"


async def test_many_at_a_time_get_each_its_own(client: AsyncClient, registry: Registry) -> None:
    names = [f"set {number}" for number in range(300)]
    outcomes = await asyncio.gather(*(client.add_dataset(name=name, path="x.csv") for name in names))
    assert [outcome.id for outcome in outcomes] == names
    assert len(registry.seen) == 300


async def test_a_command_is_sent_again_under_the_same_id(
    client: AsyncClient, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "_FIRST_RETRY", 0.1)
    registry.ignore = 2
    outcome = await client.add_dataset(name="faq", path="faq.csv")
    assert outcome.outcome == "accepted"
    assert len(registry.seen) == 3
    assert {sent["id"] for sent in registry.seen} == {outcome.command_id}


async def test_without_an_outcome_it_is_not_confirmed_and_the_id_is_told(
    client: AsyncClient, registry: Registry
) -> None:
    registry.ignore = 1000
    command_id = new_id()
    with pytest.raises(TunebusError) as unknown:
        await client.send("AddDataset", name="faq", path="faq.csv", command_id=command_id, timeout=0.5)
    assert unknown.value.problem.code is Code.NOT_CONFIRMED
    assert command_id in (unknown.value.problem.hint or "")
    registry.ignore = 0
    again = await client.send("AddDataset", name="faq", path="faq.csv", command_id=command_id)
    assert again.command_id == command_id


async def test_a_missing_stream_is_named(client: AsyncClient) -> None:
    with pytest.raises(TunebusError, match="there is no stream"):
        await client.send("AddDataset", name="faq", path="faq.csv", timeout=0.5)


async def test_commands_can_be_models_with_everything_an_envelope_takes(
    client: AsyncClient, registry: Registry
) -> None:
    await client.send(StopFineTuningJob(id="job", force=True), actor="me", expected_version=3, correlation_id="night")
    await client.start_evaluation_job(
        combinations=[
            EvaluationCombination(base_model_id="m", dataset_id="d"),
            {"base_model_id": "n", "dataset_id": "d"},
        ]
    )
    stop, evaluation = registry.seen
    assert stop["data"] == {"id": "job", "force": True}
    assert (stop["actor"], stop["expectedversion"], stop["correlationid"]) == ("me", 3, "night")
    assert evaluation["data"]["combinations"][0] == {"base_model_id": "m", "dataset_id": "d"}
    with pytest.raises(TunebusError, match="unknown command 'AddDatset'"):
        await client.send("AddDatset")


async def test_a_command_waits_for_the_bus(private_nats_server: NatsServer, namespace: str) -> None:
    subjects = Subjects(namespace)
    server_side = await connect_to(private_nats_server.url, "registry", wait=5)
    await topology.apply(server_side, subjects)
    registry = Registry(server_side, subjects)
    client = await AsyncClient.connect(private_nats_server.url, namespace)
    private_nats_server.kill()
    sending = asyncio.create_task(client.add_dataset(name="faq", path="faq.csv"))
    done, _ = await asyncio.wait({sending}, timeout=0.5)
    assert not done
    private_nats_server.start()
    assert (await asyncio.wait_for(sending, 20)).outcome == "accepted"
    assert len({sent["id"] for sent in registry.seen}) == 1
    await client.close()
    await registry.pull.close()
    await registry.task
    await server_side.close()


async def test_queries_are_answered_or_say_what_is_wrong(
    client: AsyncClient, nats_client: BusClient, bus: Subjects
) -> None:
    asked: list[dict[str, Any]] = []

    async def items(body: bytes) -> dict[str, Any]:
        asked.append(json.loads(body))
        return {"items": [{"id": "1"}], "next": "cursor"}

    async def missing(_: bytes) -> dict[str, Any]:
        raise TunebusError(client_module.fail(Code.NOT_FOUND, "no such dataset", param="id").problem)

    broker = make_broker(nats_client)
    for name, handler in (("ListEvents", items), ("GetDataset", missing)):
        answer(broker, bus.query(name), "registry", handler)
    await broker.start()
    page = await client.list_events(from_position=7, limit=1)
    assert (page.items, page.next) == ([{"id": "1"}], "cursor")
    assert asked == [{"from": 7, "limit": 1}]
    with pytest.raises(TunebusError) as failed:
        await client.query(GetDataset(id="faq"))
    assert failed.value.problem.code is Code.NOT_FOUND
    await broker.stop()
    with pytest.raises(TunebusError) as nobody:
        await client.request(bus.query("GetDataset"), {}, timeout=0.3)
    assert nobody.value.problem.code is Code.UNAVAILABLE


async def test_a_jobs_events_are_followed_to_its_end(
    client: AsyncClient, nats_client: BusClient, bus: Subjects
) -> None:
    job, other = new_id(), new_id()
    await emit(nats_client, bus, event(1, job), event(2, other), event(3, job, "AttemptStarted"))
    found: list[int] = []

    async def follow() -> None:
        async for one in client.job_events(job):
            found.append(one.position)

    following = asyncio.create_task(follow())
    await until(lambda: found == [1, 3], "what was there is told")
    await emit(nats_client, bus, event(4, other, "JobSucceeded"), event(5, job, "JobSucceeded"))
    await asyncio.wait_for(following, 10)
    assert found == [1, 3, 5]
    assert [one.position async for one in client.job_events(job, 3)] == [3, 5]


async def test_live_events_are_only_new_ones(client: AsyncClient, nats_client: BusClient, bus: Subjects) -> None:
    job = new_id()
    await emit(nats_client, bus, event(1, job))
    live = client.events("live", aggregate="fine_tuning_job")
    first = asyncio.create_task(anext(live))

    async def waiting() -> bool:
        info = await nats_client.jsm().consumers_info(bus.events_stream)
        return any(consumer.config.deliver_subject for consumer in info)

    await until(waiting, "it follows")
    await emit(nats_client, bus, event(2, job))
    assert (await asyncio.wait_for(first, 10)).position == 2
    await live.aclose()


async def test_following_goes_on_after_a_crash(private_nats_server: NatsServer, namespace: str) -> None:
    subjects, job = Subjects(namespace), new_id()
    server_side = await connect_to(private_nats_server.url, "relay", wait=5)
    await topology.apply(server_side, subjects)
    client = await AsyncClient.connect(private_nats_server.url, namespace)
    await emit(server_side, subjects, *(event(number, job) for number in range(1, 6)))
    found: list[int] = []

    async def follow() -> None:
        async for one in client.job_events(job):
            found.append(one.position)

    following = asyncio.create_task(follow())
    await until(lambda: len(found) == 5, "the first are told")
    private_nats_server.kill()
    private_nats_server.start()
    await until(lambda: server_side.is_connected, "connected again")
    await emit(server_side, subjects, event(6, job), event(7, job, "JobStopped"))
    await asyncio.wait_for(following, 20)
    assert found == [1, 2, 3, 4, 5, 6, 7]
    await client.close()
    await server_side.close()


async def test_telemetry_is_followed_from_the_beginning(
    client: AsyncClient, nats_client: BusClient, bus: Subjects
) -> None:
    job = new_id()
    for attempt in (1, 2):
        lines = [json.dumps({"n": 1, "t": 1.0, "k": "metric", "step": 1, "values": {"loss": "NaN"}}).encode()]
        body = telemetry.batch_bytes(job, attempt, lines)
        await publish(nats_client.jetstream(), bus.telemetry(job, attempt), body, stream=bus.telemetry_stream)
    found = client.telemetry(job)
    assert [(await asyncio.wait_for(anext(found), 5)).attempt for _ in range(2)] == [1, 2]
    await found.aclose()


@pytest.mark.usefixtures("registry")
async def test_the_plain_client_does_the_same(
    nats_client: BusClient, bus: Subjects, nats_url: str, namespace: str
) -> None:
    job = new_id()
    await emit(nats_client, bus, event(1, job), event(2, job, "JobFailed"))

    def program() -> tuple[str | None, list[int], list[str]]:
        with Client.connect(nats_url, namespace) as studio:
            outcome = studio.add_dataset(name="faq", path="faq.csv")
            positions = [one.position for one in studio.job_events(job)]
            with pytest.raises(TunebusError, match="nobody answered"):
                studio._run(studio._client.request("nowhere.at.all", {}, timeout=0.2))
            return outcome.id, positions, [thread.name for thread in threading.enumerate()]

    name, positions, threads = await asyncio.to_thread(program)
    assert (name, positions) == ("faq", [1, 2])
    assert "tunebus-client" in threads
    assert "tunebus-client" not in [thread.name for thread in threading.enumerate()]


@pytest.mark.usefixtures("bus")
async def test_a_plain_iterator_can_be_left_early(nats_url: str, namespace: str, nats_client: BusClient) -> None:
    await emit(nats_client, Subjects(namespace), *(event(number, "job") for number in range(1, 4)))

    def program() -> list[int]:
        with Client.connect(nats_url, namespace) as studio:
            following: Iterator[EventEnvelope] = studio.events()
            return [next(following).position, next(following).position]

    assert await asyncio.to_thread(program) == [1, 2]


async def test_a_closed_client_says_so(nats_url: str, namespace: str) -> None:
    def program() -> TunebusError:
        studio = Client.connect(nats_url, namespace)
        studio.close()
        studio.close()
        with pytest.raises(TunebusError) as closed:
            studio.list_datasets()
        return closed.value

    assert (await asyncio.to_thread(program)).problem.code is Code.UNAVAILABLE


async def test_connecting_to_nobody_is_unavailable_without_the_password(tmp_path: Path) -> None:
    with pytest.raises(TunebusError) as failed:
        await AsyncClient.connect("nats://tunebus:secret-word@127.0.0.1:1", connect_timeout=0.3)
    assert failed.value.problem.code is Code.UNAVAILABLE
    assert "secret-word" not in failed.value.problem.message


async def test_a_wrong_password_is_not_permitted(nats_server: NatsServer) -> None:
    with pytest.raises(TunebusError) as refused:
        await AsyncClient.connect(f"nats://tunebus:wrong@127.0.0.1:{nats_server.port}", connect_timeout=30)
    assert refused.value.problem.code is Code.NOT_PERMITTED


def test_the_studio_is_found_by_url_or_by_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TUNEBUS_NATS_URL", raising=False)
    monkeypatch.setenv("TUNEBUS_HOME", str(tmp_path))
    with pytest.raises(TunebusError, match="no studio runs"):
        find_url()
    for not_yet in ('{"nats_url": null}', '{"services": "x"}', '"x"'):
        (tmp_path / "run.json").write_text(not_yet)
        with pytest.raises(TunebusError, match="no studio runs"):
            find_url()
    (tmp_path / "run.json").write_text('{"nats_url": "nats://home"}')
    assert find_url() == "nats://home"
    monkeypatch.setenv("TUNEBUS_NATS_URL", "nats://set")
    assert find_url() == "nats://set"
    assert find_url(tmp_path) == "nats://home"
