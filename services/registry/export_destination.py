"""Where an export may go: a folder that is empty or not there, below an allowed folder or the artifacts' `exports`.

Runs in a prepare child. Outside the allowed folders it never tells what exists.
"""

from __future__ import annotations

import os
from pathlib import Path

from tunebus.contracts.errors import Code, TunebusError, fail
from tunebus.services.platform.home import SCHEME
from tunebus.services.registry.locations import Roots, is_private, within

PARAM = "destination"
EXPORTS = f"{SCHEME}exports/"


def destination(given: str, roots: Roots) -> str:
    """The location as events keep it. Errors: `invalid`, `not_permitted`; `conflict` where something is there."""
    if "\0" in given:
        raise fail(Code.INVALID, "a path holds no NUL character", param=PARAM)
    artifacts = Path(os.path.realpath(roots.artifacts))
    exports = artifacts / "exports"
    if given.startswith(SCHEME):
        real = Path(os.path.realpath(artifacts / given.removeprefix(SCHEME).lstrip("/")))
        allowed = exports in real.parents
    elif not Path(given).is_absolute():
        raise fail(Code.INVALID, f"{given!r} is no absolute path", param=PARAM, hint=f"for example {EXPORTS}NAME")
    else:
        real = Path(os.path.realpath(given))
        below = any(within(real, Path(os.path.realpath(root))) and real != root for root in roots.folders)
        ours = within(real, artifacts) and exports not in real.parents
        allowed = (below or exports in real.parents) and not ours and not is_private(real, roots, artifacts)
    if not allowed:
        raise _not_permitted(given, roots)
    _check_free(real, given)
    return SCHEME + real.relative_to(artifacts).as_posix() if within(real, artifacts) else str(real)


def _check_free(real: Path, given: str) -> None:
    try:
        free = not os.path.lexists(real) or (real.is_dir() and not any(real.iterdir()))
    except OSError as error:
        raise fail(Code.NOT_PERMITTED, f"{given} cannot be read: {error.strerror}", param=PARAM) from None
    if not free:
        raise fail(
            Code.CONFLICT,
            f"{given} is there already, and an export overwrites nothing",
            param=PARAM,
            hint="name a folder that is empty or not there yet",
        )


def _not_permitted(given: str, roots: Roots) -> TunebusError:
    folders = ", ".join(str(folder) for folder in roots.folders)
    return fail(
        Code.NOT_PERMITTED,
        f"{given} is outside the folders that this studio exports to",
        param=PARAM,
        hint=f"use {EXPORTS}NAME or a folder below one of {folders}, or start the studio with TUNEBUS_EXPORT_ROOTS "
        "naming its folder",
    )
