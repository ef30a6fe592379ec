"""What others want of one attempt, passed on to its child: the registry's orders, a stale attempt, the worker's end.

An order that comes before the child is started is kept; the child is then not started at all.
"""

from __future__ import annotations

import asyncio
import logging

from tunebus.contracts.rpc import HeartbeatReply
from tunebus.services.platform.worker.child import Child
from tunebus.services.platform.worker.endings import Told

SHUTDOWN_SECONDS = 10.0  # for a last checkpoint when the worker is told to go

logger = logging.getLogger(__name__)


class Control:
    """One attempt's orders. `told` remembers them for naming the end; `is_stale` means: report nothing."""

    def __init__(self, names: dict[str, object]) -> None:
        self.told = Told()
        self.is_stale = False
        self.child: Child | None = None
        self._names = names

    @property
    def wants_a_child(self) -> bool:
        """Whether nothing that was said so far forbids to start one."""
        return not (self.is_stale or self.told.kill or self.told.stop or self.told.shutdown)

    def obey(self, reply: HeartbeatReply) -> None:
        """Do what a heartbeat's reply says; saying it again changes nothing."""
        if reply.stale_attempt:
            self.give_up()
        elif reply.desired == "kill" and not self.told.kill:
            logger.info("told to end the child at once", extra=self._names)
            self.told.kill = True
            self._kill()
        elif reply.desired == "stop_after_checkpoint" and not self.told.stop:
            logger.info("told to stop after a checkpoint", extra=self._names)
            self.told.stop = True
            if self.child is not None:
                self.child.stop()

    def give_up(self) -> None:
        """The job belongs to another attempt, or has ended: end the child, report nothing."""
        if not self.is_stale:
            logger.warning("the attempt is stale: its child is ended", extra=self._names)
        self.is_stale = True
        self._kill()

    async def follow(self, shutdown: asyncio.Event) -> None:
        """When the worker is told to go, let the child save a checkpoint, but not for long."""
        await shutdown.wait()
        self.told.shutdown = True
        if self.child is not None:
            self.child.stop()
            if not await self.child.ended_within(SHUTDOWN_SECONDS):
                self.child.kill()

    def _kill(self) -> None:
        if self.child is not None:
            self.child.kill()
