"""What a button is answered: accepted, refused or not yet, and never twice, however often it is asked."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from starlette.requests import Request
from tunebus.contracts.envelope import Outcome
from tunebus.contracts.errors import Code, Problem, TunebusError
from tunebus.services.platform.settings import load_settings
from tunebus.ui.web import acting
from tunebus.ui.web.acting import Acting, Asking, Done
from tunebus.ui.web.studio import Studio


class Registry(Studio):
    """Answers commands as the test says, and keeps outcomes by command id as the registry's inbox does."""

    def __init__(self, folder: Path) -> None:
        super().__init__(load_settings({}, home=folder))
        self.sent: list[tuple[str, str]] = []
        self.done: dict[str, str] = {}
        self.answering = asyncio.Event()
        self.answering.set()
        self.problem: Problem | None = None

    async def send(self, command: str, data: dict[str, Any], command_id: str | None = None) -> Outcome:
        assert command_id is not None
        self.sent.append((command, command_id))
        await self.answering.wait()
        if self.problem is not None:
            raise TunebusError(self.problem)
        made = self.done.setdefault(command_id, f"made-{len(self.done)}")
        return Outcome(command_id=command_id, outcome="accepted", id=made)


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(tmp_path)


@pytest.fixture
async def asked(registry: Registry) -> AsyncIterator[Acting]:
    made = Acting(registry, {"several": several, "broken": broken})
    yield made
    await made.close()


async def several(asking: Asking) -> Done:
    for part in ("one", "two"):
        await asking.send("HoldJob", {"id": part}, part)
    return Done(words="both")


async def broken(asking: Asking) -> Done:
    raise ZeroDivisionError("a secret of the code")


async def act(on: Acting, name: str, body: object, *, kind: str = "application/json") -> tuple[int, dict[str, Any]]:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": content, "more_body": False}

    scope = {"type": "http", "method": "POST", "path": "/", "headers": [(b"content-type", kind.encode())]}
    answer = await on.answer(name, Request(scope, receive))
    return answer.status_code, json.loads(answer.body)


def request(**data: Any) -> dict[str, Any]:
    return {"id": str(uuid4()), "data": data}


async def test_an_accepted_command_says_what_it_made(asked: Acting) -> None:
    assert await act(asked, "HoldJob", request(id="x")) == (
        200,
        {"outcome": "accepted", "id": "made-0", "words": "", "goto": ""},
    )


async def test_asked_again_and_again_it_is_sent_once(asked: Acting, registry: Registry) -> None:
    body = request(id="x")
    answers = [await act(asked, "HoldJob", body) for _ in range(5)]
    assert len({json.dumps(answer) for answer in answers}) == 1
    assert len(registry.sent) == 1


async def test_a_silent_registry_is_waited_for_no_longer_than_a_person_notices(
    asked: Acting, registry: Registry
) -> None:
    registry.answering.clear()
    body = request(id="x")
    begin = asyncio.get_running_loop().time()
    assert await act(asked, "HoldJob", body) == (202, {"outcome": "pending", "id": body["id"]})
    assert asyncio.get_running_loop().time() - begin < acting.ANSWER_SECONDS + 1
    assert (await act(asked, "HoldJob", body))[0] == 202
    registry.answering.set()
    for _ in range(100):
        status, answer = await act(asked, "HoldJob", body)
        if status == 200:
            break
    assert answer["id"] == "made-0"
    assert len(registry.sent) == 1


async def test_what_nobody_confirmed_is_sent_again_under_the_same_id(asked: Acting, registry: Registry) -> None:
    body = request(id="x")
    for code, status in ((Code.NOT_CONFIRMED, 202), (Code.UNAVAILABLE, 503)):
        registry.problem = Problem(code=code, message="silence")
        assert (await act(asked, "HoldJob", body))[0] == status
    registry.problem = None
    assert (await act(asked, "HoldJob", body))[0] == 200
    assert len(registry.sent) == 3
    assert {sent for _, sent in registry.sent} == {body["id"]}


async def test_a_restart_of_the_pages_does_nothing_twice(asked: Acting, registry: Registry) -> None:
    body = request()
    assert (await act(asked, "several", body))[0] == 200
    again = Acting(registry, {"several": several})
    assert (await act(again, "several", body))[0] == 200
    assert len(registry.sent) == 4
    assert len(registry.done) == 2, "each command had the same id both times"
    assert (await act(again, "several", request()))[0] == 200
    assert len(registry.done) == 4


async def test_a_refusal_names_its_fields(asked: Acting, registry: Registry) -> None:
    registry.problem = Problem(code=Code.DUPLICATE_NAME, message="is in use", param="name", hint="another one")
    status, answer = await act(asked, "HoldJob", request(id="x"))
    assert status == 409
    assert answer["error"]["param"] == "name"


async def test_a_defect_shows_no_traceback(asked: Acting) -> None:
    status, answer = await act(asked, "broken", request())
    assert (status, answer["error"]["code"]) == (500, "internal")
    assert "secret" not in json.dumps(answer)


@pytest.mark.parametrize(
    "body",
    [b"", b"x", b"[]", b"null", b"7", b'{"id": "x", "data": {}}', b'{"data": {}}', b"\xff\xfe", b"[" * 200_000,
     b'{"id": "0197a3f2-7c00-7000-8000-00000000c001", "data": []}', b'{"id": {}, "data": {}}',
     *(b'{"id": "0197a3f2-7c00-7000-8000-00000000c001", "data": {"notes": %s}}' % value
       for value in (b"NaN", b"-Infinity", b"1e400", b'"\\ud800"', b'"\\u0000"'))],
)  # fmt: skip
async def test_nonsense_is_refused(asked: Acting, registry: Registry, body: bytes) -> None:
    status, answer = await act(asked, "HoldJob", body)
    assert 400 <= status < 500
    assert answer["error"]["code"] in ("malformed", "invalid")
    assert registry.sent == []


async def test_only_public_commands_as_json_of_a_bounded_size(asked: Acting, registry: Registry) -> None:
    for name in ("RecordCheckpoint", "NoSuchCommand", "../HoldJob", "__class__"):
        assert 400 <= (await act(asked, name, request()))[0] < 500
    assert (await act(asked, "HoldJob", request(), kind="text/plain"))[0] == 400
    assert (await act(asked, "HoldJob", b" " * (acting.BODY_BYTES + 1)))[0] == 413
    assert registry.sent == []


async def test_requests_of_long_ago_are_forgotten(asked: Acting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(acting, "KEPT", 3)
    for _ in range(10):
        await act(asked, "HoldJob", request(id="x"))
    assert len(asked._asked) == 3
