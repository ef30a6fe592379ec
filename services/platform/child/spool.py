"""The attempt's `telemetry.jsonl`: every record of the child, one a line, numbered, the one source of what is sent.

A line is written by one system call, so it survives the death of the process; `sync` makes it survive the machine's.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tunebus.contracts.telemetry import spell

SAMPLE_CHARACTERS = 2000


class Spool:
    """Appends records; safe to use from several threads. Raises OSError when the disk is full, leaving no half line."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        self._size, self._last = _whole_lines(path)
        os.ftruncate(self._file, self._size)

    def metric(self, step: int, values: Mapping[str, float]) -> None:
        self._append({"k": "metric", "step": step, "values": {name: spell(value) for name, value in values.items()}})

    def progress(self, phase: str, step: int, total: int, rate: float | None = None, eta: float | None = None) -> None:
        self._append({"k": "progress", "phase": phase, "step": step, "total": total, "rate": rate, "eta": eta})

    def log(self, offset: int, text: str) -> None:
        self._append({"k": "log", "offset": offset, "text": text})

    def sample(self, step: int, row: int, prompt: str, reference: str, answer: str) -> None:
        texts = {"prompt": prompt, "reference": reference, "answer": answer}
        self._append({"k": "sample", "step": step, "row": row} | {name: _cut(text) for name, text in texts.items()})

    def system(self, values: Mapping[str, float]) -> None:
        self._append({"k": "system", "values": {name: spell(value) for name, value in values.items()}})

    def sync(self) -> None:
        """Return once everything written so far is on the disk."""
        os.fsync(self._file)

    def close(self) -> None:
        os.close(self._file)

    def _append(self, record: dict[str, Any]) -> None:
        with self._lock:
            document = {"k": record.pop("k"), "n": self._last + 1, "t": round(time.time(), 3), **record}
            line = json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode() + b"\n"
            try:
                written = os.write(self._file, line)
                if written < len(line):
                    os.write(self._file, line[written:])
            except OSError:
                os.ftruncate(self._file, self._size)
                raise
            self._size += len(line)
            self._last += 1


def _cut(text: str) -> str:
    return text if len(text) <= SAMPLE_CHARACTERS else text[: SAMPLE_CHARACTERS - 1] + "…"


def _whole_lines(path: Path) -> tuple[int, int]:
    """Size up to the last whole line and the number of the last record, for a file that an earlier process left."""
    size = last = 0
    with path.open("rb") as file:
        for line in file:
            if line.endswith(b"\n"):
                size += len(line)
                last += 1
    return size, last
