"""What a page's buttons and forms do: one command, or one action of a page, asked for by JSON and answered at once.

The browser chooses the command's id, so that it may ask again and again until it has learnt what became of it.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid5

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from tunebus.contracts import strictjson
from tunebus.contracts.commands import COMMANDS
from tunebus.contracts.errors import Code, TunebusError, fail
from tunebus.ui.web.refusals import STATUS, refusal
from tunebus.ui.web.studio import Document, Studio, problem_of

ANSWER_SECONDS = 0.15
BODY_BYTES = 1_000_000
KEPT = 1_000
LENGTHY = ("AddDataset", "AddModel", "ImportDatabase")
"""Commands of actions that may take long, so that a browser asks how far they are."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Done:
    """What an action ends with: the id of what it made, words to show, and where to go, if anywhere."""

    id: str | None = None
    words: str = ""
    goto: str = ""

    def document(self) -> Document:
        return {"outcome": "accepted", "id": self.id, "words": self.words, "goto": self.goto}


@dataclass(frozen=True)
class Asking:
    """One request of a browser. `send` gives each command of an action an id of its own that is the same every time."""

    studio: Studio
    data: Mapping[str, Any]
    id: str

    async def send(self, command: str, data: Document, part: str = "") -> Any:
        """A command's outcome. `part` tells apart the commands of one action. Errors: the command's own."""
        return await self.studio.send(command, data, command_id(self.id, command, part))


Action = Callable[[Asking], Awaitable[Done]]


def command_id(asked: str, command: str, part: str = "") -> str:
    """The id of a command that an action sends for the request of the id `asked`."""
    return str(uuid5(UUID(asked), f"{command}/{part}"))


async def progress(studio: Studio, arguments: Mapping[str, str]) -> Document:
    """How far a request of a browser is: a command of its id, or one that an action sends for it."""
    try:
        asked = str(UUID(arguments.get("id", "")))
    except ValueError:
        raise fail(Code.INVALID, "is no id", param="id") from None
    found: Document = {}
    for one in (asked, *(command_id(asked, command) for command in LENGTHY)):
        found = await studio.over_bus("GetCommandProgress", command_id=one)
        if found["phase"] is not None:
            break
    return found


class Acting:
    """Answers `POST /act/NAME {"id", "data"}`. A NAME is a command's, or one of the pages' own actions."""

    def __init__(self, studio: Studio, actions: Mapping[str, Action]) -> None:
        self._studio = studio
        self._actions = {**{name: _command(name) for name, kind in COMMANDS.items() if not kind.for_workers}, **actions}
        self._asked: OrderedDict[str, asyncio.Task[Document]] = OrderedDict()

    async def answer(self, name: str, request: Request) -> Response:
        """`{"outcome": "accepted"|"pending", "id", "words", "goto"}`, or the error that it was refused with.

        `pending` says that nothing is confirmed yet: asking again with the same id does nothing twice.
        """
        try:
            asking = await self._asking(name, request)
        except TunebusError as error:
            return refusal(error)
        task = self._asked.get(asking.id)
        if task is None or (task.done() and _ended_with(task, Code.NOT_CONFIRMED, Code.UNAVAILABLE)):
            task = asyncio.create_task(self._act(name, asking))
            self._asked[asking.id] = task
            while len(self._asked) > KEPT:
                self._asked.popitem(last=False)
        await asyncio.wait({task}, timeout=ANSWER_SECONDS)
        if not task.done() or _ended_with(task, Code.NOT_CONFIRMED):
            return JSONResponse({"outcome": "pending", "id": asking.id}, 202)
        answer = task.result()
        problem = answer.get("error")
        return JSONResponse(answer, STATUS.get(Code(problem["code"]), 400) if problem else 200)

    async def close(self) -> None:
        for task in self._asked.values():
            task.cancel()

    async def _asking(self, name: str, request: Request) -> Asking:
        if name not in self._actions:
            raise fail(Code.UNKNOWN_TYPE, f"there is no action {name[:100]!r}")
        given = strictjson.loads(await json_body(request))
        try:
            asked, data = UUID(str(given["id"])), given["data"]
        except (ValueError, TypeError, KeyError):
            raise fail(Code.MALFORMED, 'must be JSON: {"id": a UUID, "data": {…}}') from None
        if not isinstance(data, dict):
            raise fail(Code.INVALID, "must be an object", param="data")
        return Asking(self._studio, data, str(asked))

    async def _act(self, name: str, asking: Asking) -> Document:
        try:
            return (await self._actions[name](asking)).document()
        except Exception as error:
            if not isinstance(error, TunebusError):
                _log.exception("an action failed", extra={"action": name})
            return {"outcome": "rejected", "error": problem_of(error).document()}


async def json_body(request: Request) -> bytes:
    """The body of a request of our own scripts. Errors: `invalid`, `too_large`."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise fail(Code.INVALID, "must be application/json", param="Content-Type")
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > BODY_BYTES:
            raise fail(Code.TOO_LARGE, f"a request is at most {BODY_BYTES // 1_000_000} MB")
    return body


def _command(name: str) -> Action:
    async def send(asking: Asking) -> Done:
        outcome = await asking.studio.send(name, dict(asking.data), asking.id)
        return Done(id=outcome.id)

    return send


def _ended_with(task: asyncio.Task[Document], *codes: Code) -> bool:
    """Whether a finished request was refused with one of these codes, of which some mean that asking again may help."""
    problem = task.result().get("error")
    return problem is not None and problem["code"] in codes
