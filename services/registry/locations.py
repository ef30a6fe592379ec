"""Which paths a command may name, and how a file's place is kept: as an `artifact:` URI or as an absolute real path.

Runs where files may be touched: in a prepare child. Outside the allowed folders it never tells what exists.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from tunebus.contracts.errors import Code, TunebusError, fail, nearest
from tunebus.services.platform.home import SCHEME

# Files of the studio itself that lie in an allowed folder by default, and hold passwords or other people's rows.
_PRIVATE = ("run.json", "run.new", "nats.password", "nats", "services", "logs", "lock", "backups", "pages")
_LOOKED_AT = 1000  # names in a folder when one of them may have been meant


@dataclass(frozen=True)
class Roots:
    """The allowed folders, the artifact root and the home, as settings name them."""

    folders: tuple[Path, ...]
    artifacts: Path
    home: Path


@dataclass(frozen=True)
class Place:
    """A permitted file or folder: its real path, and the location that events keep."""

    path: Path
    location: str


def locate(given: str, roots: Roots, *, param: str = "path") -> Place:
    """Find what `given` names: an `artifact:` URI, an absolute path, or a path below one of the allowed folders.

    Errors: `not_permitted` outside of them, whether or not it exists; `not_found` inside.
    """
    if "\0" in given:
        raise fail(Code.INVALID, "a path holds no NUL character", param=param, hint="leave it out")
    artifacts = Path(os.path.realpath(roots.artifacts))
    if given.startswith(SCHEME):
        real = Path(os.path.realpath(artifacts / given.removeprefix(SCHEME).lstrip("/")))
        allowed: tuple[Path, ...] = (artifacts,)
    else:
        folders = tuple(Path(os.path.realpath(folder)) for folder in roots.folders)
        allowed = (*folders, artifacts)
        real = _real(given, allowed)
    if not any(within(real, root) for root in allowed) or is_private(real, roots, artifacts):
        raise _not_permitted(given, roots, param)
    try:
        exists = real.exists()
    except OSError:
        raise _not_permitted(given, roots, param) from None
    if not exists:
        hint = _near(real, allowed, roots, artifacts)
        raise fail(Code.NOT_FOUND, f"there is no file or folder {given}", param=param, hint=hint)
    if within(real, artifacts):
        return Place(real, SCHEME + real.relative_to(artifacts).as_posix())
    return Place(real, str(real))


def _near(real: Path, allowed: tuple[Path, ...], roots: Roots, artifacts: Path) -> str:
    """The name beside it that is nearest to one that is not there, among those that a command may name. Suffixes make
    no names alike."""
    there: dict[str, str] = {}
    if any(within(real.parent, root) for root in allowed):
        with contextlib.suppress(OSError):
            beside = list(islice(real.parent.iterdir(), _LOOKED_AT))
            there = {path.stem: path.name for path in beside if not is_private(path, roots, artifacts)}
    near = nearest(real.stem, there)
    return f"did you mean {there[near]!r}?" if near else "paths are those of the machine that the studio runs on"


def _real(given: str, allowed: tuple[Path, ...]) -> Path:
    path = Path(given)
    if path.is_absolute():
        return Path(os.path.realpath(path))
    # A relative path is below an allowed folder: the sender's own working folder is unknown here.
    candidates = [Path(os.path.realpath(root / path)) for root in allowed]
    return next((real for real in candidates if os.path.lexists(real)), candidates[0])


def within(path: Path, root: Path) -> bool:
    """Whether a real path is a folder or lies below it."""
    return path == root or root in path.parents


def is_private(real: Path, roots: Roots, artifacts: Path) -> bool:
    """Whether a real path is among the studio's own files."""
    home = Path(os.path.realpath(roots.home))
    if within(real, artifacts) or not within(real, home) or real == home:
        return False
    first = real.relative_to(home).parts[0]
    return first in _PRIVATE or ".db" in first


def _not_permitted(given: str, roots: Roots, param: str) -> TunebusError:
    folders = ", ".join(str(folder) for folder in roots.folders)
    return fail(
        Code.NOT_PERMITTED,
        f"{given} is outside the folders that this studio reads",
        param=param,
        hint=f"move it below one of {folders}, or start the studio with TUNEBUS_DATASET_ROOTS naming its folder",
    )
