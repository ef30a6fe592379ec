"""The services' log files: appended to by the services themselves, kept small by the launcher."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

LIMIT_BYTES = 10_000_000
KEPT = 3
_TAIL_BYTES = 8192


def open_log(path: Path) -> int:
    """A descriptor that appends, so that truncating the file under a writer loses nothing written later."""
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)


def rotate(path: Path, limit: int = LIMIT_BYTES, kept: int = KEPT) -> bool:
    """Move a file over `limit` bytes to `.1`, older ones up to `.kept`; the writer keeps its descriptor."""
    try:
        if path.stat().st_size <= limit:
            return False
        for number in range(kept - 1, 0, -1):
            older = path.with_name(f"{path.name}.{number}")
            if older.exists():
                older.replace(path.with_name(f"{path.name}.{number + 1}"))
        shutil.copyfile(path, path.with_name(f"{path.name}.1"))
        os.truncate(path, 0)
    except OSError:
        return False  # a full disk or a vanished file must not end the supervisor
    return True


def last_message(path: Path, start: int = 0) -> str | None:
    """The last thing a service said after byte `start`: an error's message where it logged JSON, else its last line."""
    try:
        with path.open("rb") as file:
            end = file.seek(0, os.SEEK_END)
            file.seek(max(min(start, end), end - _TAIL_BYTES))
            lines = file.read().decode(errors="replace").splitlines()
    except OSError:
        return None
    plain = None
    for line in reversed(lines):
        text = line.strip()
        if not text:
            continue
        try:
            document = json.loads(text)
        except ValueError:
            plain = plain or text
            continue
        if not isinstance(document, dict):
            continue
        if isinstance(document.get("error"), dict):
            return in_words(document["error"])
        if document.get("level") in ("error", "critical"):
            return str(document.get("message"))
    return plain


def in_words(problem: Mapping[str, Any]) -> str:
    """A problem's document as one line: which setting, what is wrong, and the way out."""
    where = f"{problem['param']}: " if problem.get("param") else ""
    way_out = f"; {problem['hint']}" if problem.get("hint") else ""
    return f"{where}{problem.get('message')}{way_out}"
