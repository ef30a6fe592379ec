"""One attempt's folder: the names of its files, the lock that tells who owns it, and how the attempt ended.

Nothing here is ever deleted: a folder in the way of a new attempt is moved aside.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunebus.contracts.commands import FailureCause
from tunebus.services.platform.child.attempt import RECORDED, RESULT
from tunebus.services.platform.child.files import write_document


@dataclass(frozen=True)
class Owner:
    """Who holds a folder's lock: a supervisor's pid on a host."""

    host: str
    pid: int

    @property
    def is_here(self) -> bool:
        return self.host == socket.gethostname()

    @property
    def is_alive(self) -> bool:
        """Whether that pid lives here; a pid of another host is taken for alive."""
        if not self.is_here:
            return True
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            return True
        return True


@dataclass(frozen=True)
class Ending:
    """The last report of an attempt, kept so that a restarted worker sends the very same one.

    `outcome` is None until the registry has answered; then `accepted`, or the code it was refused with.
    """

    type: str
    data: dict[str, Any]
    outcome: str | None = None


class AttemptFolder:
    """`<artifact root>/jobs/<job id>/attempt-<n>/` and what lies in it."""

    def __init__(self, path: Path, job_id: str, attempt: int) -> None:
        self.path = path
        self.job_id = job_id
        self.attempt = attempt
        self.job_file = path / "job.json"
        self.lock_file = path / "supervisor.lock"
        self.output = path / "output.log"
        self.spool = path / "telemetry.jsonl"
        self.sent_file = path / "telemetry.sent"
        self.running_file = path / "running.json"
        self.result_file = path / RESULT
        self.recorded_file = path / RECORDED
        self.script = path / "script.py"
        self.ending_file = path / "ending.json"
        self.checkpoints = path / "checkpoints"

    def make(self) -> None:
        """Make the folder, moving aside what an earlier life of this home left under the same number."""
        if self.path.exists() and any(self.path.iterdir()):
            with contextlib.suppress(BlockingIOError), self.lock():
                self.path.rename(self.path.with_name(f"{self.path.name}.old-{time.time_ns()}"))
        self.path.mkdir(parents=True, exist_ok=True)

    @contextlib.contextmanager
    def lock(self) -> Iterator[int]:
        """Own the folder; yields the descriptor of the lock, which the child inherits.

        The lock is free once supervisor and child are both dead, since both hold the same open file.
        Raises BlockingIOError while somebody else owns it.
        """
        descriptor = os.open(self.lock_file, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, json.dumps({"host": socket.gethostname(), "pid": os.getpid()}).encode(), 0)
            yield descriptor
        finally:
            os.close(descriptor)

    def owner(self) -> Owner | None:
        """Who locked the folder last, or None when that cannot be read."""
        document = read_json(self.lock_file)
        try:
            return Owner(str(document["host"]), int(document["pid"])) if document else None
        except (KeyError, TypeError, ValueError):
            return None

    def ending(self) -> Ending | None:
        document = read_json(self.ending_file)
        if document is None or not isinstance(document.get("data"), dict):
            return None
        return Ending(str(document.get("type")), document["data"], document.get("outcome"))

    def write_ending(self, ending: Ending) -> None:
        write_document(self.ending_file, {"type": ending.type, "data": ending.data, "outcome": ending.outcome})

    def note_recorded(self, step: int) -> None:
        """Tell the child which checkpoint the registry would have an attempt resume from: it must not go yet."""
        write_document(self.recorded_file, {"step": step})

    def job(self) -> dict[str, Any] | None:
        """`job.json` as written, or None when the attempt never came so far."""
        return read_json(self.job_file)

    def last_lines(self, limit: int = 8000) -> str:
        """The end of the child's output, whole lines, at most `limit` bytes."""
        try:
            with self.output.open("rb") as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(max(0, size - limit))
                tail = file.read(limit)
        except OSError:
            return ""
        if size > limit and b"\n" in tail:
            tail = tail.split(b"\n", 1)[1]
        return tail.decode("utf-8", "replace").strip()


def folders(artifacts: Path) -> Iterator[AttemptFolder]:
    """Every attempt's folder under the artifact root, oldest attempt of a job first."""
    for path in sorted((artifacts / "jobs").glob("*/attempt-*"), key=lambda found: (found.parent.name, _number(found))):
        if _number(path) > 0:
            yield AttemptFolder(path, path.parent.name, _number(path))


def _number(path: Path) -> int:
    text = path.name.removeprefix("attempt-")
    return int(text) if text.isdecimal() else 0


def read_json(path: Path) -> dict[str, Any] | None:
    """A JSON object from a file, or None when there is none (yet)."""
    try:
        document = json.loads(path.read_bytes(), parse_constant=str)
    except (OSError, ValueError):
        return None
    return document if isinstance(document, dict) else None


def cause_of(error: OSError) -> FailureCause:
    """The named cause of an error of the file system. No space, no quota, a limit on the size of a file: disk full."""
    return "disk_full" if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG} else "crashed"
