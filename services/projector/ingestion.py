"""From the telemetry stream to the tables: take what is there, write it in one transaction, then acknowledge.

It decides nothing. A database that is away costs no message and no delivery: the batch waits for it.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Sequence

from nats.aio.msg import Msg
from tunebus.contracts.errors import Code, TunebusError, fail
from tunebus.contracts.rpc import RecordDeadLetter
from tunebus.services.platform import delivery
from tunebus.services.platform.pull import StandingPull
from tunebus.services.projector.parsing import Rows, parse
from tunebus.services.projector.store import Store

RecordLetter = Callable[[RecordDeadLetter], Awaitable[None]]

_FIRST_PAUSE = 0.25
_LONGEST_PAUSE = 5.0
_WAITED_FOR = frozenset({Code.UNAVAILABLE, Code.DISK_FULL})
_log = logging.getLogger(__name__)


class Ingestion:
    """Writes batches until the pull is closed. `written` counts metric points."""

    def __init__(self, pull: StandingPull, store: Store, record: RecordLetter) -> None:
        self._pull = pull
        self._store = store
        self._record = record
        self._stop = asyncio.Event()
        self.written = 0

    async def run(self) -> None:
        """Errors: `unavailable` when the stream's consumer is gone."""
        async for messages in self._pull:
            await self.take(messages)

    async def stop(self) -> None:
        """End `run` after the batch in hand; what was not taken is delivered again."""
        self._stop.set()
        await self._pull.close()

    async def take(self, messages: Sequence[Msg]) -> None:
        """Write some messages and settle each one."""
        rows, good, bad = await asyncio.to_thread(_read, messages)
        try:
            if not await self._write(rows, messages):
                return  # stopping: nothing was kept, so all of it comes again
        except Exception:
            _log.exception("a batch could not be written; its messages are tried one by one")
            if len(messages) > 1:
                for message in messages:
                    await self.take([message])
                return
            good, bad = [], [(messages[0], fail(Code.INVALID, "the database refuses its rows"))]
        self.written += len(rows.metrics)
        for message in good:
            await message.ack()
        for message, problem in bad:
            _log.warning(
                "a telemetry message goes to the dead letters",
                extra={"subject": message.subject, "reason": problem.problem.message},
            )
            try:
                await delivery.settle(message, problem, self._record)
            except TunebusError as error:  # the registry is away: the message comes again
                _log.warning("a dead letter was not recorded", extra={"reason": error.problem.message})

    async def _write(self, rows: Rows, messages: Sequence[Msg]) -> bool:
        """Write, waiting as long as the database cannot be used; False when told to stop meanwhile."""
        pause = _FIRST_PAUSE
        while True:
            try:
                await delivery.kept_alive(asyncio.to_thread(self._store.write, rows), messages)
                return True
            except TunebusError as error:
                if error.problem.code not in _WAITED_FOR:
                    raise
                _log.warning("telemetry waits for the database", extra={"reason": error.problem.message})
            await self._pull.pause()
            try:
                waiting = asyncio.wait_for(self._stop.wait(), pause * random.uniform(0.8, 1.2))  # noqa: S311
                await delivery.kept_alive(waiting, messages)
                return False
            except TimeoutError:
                pause = min(2 * pause, _LONGEST_PAUSE)


def _read(messages: Sequence[Msg]) -> tuple[Rows, list[Msg], list[tuple[Msg, TunebusError]]]:
    """The rows of all messages, those that are sound, and those that are not, wholly or in part."""
    rows, good, bad = Rows(), list[Msg](), list[tuple[Msg, TunebusError]]()
    for message in messages:
        try:
            found, problem = parse(message.data, message.subject)
        except TunebusError as error:
            bad.append((message, error))
            continue
        rows.merge(found)
        if problem is None:
            good.append(message)
        else:
            bad.append((message, problem))
    return rows, good, bad
