"""A standing pull on a durable consumer: what is there is taken at once, up to a batch, without ever waiting for more.

It survives reconnects and lost requests, never spins, and ends with a clear error when the consumer is gone. It does
not acknowledge; whoever takes messages does, after their work is committed.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import logging
from collections import deque

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.js.errors import NotFoundError
from tunebus.contracts.errors import Code, TunebusError, fail
from tunebus.services.platform.connection import BusClient

_NANOSECONDS = 1_000_000_000
_log = logging.getLogger(__name__)


class StandingPull:
    """Async iterator of lists of 1 to `batch` messages of one durable consumer.

    One request always stands at the server, so a lone message arrives at once; requests are renewed when half of the
    window (twice the batch) is used up. With `batch=1` nothing is asked for in advance: the next message is requested
    only when the taker comes back for it. `expires` and `heartbeat` are seconds.
    """

    def __init__(
        self,
        client: Client,
        stream: str,
        consumer: str,
        batch: int = 64,
        *,
        expires: float = 30.0,
        heartbeat: float = 5.0,
    ) -> None:
        self._client = client
        self._stream = stream
        self._consumer = consumer
        self._batch = batch
        self._window = 2 * batch if batch > 1 else 1
        self._expires = expires
        self._heartbeat = heartbeat
        self._buffer: deque[Msg] = deque()
        self._requested = 0  # asked for and not yet arrived
        self._requests: dict[str, int] = {}  # what is left of each request, by its number
        self._numbers = itertools.count(1)
        self._inbox = ""
        self._subscription: Subscription | None = None
        self._arrived = asyncio.Event()
        self._heard = 0.0
        self._minder: asyncio.Task[None] | None = None
        self._repair = asyncio.Event()
        self._error: TunebusError | None = None
        self._closed = False
        self._forget_listener = client.when_reconnected(self._lost) if isinstance(client, BusClient) else lambda: None

    def __aiter__(self) -> StandingPull:
        return self

    async def __anext__(self) -> list[Msg]:
        """The next messages; cancelling loses none. Errors: `unavailable` when the consumer or its stream is gone."""
        while not self._closed:
            if self._error is not None:
                raise self._error
            if self._subscription is None:
                await self._open()
            count = min(self._batch, len(self._buffer))
            ahead = count if self._batch > 1 else 0
            if self._room() + ahead >= max(1, self._window // 2):
                await self._ask(self._room() + ahead)  # before the taker's work, so that the next arrive meanwhile
            if self._buffer:
                return [self._buffer.popleft() for _ in range(min(self._batch, len(self._buffer)))]
            self._arrived.clear()
            await self._arrived.wait()
        raise StopAsyncIteration

    async def close(self) -> None:
        """Stop asking and give back, for delivery elsewhere, what was received and not taken."""
        self._closed = True
        self._forget_listener()
        if self._minder is not None:
            self._minder.cancel()
        await self.pause()
        self._arrived.set()

    async def pause(self) -> None:
        """Withdraw what was asked for and give back what was not taken; the next `anext` asks again."""
        subscription, self._subscription = self._subscription, None
        self._requested = 0
        self._requests.clear()
        buffered, self._buffer = self._buffer, deque()
        with contextlib.suppress(nats.errors.Error):
            if subscription is not None:
                await subscription.unsubscribe()
            for message in buffered:
                await message.nak()

    def _room(self) -> int:
        return self._window - self._requested - len(self._buffer)

    async def _open(self) -> None:
        self._inbox = self._client.new_inbox()
        self._subscription = await self._client.subscribe(f"{self._inbox}.*", cb=self._receive)
        self._heard = asyncio.get_running_loop().time()
        if self._minder is None:
            self._minder = asyncio.create_task(self._mind(), name=f"pull {self._consumer}")

    async def _ask(self, wanted: int) -> None:
        """Send a request for `wanted` messages; while disconnected the reconnect does it."""
        if not self._client.is_connected:
            return
        number = str(next(self._numbers))
        self._requests[number] = wanted
        self._requested += wanted
        request = {
            "batch": wanted,
            "expires": int(self._expires * _NANOSECONDS),
            "idle_heartbeat": int(self._heartbeat * _NANOSECONDS),
        }
        await self._client.publish(
            f"$JS.API.CONSUMER.MSG.NEXT.{self._stream}.{self._consumer}",
            json.dumps(request).encode(),
            reply=f"{self._inbox}.{number}",
        )

    async def _receive(self, message: Msg) -> None:
        """Take in a message, or what the server says of a request. Only the server's own messages lack an ack subject,
        so a sender's headers cannot pose as one."""
        self._heard = asyncio.get_running_loop().time()
        if message.reply.startswith("$JS.ACK."):
            self._buffer.append(message)
            self._count_arrival()
            self._arrived.set()
            return
        status = (message.headers or {}).get("Status")
        if status == "100":
            return
        left = self._requests.pop(message.subject.rsplit(".", 1)[1], 0)
        self._requested -= left
        if status in ("404", "408"):
            self._arrived.set()
        else:  # 409 consumer deleted, server shutting down, …; 503 nobody serves this consumer
            self._repair.set()

    def _count_arrival(self) -> None:
        """Requests are served in order, so an arrival counts towards the oldest one."""
        for number, left in self._requests.items():
            self._requested -= 1
            if left > 1:
                self._requests[number] = left - 1
            else:
                del self._requests[number]
            return

    def _lost(self) -> None:
        """The requests died with the old connection; ask anew."""
        self._requests.clear()
        self._requested = 0
        self._heard = asyncio.get_running_loop().time()
        self._arrived.set()

    async def _mind(self) -> None:
        """Notice requests that the server forgot and a consumer that is gone; pause longer each time in a row."""
        pause = 0.1
        missing = 0
        while True:
            try:
                async with asyncio.timeout(self._heartbeat):
                    await self._repair.wait()
            except TimeoutError:
                pause = 0.1
                silence = asyncio.get_running_loop().time() - self._heard
                if not self._requested or not self._client.is_connected or silence < 2.5 * self._heartbeat:
                    continue
                _log.warning("no heartbeat of a pull request; asking anew", extra={"consumer": self._consumer})
                self._repair.set()
            self._repair.clear()
            if self._client.is_connected:
                try:
                    await self._client.jsm().consumer_info(self._stream, self._consumer)
                except NotFoundError:
                    missing += 1
                    if missing > 1:
                        self._error = fail(
                            Code.UNAVAILABLE,
                            f"consumer {self._consumer} of stream {self._stream} is gone",
                            hint="run `tunebus topology apply`; the service starts again with what it made",
                        )
                        self._arrived.set()
                        return
                    self._repair.set()
                except nats.errors.Error:
                    self._repair.set()
                else:
                    missing = 0
                    self._lost()
            await asyncio.sleep(pause)
            pause = min(2 * pause, 5.0)
