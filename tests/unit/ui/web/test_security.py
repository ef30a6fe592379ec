"""The guard around the pages, spoken to as a browser or another site would."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from tunebus.ui.web.security import HEADERS, Guard, Message, Receive, Scope, Send

LIMIT = 1000
LAX = [(b"x-frame-options", b"ALLOWALL"), (b"Access-Control-Allow-Origin", b"*"), (b"cache-control", b"max-age=9")]


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with the number of bytes of the body, reading all of it first."""
    size = 0
    while True:
        message = await receive()
        size += len(message.get("body", b""))
        if not message.get("more_body"):
            break
    await send({"type": "http.response.start", "status": 200, "headers": LAX})
    await send({"type": "http.response.body", "body": str(size).encode()})


@pytest.fixture
async def browser() -> AsyncIterator[httpx.AsyncClient]:
    guard = Guard(echo, hosts=["studio.example", "Other.example:8443", "fd00::7", ""], body_limit=LIMIT)
    transport = httpx.ASGITransport(guard)  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:7860") as client:
        yield client


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1:7860", "localhost:1234", "[::1]:7860", "studio.example", "LOCALHOST", "other.example", "[fd00::7]:1"],
)
async def test_trusted_hosts_are_served(browser: httpx.AsyncClient, host: str) -> None:
    assert (await browser.get("/", headers={"host": host})).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "", "[", "localhost.", "evil@localhost.example"]
)
async def test_other_hosts_are_refused_in_words(browser: httpx.AsyncClient, host: str) -> None:
    answer = await browser.get("/", headers={"host": host})
    assert answer.status_code == 421
    assert answer.json()["error"]["param"] == "Host"
    assert "TUNEBUS_UI_ALLOWED_HOSTS" in answer.json()["error"]["hint"]


@pytest.mark.parametrize("origin", ["https://evil.example", "http://127.0.0.1:9999", "null", "http://localhost:7860"])
async def test_a_foreign_origin_cannot_change_anything(browser: httpx.AsyncClient, origin: str) -> None:
    answer = await browser.post("/", content=b"x", headers={"origin": origin})
    assert answer.status_code == 403
    assert answer.json()["error"]["code"] == "not_permitted"


async def test_the_own_origin_can(browser: httpx.AsyncClient) -> None:
    answer = await browser.post("/", content=b"xyz", headers={"origin": "http://127.0.0.1:7860"})
    assert (answer.status_code, answer.text) == (200, "3")


async def test_another_origin_may_not_even_read(browser: httpx.AsyncClient) -> None:
    assert (await browser.get("/", headers={"origin": "http://localhost:9999"})).status_code == 403
    assert (await browser.options("/", headers={"origin": "http://localhost:9999"})).status_code == 403


async def test_nothing_is_shared_with_other_origins_nor_kept(browser: httpx.AsyncClient) -> None:
    answer = await browser.get("/")
    assert not [name for name in answer.headers if name.startswith("access-control-")]
    assert answer.headers.get_list("cache-control") == ["no-store"]
    assert (await browser.get("/assets/index.js")).headers.get_list("cache-control") == ["max-age=9"]


async def test_another_site_without_an_origin_is_told_by_fetch_metadata(browser: httpx.AsyncClient) -> None:
    assert (await browser.post("/", headers={"sec-fetch-site": "cross-site"})).status_code == 403
    assert (await browser.post("/", headers={"sec-fetch-site": "same-origin"})).status_code == 200


async def test_a_body_over_the_limit_is_refused_by_its_length(browser: httpx.AsyncClient) -> None:
    answer = await browser.post("/", content=bytes(LIMIT + 1))
    assert answer.status_code == 413
    assert answer.json()["error"]["code"] == "too_large"
    assert (await browser.post("/", content=bytes(LIMIT))).text == str(LIMIT)


async def test_a_body_over_the_limit_is_refused_while_it_streams(browser: httpx.AsyncClient) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(50):
            yield bytes(100)

    answer = await browser.post("/", content=endless())
    assert answer.status_code == 413


async def test_an_inner_error_page_does_not_hide_the_refusal() -> None:
    async def reads(request: Request) -> Response:
        return Response(str(len(await request.body())))

    inner = Starlette(routes=[Route("/", reads, methods=["POST"])])

    async def endless() -> AsyncIterator[bytes]:
        for _ in range(50):
            yield bytes(100)

    transport = httpx.ASGITransport(Guard(inner, body_limit=LIMIT))  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        answer = await client.post("/", content=endless())
    assert answer.status_code == 413
    assert answer.json()["error"]["code"] == "too_large"


async def test_every_answer_carries_the_headers_once(browser: httpx.AsyncClient) -> None:
    for answer in (await browser.get("/"), await browser.get("/", headers={"host": "evil.example"})):
        for name, value in HEADERS:
            assert answer.headers.get_list(name.decode()) == [value.decode()]


async def test_a_websocket_of_another_origin_is_closed() -> None:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def never(scope: Scope, receive: Receive, send: Send) -> None:
        raise AssertionError("reached the app")

    headers = [(b"host", b"localhost:7860"), (b"origin", b"https://evil.example")]
    await Guard(never, body_limit=LIMIT)({"type": "websocket", "headers": headers}, receive, send)
    assert sent == [{"type": "websocket.close", "code": 1008}]
