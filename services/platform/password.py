"""The password of the pages: a scrypt hash in a file of the home that its owner alone reads, or a file that is named.

No event, log or message holds it. Pages that others can reach are not served without one.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import ipaddress
import json
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from tunebus.contracts.errors import Code, TunebusError, fail
from tunebus.services.platform.settings import Settings

FOLDER = "pages"
SHORTEST, LONGEST = 8, 1024
_COST, _BLOCK, _LANES = 2**15, 8, 1  # 32 MiB and about a tenth of a second
_MEMORY = 64 * 1024**2

_HINT = (
    "set one with `tunebus password set`, or name a file that holds one in TUNEBUS_UI_PASSWORD_FILE; then put a proxy"
    " with TLS in front and name the address that people open in TUNEBUS_UI_ALLOWED_HOSTS. Without a password keep"
    " TUNEBUS_UI_HOST=127.0.0.1 and come through an SSH tunnel, or leave the pages out (--no-ui)"
)


@dataclass(frozen=True)
class Password:
    """A password as it is kept. `matches` takes a tenth of a second on purpose."""

    salt: bytes
    digest: bytes
    cost: int = _COST

    def matches(self, given: str) -> bool:
        return hmac.compare_digest(self.digest, _digest(given, self.salt, self.cost))


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a server that is bound to `host`."""
    if host.lower() == "localhost":
        return True
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    return False


def demand(settings: Settings) -> None:
    """Refuse to serve pages that others reach without a password. Errors: `not_permitted`, `invalid` for a bad file."""
    if current(settings) is None and not is_loopback(settings.ui_host):
        raise fail(
            Code.NOT_PERMITTED,
            f"the pages would listen on {settings.ui_host!r}, where others reach them, without a password",
            param="TUNEBUS_UI_HOST",
            hint=_HINT,
        )


def current(settings: Settings) -> Password | None:
    """The password that is asked for now; None where there is none. Errors: `invalid` for a file that holds none."""
    if settings.ui_password_file is not None:
        return _of_file(settings.ui_password_file, session_secret(settings.home))
    return _kept(settings.home)


def stamp(settings: Settings) -> tuple[int, ...]:
    """Changes whenever the password may have."""
    with contextlib.suppress(OSError):
        found = (settings.ui_password_file or _file(settings.home)).stat()
        return (found.st_mtime_ns, found.st_size, found.st_ino)
    return ()


def set_password(home: Path, password: str) -> None:
    """Keep the hash of a password; every session ends. Errors: `invalid`, naming what is wrong with it."""
    _check(password)
    salt = secrets.token_bytes(16)
    digest = _digest(password, salt, _COST)
    document = {"scheme": "scrypt", "cost": _COST, "salt": _text(salt), "digest": _text(digest)}
    write_private(_file(home), json.dumps(document))


def remove_password(home: Path) -> bool:
    """Ask for none any more. False when there was none."""
    try:
        _file(home).unlink()
    except FileNotFoundError:
        return False
    return True


def session_secret(home: Path) -> bytes:
    """What sessions of this home are signed with, beside the password."""
    file = home / FOLDER / "session-secret"
    if not file.exists():
        write_private(file, secrets.token_hex(32))
    return bytes.fromhex(file.read_text())


def write_private(file: Path, text: str) -> None:
    """Replace a file that its owner alone may read, whole or not at all. Errors: `not_permitted`."""
    draft = file.with_name(f"{file.name}.{secrets.token_hex(4)}")
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as opened:
            opened.write(text)
            opened.flush()
            os.fsync(opened.fileno())
        draft.replace(file)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise fail(Code.NOT_PERMITTED, f"{file} cannot be written: {error.strerror}", param="TUNEBUS_HOME") from None


def _file(home: Path) -> Path:
    return home / FOLDER / "password"


def _kept(home: Path) -> Password | None:
    file = _file(home)
    try:
        document = json.loads(file.read_text())
        salt, digest = (base64.b64decode(document[name], validate=True) for name in ("salt", "digest"))
        cost = int(document["cost"])
        if document["scheme"] != "scrypt" or not 2**10 <= cost <= 2**16:
            raise ValueError
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError):
        raise _bad(file, "tunebus password set") from None
    return Password(salt, digest, cost)


def _of_file(file: Path, salt: bytes) -> Password:
    """The first line of a file, as orchestrators hand secrets over."""
    try:
        password = file.read_text().splitlines()[0]
        _check(password)
    except TunebusError as error:
        raise fail(Code.INVALID, error.problem.message, param="TUNEBUS_UI_PASSWORD_FILE") from None
    except (OSError, ValueError, IndexError):
        raise _bad(file, "a file whose first line is the password") from None
    return Password(salt, _digest(password, salt, _COST))


def _bad(file: Path, hint: str) -> TunebusError:
    return fail(Code.INVALID, f"{file} cannot be read as a password", param="TUNEBUS_UI_PASSWORD_FILE", hint=hint)


def _check(password: str) -> None:
    if not SHORTEST <= len(password) <= LONGEST:
        raise fail(Code.INVALID, f"a password has {SHORTEST} to {LONGEST} characters", param="password")


def _digest(password: str, salt: bytes, cost: int) -> bytes:
    return hashlib.scrypt(
        password.encode("utf-8", "surrogatepass"), salt=salt, n=cost, r=_BLOCK, p=_LANES, maxmem=_MEMORY, dklen=32
    )


def _text(value: bytes) -> str:
    return base64.b64encode(value).decode()
