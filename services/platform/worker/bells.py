"""The doorbell: `JobQueued` events from a durable consumer, one at a time and only while the worker is free.

A bell carries no decision; losing one costs at most an idle period. A bell that is no event becomes a dead letter.
"""

from __future__ import annotations

import asyncio
import logging

from nats.aio.client import Client
from nats.aio.msg import Msg
from pydantic import ValidationError
from tunebus.contracts import strictjson
from tunebus.contracts.envelope import EventEnvelope
from tunebus.contracts.errors import TunebusError
from tunebus.contracts.subjects import Subjects
from tunebus.services.platform.delivery import later, terminate
from tunebus.services.platform.pull import StandingPull
from tunebus.services.platform.worker.calls import Registry

logger = logging.getLogger(__name__)


class Bells:
    """Pulls from the consumer of one kind of worker; the consumer must exist."""

    def __init__(self, client: Client, subjects: Subjects, consumer: str, registry: Registry) -> None:
        self._registry = registry
        self._pull = StandingPull(client, subjects.events_stream, consumer, batch=1)

    async def next(self, seconds: float) -> Msg | None:
        """The next bell, or None after `seconds` without one. Errors: `unavailable` when the consumer is gone."""
        try:
            async with asyncio.timeout(seconds):
                while True:
                    [message] = await anext(self._pull)
                    if await self._is_bell(message):
                        return message
        except TimeoutError:
            return None

    async def pause(self) -> None:
        """Leave the bells to others while this worker has a job."""
        await self._pull.pause()

    async def close(self) -> None:
        await self._pull.close()

    async def _is_bell(self, message: Msg) -> bool:
        try:
            EventEnvelope.model_validate(strictjson.loads(message.data))
        except (TunebusError, ValidationError) as error:
            await self._give_up(message, _reason(error))
            return False
        return True

    async def _give_up(self, message: Msg, reason: str) -> None:
        try:
            await terminate(message, reason, self._registry.record_dead_letter)
        except TunebusError as error:
            logger.warning("a bad bell is kept for later: %s", error)
            await later(message)


def _reason(error: TunebusError | ValidationError) -> str:
    if isinstance(error, TunebusError):
        return error.problem.message
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    return f"not an event: {'.'.join(str(part) for part in first['loc'])}: {first['msg']}"
