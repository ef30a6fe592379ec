"""Messages that the server gave up on: those of its advisories become dead letters, with the message as it still is."""

from __future__ import annotations

import asyncio
import base64
import json
from concurrent.futures import Executor
from typing import Any

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.errors import NotFoundError
from sqlalchemy import Engine
from tunebus.contracts.errors import Code, fail
from tunebus.contracts.rpc import RecordDeadLetter
from tunebus.contracts.subjects import Subjects
from tunebus.services.platform import database, deadletters, delivery, topology
from tunebus.services.platform.publish import publish
from tunebus.services.platform.pull import StandingPull

TERMINATED = "io.nats.jetstream.advisory.v1.terminated"


class Advisories:
    """`run` until cancelled."""

    def __init__(self, client: Client, subjects: Subjects, engine: Engine, writer: Executor) -> None:
        self._client = client
        self._engine = engine
        self._writer = writer
        self._pull = StandingPull(client, subjects.advisories_stream, topology.ADVISORIES)

    async def run(self) -> None:
        await delivery.consume(self._pull, self._handle, self._record)

    async def close(self) -> None:
        await self._pull.close()

    async def _handle(self, message: Msg) -> None:
        """Record what the advisory is about. A message that was terminated by us has its letter already; one that is no
        longer in its stream is recorded without its body."""
        try:
            advisory = json.loads(message.data)
            stream, seq, consumer = str(advisory["stream"]), int(advisory["stream_seq"]), str(advisory["consumer"])
        except (ValueError, KeyError, TypeError):
            raise fail(Code.MALFORMED, "an advisory that cannot be read") from None
        if advisory.get("type") == TERMINATED:
            return
        reason = f"delivered {advisory.get('deliveries', '?')} times to {consumer} without being handled"
        letter = RecordDeadLetter(
            stream=stream, seq=seq, subject="unknown", data="", reason=f"{reason}; it is no longer in its stream"
        )
        try:
            found = await self._client.jsm().get_msg(stream, seq)
        except NotFoundError:
            pass
        else:
            letter = RecordDeadLetter(
                stream=stream,
                seq=seq,
                subject=found.subject or "unknown",
                headers=dict(found.headers or {}),
                data=base64.b64encode(found.data or b"").decode(),
                reason=reason,
                consumer=consumer,
            )
        await self._record(letter)

    async def _record(self, letter: RecordDeadLetter) -> None:
        await asyncio.get_running_loop().run_in_executor(self._writer, keep, self._engine, letter)


def keep(engine: Engine, letter: RecordDeadLetter) -> int:
    """Write a dead letter down. Errors: `malformed` when its data is no base64."""
    try:
        data = base64.b64decode(letter.data, validate=True)
    except ValueError:
        raise fail(Code.MALFORMED, "data is no base64", param="data") from None
    with database.write(engine) as connection:
        return deadletters.record(
            connection,
            stream=letter.stream,
            seq=letter.seq,
            subject=letter.subject,
            data=data,
            reason=letter.reason,
            headers=letter.headers,
            consumer=letter.consumer,
        )


async def resend(client: Client, subjects: Subjects, letter: deadletters.DeadLetter) -> int:
    """Publish a dead letter's message again; returns its new sequence. Errors: `unavailable`, `not_supported`.

    Only commands and telemetry: an event is the relay's to publish, and it is in the record anyway.
    """
    streams = {
        subjects.commands_stream: f"{subjects.namespace}.cmd.",
        subjects.telemetry_stream: f"{subjects.namespace}.tel.",
    }
    if letter.stream not in streams or not letter.subject.startswith(streams[letter.stream]):
        raise fail(
            Code.NOT_SUPPORTED,
            f"a message of {letter.stream} cannot be sent again",
            param="id",
            hint="events are in the record: `tunebus events list`",
        )
    # The server's own headers belong to the first delivery; whoever waited for its reply has long gone.
    headers: dict[str, Any] = {
        name: value for name, value in letter.headers.items() if not name.startswith("Nats-") and name != "reply_to"
    }
    ack = await publish(client.jetstream(), letter.subject, letter.data, stream=letter.stream, headers=headers)
    return ack.seq
