"""Who is signed in, and who may try to: signed cookies that die with the password, and growing delays for guessers.

A session is known by its signature alone, so a restart of the pages ends none; those that were ended are remembered.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import ipaddress
import json
import logging
import re
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tunebus.contracts.errors import TunebusError
from tunebus.services.platform import password
from tunebus.services.platform.settings import Settings

IDLE_SECONDS = 12 * 3600
LONGEST_SECONDS = 7 * 86400
RENEWED_AFTER = 600

FREE_TRIES = 3
FIRST_WAIT = 1.0
LONGEST_WAIT = 300.0
FORGOTTEN_SECONDS = 3600.0
ADDRESSES = 4096

_log = logging.getLogger(__name__)
_TOKEN = re.compile(r"([0-9a-f]{32})\.([0-9]{1,12})\.([0-9]{1,12})\.([0-9a-f]{64})")


@dataclass(frozen=True)
class Session:
    id: str
    begun: int
    until: int


class Sessions:
    """The sessions of one studio. `required` tells whether any is needed."""

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.time) -> None:
        self._settings = settings
        self._clock = clock
        self._stamp: tuple[int, ...] | None = None
        self._password: password.Password | None = None
        self._broken = False
        self._secret = b""
        self._ended: dict[str, int] | None = None

    @property
    def cookie(self) -> str:
        """The cookie's name: cookies do not know ports, so two studios of one machine need two names."""
        self._look()
        return f"tunebus_session_{hashlib.sha256(self._secret).hexdigest()[:12]}"

    @property
    def required(self) -> bool:
        self._look()
        return self._broken or self._password is not None or not password.is_loopback(self._settings.ui_host)

    def matches(self, given: str) -> bool:
        """Whether this is the password. Takes a while, in whatever thread it is called."""
        self._look()
        return self._password is not None and self._password.matches(given)

    def begin(self) -> tuple[Session, str]:
        now = int(self._clock())
        session = Session(secrets.token_hex(16), now, now + IDLE_SECONDS)
        return session, self._token(session)

    def find(self, token: str) -> Session | None:
        """The session of a cookie's value, if it is ours, has not ended and the password is still the same."""
        self._look()
        found = _TOKEN.fullmatch(token)
        if found is None or self._password is None:
            return None
        session = Session(found[1], int(found[2]), int(found[3]))
        if not hmac.compare_digest(self._token(session), token):
            return None
        alive = self._clock() < min(session.until, session.begun + LONGEST_SECONDS)
        return session if alive and session.id not in self._endings() else None

    def renewed(self, session: Session) -> str | None:
        """A cookie's value that lasts longer, once the old one is worth replacing."""
        until = int(self._clock()) + IDLE_SECONDS
        return self._token(Session(session.id, session.begun, until)) if until > session.until + RENEWED_AFTER else None

    def end(self, session: Session) -> None:
        """Nobody who kept its cookie may come back with it."""
        now = self._clock()
        endings = {id: until for id, until in self._endings().items() if until > now}
        self._ended = {**endings, session.id: session.begun + LONGEST_SECONDS}
        password.write_private(self._file, json.dumps(self._ended))

    @property
    def _file(self) -> Path:
        return self._settings.home / password.FOLDER / "ended-sessions"

    def _endings(self) -> dict[str, int]:
        if self._ended is None:
            self._ended = {}
            with contextlib.suppress(OSError, ValueError, AttributeError, TypeError):
                known = json.loads(self._file.read_text())
                self._ended = {str(id): int(until) for id, until in known.items()}
        return self._ended

    def _token(self, session: Session) -> str:
        assert self._password is not None
        said = f"{session.id}.{session.begun}.{session.until}"
        key = hmac.digest(self._secret, self._password.salt + self._password.digest, "sha256")
        return f"{said}.{hmac.digest(key, said.encode(), 'sha256').hex()}"

    def _look(self) -> None:
        """Read the password anew when its file has changed. One that cannot be read lets nobody in."""
        stamp = password.stamp(self._settings)
        if stamp == self._stamp:
            return
        if not self._secret:
            self._secret = password.session_secret(self._settings.home)
        try:
            self._password, self._broken = password.current(self._settings), False
        except TunebusError as error:
            self._password, self._broken = None, True
            _log.error("nobody can sign in", extra={"reason": error.problem.message})
        self._stamp = stamp


class Tries:
    """Wrong passwords by address: a few are free, then each doubles the wait before the next."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failed: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def wait(self, address: str) -> float:
        """Seconds until this address may try again."""
        _, at = self._failed.get(_network(address), (0, 0.0))
        return max(0.0, at - self._clock())

    def begin(self, address: str) -> None:
        """Count a try as wrong before it is judged, so that many at once are no way around the wait."""
        network, now = _network(address), self._clock()
        count, at = self._failed.pop(network, (0, 0.0))
        count = 1 if now > at + FORGOTTEN_SECONDS else count + 1
        beyond = count - FREE_TRIES
        delay = min(LONGEST_WAIT, FIRST_WAIT * 2.0 ** min(beyond, 20)) if beyond >= 0 else 0.0
        self._failed[network] = (count, now + delay)
        while len(self._failed) > ADDRESSES:
            self._failed.popitem(last=False)

    def right(self, address: str) -> None:
        self._failed.pop(_network(address), None)


def _network(address: str) -> str:
    """Whoever has one IPv6 address has its whole network."""
    with contextlib.suppress(ValueError):
        found = ipaddress.ip_address(address)
        if found.version == 6:
            return str(ipaddress.ip_network((found, 64), strict=False))
    return address
