"""Requests are answered with JSON whatever happens, by one member of a group, on the connection we already have."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
from tunebus.contracts import strictjson
from tunebus.contracts.errors import Code, fail
from tunebus.services.platform.broker import SharedBroker, answer, make_broker
from tunebus.services.platform.connection import BusClient

from tests.fixtures.nats import until

SECRET = "what no user may see"


async def handler(body: bytes) -> Mapping[str, Any]:
    asked = strictjson.loads(body)
    match asked:
        case {"fail": True}:
            raise RuntimeError(SECRET)
        case {"missing": name}:
            raise fail(Code.NOT_FOUND, f"no dataset {name!r}", param="id")
        case {"bytes": size}:
            return {"text": "x" * size}
        case {"nan": True}:
            return {"value": float("nan")}
        case _:
            return {"asked": asked}


@pytest.fixture
async def broker(nats_client: BusClient, namespace: str) -> AsyncIterator[SharedBroker]:
    broker = make_broker(nats_client)
    answer(broker, f"{namespace}.query.Ask", "registry", handler)
    await broker.start()
    await nats_client.flush()
    yield broker
    await broker.stop()


@pytest.mark.usefixtures("broker")
@pytest.mark.parametrize(
    ("body", "answered"),
    [
        (b'{"a":1}', {"asked": {"a": 1}}),
        (b'{"missing":"faq"}', {"code": "not_found", "message": "no dataset 'faq'", "param": "id"}),
        (b"", {"code": "malformed", "message": "empty message"}),
        (b"{", {"code": "malformed"}),
        (b"\xff\xfe", {"code": "malformed"}),
        (b'{"fail":true}', {"code": "internal", "message": "the request failed; the log has the details"}),
        (b'{"nan":true}', {"code": "internal"}),
        (b'{"bytes":9000000}', {"code": "too_large"}),
    ],
)
async def test_every_request_is_answered(
    nats_client: BusClient, namespace: str, body: bytes, answered: dict[str, Any]
) -> None:
    headers = {"content-type": "application/json"}
    reply = await nats_client.request(f"{namespace}.query.Ask", body, timeout=5, headers=headers)
    document = json.loads(reply.data)
    found = document.get("error", document)
    assert {name: found[name] for name in answered} == answered
    assert SECRET.encode() not in reply.data


async def test_a_group_shares_the_requests(nats_client: BusClient, broker: SharedBroker, namespace: str) -> None:
    taken: list[str] = []

    def member(name: str) -> SharedBroker:
        async def reply(_: bytes) -> Mapping[str, Any]:
            taken.append(name)
            return {"by": name}

        made = make_broker(nats_client)
        answer(made, f"{namespace}.query.Shared", "registry", reply)
        return made

    members = [member("one"), member("two")]
    for one in members:
        await one.start()
    for _ in range(40):
        await nats_client.request(f"{namespace}.query.Shared", b"{}", timeout=5)
    assert len(taken) == 40
    assert set(taken) == {"one", "two"}
    for one in members:
        await one.stop()


async def test_a_slow_answer_holds_up_no_other(nats_client: BusClient, namespace: str) -> None:
    gate = asyncio.Event()

    async def reply(body: bytes) -> Mapping[str, Any]:
        if body == b"slow":
            await gate.wait()
        return {"body": body.decode()}

    broker = make_broker(nats_client)
    answer(broker, f"{namespace}.query.Mixed", "registry", reply)
    await broker.start()
    slow = asyncio.create_task(nats_client.request(f"{namespace}.query.Mixed", b"slow", timeout=10))
    quick = await nats_client.request(f"{namespace}.query.Mixed", b"quick", timeout=5)
    assert json.loads(quick.data) == {"body": "quick"}
    assert not slow.done()
    gate.set()
    assert json.loads((await slow).data) == {"body": "slow"}
    await broker.stop()


async def test_stopping_leaves_the_connection_to_its_owner(nats_client: BusClient, namespace: str) -> None:
    broker = make_broker(nats_client)
    answer(broker, f"{namespace}.query.Ask", "registry", handler)
    await broker.start()
    await broker.stop()
    assert nats_client.is_connected
    received: list[bytes] = []

    async def take(message: Any) -> None:
        received.append(message.data)

    await nats_client.subscribe(f"{namespace}.still", cb=take)
    await nats_client.publish(f"{namespace}.still", b"here")
    await until(lambda: received == [b"here"], "the connection works")
