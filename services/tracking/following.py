"""A mirror's subscription: what is there is handed over in order, and waits, unacknowledged, while the mirror is away.

It knows no mirror. A message that a mirror cannot make sense of becomes a dead letter and holds up nothing.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Sequence
from concurrent.futures import Executor

from nats.aio.msg import Msg
from tunebus.contracts.errors import Code, TunebusError
from tunebus.services.platform import delivery
from tunebus.services.platform.pull import StandingPull

FIRST_PAUSE = 0.5
LONGEST_PAUSE = 30.0

Take = Callable[[Sequence[Msg]], None]
_log = logging.getLogger(__name__)


class Following:
    """Hands batches of one durable consumer to `take`, which runs in a thread and raises `unavailable` to have the
    same batch again later. `name` is for the log."""

    def __init__(
        self, name: str, pull: StandingPull, take: Take, threads: Executor, record: delivery.RecordLetter
    ) -> None:
        self._name = name
        self._pull = pull
        self._take = take
        self._threads = threads
        self._record = record
        self._stop = asyncio.Event()

    async def run(self) -> None:
        """Errors: `unavailable` when the stream's consumer is gone."""
        async for messages in self._pull:
            await self._mirror(messages)

    async def stop(self) -> None:
        """End `run` after the batch in hand."""
        self._stop.set()
        await self._pull.close()

    async def _mirror(self, messages: Sequence[Msg]) -> None:
        pause = FIRST_PAUSE
        while not self._stop.is_set():
            try:
                loop = asyncio.get_running_loop()
                await delivery.kept_alive(loop.run_in_executor(self._threads, self._take, messages), messages)
            except Exception as error:
                if not isinstance(error, TunebusError) or error.problem.code != Code.UNAVAILABLE:
                    await self._one_by_one(messages, error)
                    return
                _log.warning(f"{self._name} is away", extra={"reason": error.problem.message})
            else:
                for message in messages:
                    await message.ack()
                return
            await self._pull.pause()
            try:
                waiting = asyncio.wait_for(self._stop.wait(), pause * random.uniform(0.8, 1.2))  # noqa: S311
                await delivery.kept_alive(waiting, messages)
            except TimeoutError:
                pause = min(2 * pause, LONGEST_PAUSE)

    async def _one_by_one(self, messages: Sequence[Msg], error: Exception) -> None:
        """Find the message that is to blame; it alone becomes a dead letter, or comes again after a defect of ours."""
        if len(messages) > 1:
            for message in messages:
                await self._mirror([message])
            return
        if not isinstance(error, TunebusError):
            _log.error(f"{self._name}: a message was not mirrored", exc_info=error)
        try:
            await delivery.settle(messages[0], error, self._record)
        except TunebusError as problem:  # the registry is away: the message comes again
            _log.warning("a dead letter was not recorded", extra={"reason": problem.problem.message})
