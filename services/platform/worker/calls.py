"""The registry as a worker sees it: claims, heartbeats and dead letters by request and reply.

A call that gets no reply raises `unavailable` and means nothing: the caller asks again.
"""

from __future__ import annotations

from typing import TypeVar

from nats.aio.client import Client
from nats.errors import Error as BusError
from pydantic import BaseModel, ValidationError
from tunebus.contracts import rpc, strictjson
from tunebus.contracts.errors import Code, Problem, TunebusError, fail
from tunebus.contracts.subjects import Subjects

TIMEOUT = 5.0

R = TypeVar("R", bound=BaseModel)


class Registry:
    """The calls. Errors: `unavailable` without a reply, else the registry's own refusal."""

    def __init__(self, client: Client, subjects: Subjects, timeout: float = TIMEOUT) -> None:
        self._client = client
        self._timeout = timeout
        self._subjects = subjects

    async def claim(self, call: rpc.ClaimJob) -> rpc.ClaimReply:
        return await self._call(rpc.CLAIM_JOB, call, rpc.ClaimReply, self._timeout)

    async def heartbeat(self, call: rpc.Heartbeat, timeout: float) -> rpc.HeartbeatReply:
        return await self._call(rpc.HEARTBEAT, call, rpc.HeartbeatReply, timeout)

    async def record_dead_letter(self, call: rpc.RecordDeadLetter) -> None:
        await self._ask(rpc.RECORD_DEAD_LETTER, call, self._timeout)

    async def _call(self, name: str, call: BaseModel, kind: type[R], timeout: float) -> R:
        document = await self._ask(name, call, timeout)
        try:
            return kind.model_validate(document)
        except ValidationError as error:
            raise fail(Code.UNAVAILABLE, f"{name}: the reply cannot be read ({error.error_count()} errors)") from None

    async def _ask(self, name: str, call: BaseModel, timeout: float) -> object:
        if not self._client.is_connected:
            raise fail(Code.UNAVAILABLE, f"{name}: the bus is away")
        try:
            reply = await self._client.request(self._subjects.rpc(name), call.model_dump_json().encode(), timeout)
        except (BusError, OSError) as error:
            raise fail(Code.UNAVAILABLE, f"{name}: no reply ({type(error).__name__})") from None
        document = strictjson.loads(reply.data) if reply.data.strip() else {}
        problem = document.get("error") if isinstance(document, dict) else None
        if isinstance(problem, dict):
            raise TunebusError(_problem(problem))
        return document


def _problem(document: dict[str, object]) -> Problem:
    try:
        return Problem.model_validate(document)
    except ValidationError:
        return Problem(code=Code.INTERNAL, message=str(document.get("message") or "refused without a reason"))
