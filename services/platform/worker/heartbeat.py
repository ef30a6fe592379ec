"""Renews an attempt's lease and hands over what the registry wants of it.

Silence never harms a child: only a reply can.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

from tunebus.contracts.errors import TunebusError
from tunebus.contracts.rpc import HeartbeatReply

RETRY_SECONDS = 2.0

logger = logging.getLogger(__name__)

Ask = Callable[[float], Awaitable[HeartbeatReply]]
"""Sends one heartbeat, waiting at most so many seconds for the reply."""


class Heartbeat:
    """Asks every third of a lease, sooner after silence; each reply goes to `obey`."""

    def __init__(self, ask: Ask, obey: Callable[[HeartbeatReply], None], lease_seconds: float) -> None:
        self._ask = ask
        self._obey = obey
        self._lease_seconds = lease_seconds
        self._asked_at = time.monotonic()
        self._silent = False
        self._turn = asyncio.Lock()

    async def run(self) -> None:
        while True:
            heard = await self.beat()
            period = self._lease_seconds / 3
            await asyncio.sleep(period if heard else min(period, RETRY_SECONDS))

    async def fresh(self) -> None:
        """Ask at once when a whole lease went by without asking: this process, or its machine, was paused."""
        if time.monotonic() - self._asked_at > self._lease_seconds:
            logger.warning("paused for longer than the lease: asking whether the attempt is still ours")
            await self.beat()

    async def beat(self) -> bool:
        """Ask once; False when nobody answered."""
        async with self._turn:
            self._asked_at = time.monotonic()
            try:
                reply = await self._ask(min(self._lease_seconds / 3, 5.0))
            except TunebusError as error:
                if not self._silent:
                    logger.warning("no heartbeat reply, the child goes on: %s", error)
                self._silent = True
                return False
        if self._silent:
            logger.info("the registry answers again")
        self._silent = False
        self._lease_seconds = reply.lease_seconds
        self._obey(reply)
        return True
