"""The connection to NATS as every service makes it: it waits for the server, reconnects for ever and never spins.

A connection that ends for good ends the process. It knows no stream and no subject.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Callable
from typing import Any

from nats.aio.client import Client
from tunebus.contracts.errors import Code, Problem, fail
from tunebus.services.platform.home import Home
from tunebus.services.platform.logs import redact
from tunebus.services.platform.process import give_up
from tunebus.services.platform.settings import Settings

PING_INTERVAL = 10  # seconds; two pings unanswered are a dead connection
_QUIET = 30.0  # seconds between log lines about the same trouble
_log = logging.getLogger(__name__)


class BusClient(Client):
    """A nats-py client with what its own lacks: listeners for reconnects, and a reading loop that survives anything.

    nats-py 2.16 ends its reading loop, silently, on a header or subject that is not UTF-8, which any sender can
    publish. Here such a message is skipped and logged; unacknowledged, it ends among the dead letters.
    """

    def __init__(self) -> None:
        super().__init__()
        self.ending = False
        self.refused: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._listeners: list[Callable[[], None]] = []
        self._last_line = 0.0
        self._silenced = 0

    def when_reconnected(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Call `listener` after every reconnect, on the loop. Returns the function that ends this."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener) if listener in self._listeners else None

    async def close(self) -> None:
        """Close for good, on purpose: the process goes on."""
        self.ending = True
        if not self.is_connected:
            # nats-py would write these to the lost connection, fail, and leave its tasks behind.
            self._pending, self._pending_data_size = [], 0
        with contextlib.suppress(OSError):
            await super().close()

    async def drain(self) -> None:
        """Unsubscribe, finish what was received, flush and close, on purpose."""
        self.ending = True
        await super().drain()

    async def _process_msg(self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: bytes) -> None:
        try:
            await super()._process_msg(sid, subject, reply, data, headers)
        except (ValueError, IndexError) as error:
            _log.error(
                "a message that cannot be read was skipped", extra={"subject": repr(subject), "reason": str(error)}
            )

    async def on_error(self, error: Exception) -> None:
        text = redact(str(error) or type(error).__name__)
        if "authorization violation" in text.lower() and not self.refused.done():
            self.refused.set_result(text)
        now = time.monotonic()
        if now - self._last_line < _QUIET:
            self._silenced += 1
            return
        _log.warning("trouble with the bus", extra={"reason": text, "like_it_before": self._silenced})
        self._last_line, self._silenced = now, 0

    async def on_disconnect(self) -> None:
        if not self.ending:
            _log.warning("disconnected from the bus")

    async def on_reconnect(self) -> None:
        self._last_line = 0.0
        _log.info("connected to the bus again")
        for listener in list(self._listeners):
            listener()

    async def on_close(self) -> None:
        if not self.ending:
            reason = redact(str(self.last_error or "unknown"))
            give_up(
                Problem(
                    code=Code.UNAVAILABLE,
                    message=f"the connection to the bus ended for good: {reason}",
                    hint="the process ends so that its supervisor starts it anew",
                )
            )


def bus_url(settings: Settings) -> str:
    """The server to use: the one set, else that of the studio that runs on this home. Errors: `unavailable`."""
    if settings.nats_url is not None:
        return settings.nats_url.get_secret_value()
    document = Home(settings.home).read_run_file()
    url = document.get("nats_url") if document else None
    if not isinstance(url, str):
        raise fail(
            Code.UNAVAILABLE,
            f"no studio runs on {settings.home}",
            param="TUNEBUS_NATS_URL",
            hint="start one with `tunebus up`, or set TUNEBUS_NATS_URL",
        )
    return url


async def connect(settings: Settings, name: str, *, wait: float | None = None) -> BusClient:
    """Connect, waiting for the server as long as it takes, or `wait` seconds.

    Errors: `unavailable` when `wait` is over or no server is known, `not_permitted` for a wrong user or password.
    """
    return await connect_to(bus_url(settings), f"{settings.namespace}-{name}", wait=wait)


async def connect_to(url: str, name: str, *, wait: float | None = None) -> BusClient:
    """`connect` for a URL."""
    client = BusClient()
    options: dict[str, Any] = {
        "name": name,
        "allow_reconnect": True,
        "max_reconnect_attempts": -1,
        # The jitter keeps services from coming back all at once; the time is what one failed attempt costs.
        "reconnect_time_wait": random.uniform(0.25, 0.75),  # noqa: S311
        "connect_timeout": 5,
        "ping_interval": PING_INTERVAL,
        "max_outstanding_pings": 2,
        "error_cb": client.on_error,
        "disconnected_cb": client.on_disconnect,
        "reconnected_cb": client.on_reconnect,
        "closed_cb": client.on_close,
    }
    connecting = asyncio.ensure_future(client.connect(url, **options))
    either: set[asyncio.Future[Any]] = {connecting, client.refused}
    try:
        await asyncio.wait(either, timeout=wait, return_when=asyncio.FIRST_COMPLETED)
        if connecting.done():
            connecting.result()
            return client
        if client.refused.done():
            raise fail(
                Code.NOT_PERMITTED,
                f"the bus refused user or password: {client.refused.result()}",
                param="TUNEBUS_NATS_URL",
            )
        raise fail(
            Code.UNAVAILABLE,
            f"no answer from the bus at {redact(url)} within {wait:g} s",
            hint="is the studio up? `tunebus status`",
        )
    except BaseException:
        client.ending = True
        connecting.cancel()
        with contextlib.suppress(asyncio.CancelledError, Exception):
            await connecting
        with contextlib.suppress(Exception):
            await client.close()
        raise
