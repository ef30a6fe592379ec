"""Turns the attempt's `output.log` into log records of the spool, piece by piece, by byte offset."""

from __future__ import annotations

import threading
from pathlib import Path

from tunebus.services.platform.child.spool import Spool

PIECE_BYTES = 16 * 1024
_INTERVAL_SECONDS = 0.5


class LogTail:
    """Reads from the file's beginning. `drain` takes what is there; `start` does so twice a second on a thread."""

    def __init__(self, path: Path, spool: Spool) -> None:
        self._path = path
        self._spool = spool
        self._offset = 0
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="log-tail", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End the thread and take the rest of the file."""
        self._ended.set()
        self._thread.join(timeout=5)
        self.drain(last=True)

    def drain(self, *, last: bool = False) -> None:
        """Write whole lines to the spool; with `last`, also what follows the last line break."""
        with self._lock, self._path.open("rb") as file:
            while True:
                file.seek(self._offset)
                piece = _piece(file.read(PIECE_BYTES), last=last)
                if not piece:
                    return
                self._spool.log(self._offset, piece.decode("utf-8", errors="replace"))
                self._offset += len(piece)

    def _follow(self) -> None:
        while not self._ended.wait(_INTERVAL_SECONDS):
            try:
                self.drain()
            except OSError:  # a full disk is met, and named, by the thread that works
                return


def _piece(data: bytes, *, last: bool) -> bytes:
    """The part to send: up to the last line break; of a line longer than a piece, up to the end of a character."""
    full = len(data) == PIECE_BYTES
    if last and not full:
        return data
    newline = data.rfind(b"\n") + 1
    if newline or not full:
        return data[:newline]
    end = len(data)
    while end > len(data) - 3 and data[end - 1] & 0xC0 == 0x80:  # the tail of a character that may be cut in two
        end -= 1
    return data[: end - 1] if data[end - 1] & 0x80 else data
