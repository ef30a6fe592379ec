"""Finding a user's training script in the folder that the operator named for such. It is read and hashed, never run.

Runs in a prepare child. Outside the folder it never tells what exists.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

from tunebus.contracts.errors import Code, TunebusError, fail

SETTING = "TUNEBUS_USER_SCRIPTS"
MOST_BYTES = 10_000_000


def find(root: str | None, name: str) -> dict[str, Any]:
    """A `UserScript` by its path in the folder, or its absolute path. Errors: `not_permitted` where the operator named
    no folder, and for anything outside of it; `not_found`, `invalid`.
    """
    if root is None:
        raise fail(
            Code.NOT_PERMITTED,
            "this studio runs no user scripts",
            param="user_script",
            hint=f"its operator can start it with {SETTING} naming a folder of scripts",
        )
    folder = Path(os.path.realpath(root))
    if "\0" in name:
        raise _invalid(name, "a path holds no NUL character")
    path = Path(os.path.realpath(folder / name))
    if folder not in path.parents:
        raise fail(
            Code.NOT_PERMITTED,
            f"{name} is outside the folder of user scripts",
            param="user_script",
            hint="name a script by its path in that folder",
        )
    if path.suffix != ".py":
        raise _invalid(name, "a script's name ends in .py")
    if not path.is_file():
        raise fail(Code.NOT_FOUND, f"there is no script {name}", param="user_script", hint=_there(folder))
    if path.stat().st_size > MOST_BYTES:
        raise fail(Code.TOO_LARGE, f"{name} is larger than {MOST_BYTES} bytes", param="user_script")
    body = path.read_bytes()
    return {"name": path.relative_to(folder).as_posix(), "sha256": hashlib.sha256(body).hexdigest()}


def _there(folder: Path) -> str:
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.py"))
    return f"there are {', '.join(names[:10])}" if names else "the folder has none yet"


def _invalid(name: str, message: str) -> TunebusError:
    return fail(Code.INVALID, f"{name!r}: {message}", param="user_script")
