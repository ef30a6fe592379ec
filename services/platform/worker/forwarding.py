"""Follows one attempt's spool and sends it to the telemetry stream, about one message a second, more when behind.

The file is the spool: nothing here ever waits for, or is waited for by, a training step.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from nats.errors import Error as BusError
from tunebus.contracts.errors import TunebusError
from tunebus.contracts.telemetry import batch_bytes
from tunebus.services.platform.worker.folder import AttemptFolder
from tunebus.services.platform.worker.spool import Sent, newest, read_batch

PERIOD = 1.0
UNSENDABLE = (TunebusError, BusError, OSError)

logger = logging.getLogger(__name__)


class Stream(Protocol):
    """Where batches go. `send` returns once the stream has stored the message, and raises when it has not."""

    @property
    def is_connected(self) -> bool: ...

    async def send(self, job_id: str, attempt: int, body: bytes, message_id: str) -> None: ...


@dataclass
class Progress:
    """How far an attempt is, as its telemetry says. Once it trains, other phases do not count."""

    step: int = 0
    total_steps: int = 0
    is_training: bool = False


class Forwarder:
    """The sender of one folder's telemetry; `progress` is the newest that passed through it.

    `before` runs ahead of every look at the spool; the heartbeat uses it to be first after a pause.
    """

    def __init__(
        self,
        stream: Stream,
        folder: AttemptFolder,
        progress: Progress | None = None,
        before: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._stream = stream
        self._folder = folder
        self._before = before
        self._sent = Sent.read(folder)
        self._turn = asyncio.Lock()
        self._failing = False
        self.progress = progress or Progress()

    async def run(self) -> None:
        """Send what there is, every second, until cancelled. Errors of the bus are logged once and tried again."""
        while True:
            if self._before is not None:
                await self._before()
            await self._try()
            await asyncio.sleep(PERIOD)

    async def flush(self, patience: float = 30.0) -> bool:
        """Send everything there is now. Waits as long as the bus is away; gives up after `patience` seconds in which
        a connected bus refuses (the spool is then sent at a later start).
        """
        refused_since: float | None = None
        while not await self._try():
            now = time.monotonic()
            refused_since = (refused_since or now) if self._stream.is_connected else None
            if refused_since is not None and now - refused_since >= patience:
                return False
            await asyncio.sleep(min(PERIOD, patience))
        return True

    async def _try(self) -> bool:
        try:
            async with self._turn:
                while await self._send_next():
                    pass
        except UNSENDABLE as error:
            if not self._failing:
                logger.warning("telemetry waits in its spool: %s", error or type(error).__name__, extra=self._names())
            self._failing = True
            return False
        if self._failing:
            logger.info("telemetry flows again", extra=self._names())
        self._failing = False
        return True

    async def _send_next(self) -> bool:
        folder = self._folder
        batch = read_batch(folder.spool, self._sent)
        if batch is None:
            return False
        if batch.lines:
            self._remember(Sent(batch.start, batch.end))
            body = batch_bytes(folder.job_id, folder.attempt, batch.lines)
            message_id = f"{folder.job_id}/{folder.attempt}/{batch.start}-{batch.end}"
            await self._stream.send(folder.job_id, folder.attempt, body, message_id)
            self._notice(batch.lines)
        self._remember(Sent(batch.end, batch.end))
        return True

    def _remember(self, sent: Sent) -> None:
        """A disk that cannot take the offset costs at most that records are sent twice."""
        self._sent = sent
        with contextlib.suppress(OSError):
            sent.write(self._folder)

    def _notice(self, lines: list[bytes]) -> None:
        training = newest(lines, "phase", "training")
        self.progress.is_training = self.progress.is_training or training is not None
        progress = training if self.progress.is_training else newest(lines, "k", "progress")
        if progress is not None:
            self.progress.step, self.progress.total_steps = int(progress["step"]), int(progress["total"])
        metric = newest(lines, "k", "metric")
        if metric is not None:
            self.progress.step = max(self.progress.step, int(metric["step"]))

    def _names(self) -> dict[str, object]:
        return {"job_id": self._folder.job_id, "attempt": self._folder.attempt}
