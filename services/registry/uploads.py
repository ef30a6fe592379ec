"""Uploaded files: streamed from the file bucket into the artifact root, where each is kept under its content's hash.

The copy is ours from then on. One that turns out to be no dataset goes again, unless somebody else uses it; that of a
removed dataset goes when it is given up, unless a command that was looked into before has still to be decided.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Iterator
from pathlib import Path

from tunebus.contracts.errors import Code, TunebusError, fail
from tunebus.contracts.file_bucket import FileBucket
from tunebus.contracts.identifiers import new_id
from tunebus.services.platform.home import Home
from tunebus.services.platform.rows.files import checked_type
from tunebus.services.registry.copies import FOLDER
from tunebus.services.registry.progress import Report

BEGINNING_BYTES = 24 * 1024 * 1024  # more than the longest line, and than what a look takes


class Uploads:
    """The uploads of one artifact root."""

    def __init__(self, home: Home, bucket: FileBucket) -> None:
        self._home = home
        self._bucket = bucket
        self._folder = home.artifacts / FOLDER
        self._in_use: Counter[Path] = Counter()
        self._taken: set[Path] = set()
        self._lock = threading.Lock()  # between whoever takes a copy and whoever deletes it
        self._asked: dict[Path, set[str]] = {}  # ids of the commands that took a copy

    @contextlib.asynccontextmanager
    async def kept(self, name: str, kind: str | None, report: Report, command_id: str) -> AsyncIterator[str]:
        """The `artifact:` URI of an uploaded file, for as long as it is looked into; it stays unless that fails.

        Errors: `invalid` for another kind of file, `not_found`, `unavailable`, `conflict`, `disk_full`.
        """
        _checked(name, kind)
        path, made = await self._fetched(name, report, command_id)
        self._in_use[path] += 1
        try:
            yield self._home.uri(path)
            self._taken.add(path)
        except TunebusError:
            if made and self._in_use[path] == 1 and path not in self._taken:
                path.unlink(missing_ok=True)
            raise
        finally:
            self._in_use[path] -= 1

    @contextlib.asynccontextmanager
    async def begun(self, name: str, kind: str | None) -> AsyncIterator[tuple[Path, bool]]:
        """The beginning of an uploaded file, or all of one that is not read line by line, to be looked at once; and
        whether it was cut off. Errors: as those of `kept`."""
        _checked(name, kind)
        draft = self._folder / ".incoming" / f"{new_id()}{Path(name).suffix.lower()}"
        lines = checked_type(Path(name), kind, name) in ("csv", "tsv", "jsonl")
        try:
            with _on_disk(draft), draft.open("wb") as file:
                stored = await self._bucket.read(name, file, limit=BEGINNING_BYTES if lines else None)
            yield draft, draft.stat().st_size < stored.bytes
        finally:
            draft.unlink(missing_ok=True)

    def hold(self, uri: str, command_id: str) -> None:
        """Keep a copy until a command that names it has been decided."""
        with self._lock:
            self._asked.setdefault(self._home.path(uri), set()).add(command_id)

    def delete(self, uri: str, is_free: Callable[[Collection[str]], bool]) -> bool:
        """Delete a copy if it may go, and say whether it is gone. `is_free` is asked with the ids of the commands that
        took it; none can take it meanwhile. Errors: `OSError`."""
        path = self._home.path(uri)
        with self._lock:
            if not is_free(self._asked.get(path, ())):
                return False
            path.unlink(missing_ok=True)
            self._asked.pop(path, None)
            self._taken.discard(path)
            return True

    async def _fetched(self, name: str, report: Report, command_id: str) -> tuple[Path, bool]:
        """Where the content lies, and whether it was not there before."""
        draft = self._folder / ".incoming" / new_id()
        try:
            with _on_disk(draft):
                with draft.open("wb") as file:
                    stored = await self._bucket.read(name, file, report)
                    await asyncio.to_thread(_synced, file.fileno(), file.flush)
                path = self._folder / f"{stored.sha256}{Path(name).suffix.lower()}"
                self.hold(self._home.uri(path), command_id)
                made = not path.exists()
                if made:
                    draft.rename(path)
                return path, made
        finally:
            draft.unlink(missing_ok=True)


def _checked(name: str, kind: str | None) -> None:
    """Errors: `invalid`, for another kind of file."""
    try:
        checked_type(Path(name), kind, name)
    except TunebusError as error:
        problem = error.problem
        param = "upload" if problem.param == "path" else problem.param
        raise TunebusError(problem.model_copy(update={"param": param})) from None


@contextlib.contextmanager
def _on_disk(draft: Path) -> Iterator[None]:
    """What the disk does not take, in words."""
    try:
        draft.parent.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        raise fail(
            Code.DISK_FULL if full else Code.NOT_PERMITTED,
            f"the upload cannot be kept: {error.strerror}",
            param="upload",
            hint="free disk space below the artifact root" if full else None,
        ) from None


def _synced(descriptor: int, flush: Callable[[], None]) -> None:
    flush()
    os.fsync(descriptor)
