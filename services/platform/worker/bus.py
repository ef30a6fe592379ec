"""What a worker says and hears while it has a job: telemetry, reports, the bell of a stop. One per process."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as BusError
from tunebus.contracts.client import AsyncClient
from tunebus.contracts.envelope import CommandEnvelope, Outcome
from tunebus.contracts.errors import Code, fail
from tunebus.contracts.subjects import Subjects
from tunebus.services.platform.publish import publish

OUTCOME_SECONDS = 10.0


class Bus:
    """Sending, with one attempt a call: the callers' queues and spools do the repeating.

    Nothing is handed to a connection that is away, where it would pile up in a buffer.
    """

    def __init__(self, client: Client, subjects: Subjects, worker_id: str) -> None:
        self._client = client
        self._worker_id = worker_id
        self._subjects = subjects
        self._stream = client.jetstream()
        self._commands = AsyncClient(client, subjects, source=worker_id, timeout=OUTCOME_SECONDS)

    @property
    def is_connected(self) -> bool:
        return self._client.is_connected

    async def send(self, job_id: str, attempt: int, body: bytes, message_id: str) -> None:
        """One telemetry message; returns when the stream has it."""
        self._check()
        subject = self._subjects.telemetry(job_id, attempt)
        await publish(
            self._stream, subject, body, stream=self._subjects.telemetry_stream, message_id=message_id, attempts=1
        )

    async def report(self, name: str, data: dict[str, Any], context: str, command_id: str) -> Outcome:
        """One report; returns its outcome. Errors: `not_confirmed`, `unavailable`."""
        self._check()
        envelope = CommandEnvelope(id=command_id, type=name, data=data, source=self._worker_id, actor=self._worker_id)
        return await self._commands.send_envelope(envelope, context)

    @contextlib.asynccontextmanager
    async def stop_bell(self, kind: str, job_id: str, answer: Callable[[], Awaitable[object]]) -> AsyncIterator[None]:
        """Call `answer` as soon as somebody asks to stop the job. A bell alone: a heartbeat's reply says what to do."""

        async def heard(_: Msg) -> None:
            await answer()

        subject = self._subjects.event(kind, job_id, "StopRequested")
        subscription = await self._client.subscribe(subject, cb=heard)
        try:
            yield
        finally:
            with contextlib.suppress(BusError):
                await subscription.unsubscribe()

    def _check(self) -> None:
        if not self._client.is_connected:
            raise fail(Code.UNAVAILABLE, "the bus is away")
