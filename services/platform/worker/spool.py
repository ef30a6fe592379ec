"""The attempt's `telemetry.jsonl` as a spool: raw lines in batches, how far they were sent, and its end after a death.

The fast path never parses a record. The child alone writes the file while it lives; afterwards the folder's owner.
"""

from __future__ import annotations

import codecs
import json
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunebus.services.platform.worker.folder import AttemptFolder

BATCH_BYTES = 256 * 1024
LINE_BYTES = 900 * 1024  # what fits a message of the server's default size, with room for the batch's head
LOG_BYTES = 16 * 1024

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Batch:
    """Whole lines between two byte offsets of the spool; `lines` are without their newline and may be empty."""

    start: int
    end: int
    lines: list[bytes]


@dataclass(frozen=True)
class Sent:
    """How far the spool is in the stream (`offset`), and where the batch ends that may be in it (`sending`).

    A batch is sent again with the same bounds, so that it keeps its message id.
    """

    offset: int = 0
    sending: int = 0

    @classmethod
    def read(cls, folder: AttemptFolder) -> Sent:
        try:
            offset, sending = folder.sent_file.read_text().split()
            return cls(int(offset), int(sending))
        except (OSError, ValueError):
            return cls()

    def write(self, folder: AttemptFolder) -> None:
        """Not fsynced: an older offset only sends records again, which the projector knows by their number."""
        draft = folder.path / ".telemetry.sent.new"
        draft.write_text(f"{self.offset} {self.sending}\n")
        draft.replace(folder.sent_file)


def read_batch(path: Path, sent: Sent) -> Batch | None:
    """The next whole lines of the spool, or None when there is no further whole line (yet)."""
    again = sent.sending - sent.offset
    try:
        with path.open("rb") as file:
            file.seek(sent.offset)
            chunk = file.read(again if again > 0 else BATCH_BYTES)
            if again <= 0 and len(chunk) == BATCH_BYTES and b"\n" not in chunk:
                chunk += file.readline()
    except (FileNotFoundError, NotADirectoryError):
        return None
    end = chunk.rfind(b"\n") + 1
    if not end:
        return None
    return Batch(sent.offset, sent.offset + end, _records(chunk[:end], path, sent.offset))


def _records(chunk: bytes, path: Path, offset: int) -> list[bytes]:
    """The lines of whole records. Torn ones (a full disk, a lost page) are looked for by counting, not by parsing."""
    lines = chunk[:-1].split(b"\n")
    whole = (
        chunk.startswith(b"{")
        and chunk.endswith(b"}\n")
        and chunk.count(b"}\n{") == len(lines) - 1
        and chunk.count(b'"k":"') == len(lines)
        and len(chunk) <= LINE_BYTES
    )
    if whole:
        return lines
    kept = [line for line in lines if len(line) <= LINE_BYTES and parse(line) is not None]
    if len(kept) < len(lines):
        logger.warning(
            "broken telemetry records left out",
            extra={"spool": str(path), "offset": offset, "records": len(lines) - len(kept)},
        )
    return kept


def parse(line: bytes) -> dict[str, Any] | None:
    """One record, or None for anything that is none."""
    try:
        record = json.loads(line)
    except ValueError:
        return None
    return record if isinstance(record, dict) and isinstance(record.get("n"), int) else None


def newest(lines: list[bytes], field: str, value: str) -> dict[str, Any] | None:
    """The last record among raw lines whose `field` is `value`, found without parsing the others."""
    mark = f'"{field}":"{value}"'.encode()
    for line in reversed(lines):
        if mark in line:
            return parse(line)
    return None


def is_sent(folder: AttemptFolder) -> bool:
    """Whether every whole line of the spool is in the stream."""
    return read_batch(folder.spool, Sent.read(folder)) is None


def close(folder: AttemptFolder) -> None:
    """After the child's death: cut a torn last line, then append the output that the child did not report itself."""
    _cut_torn_line(folder.spool)
    number, covered = _ends(folder)
    try:
        written = folder.output.stat()
    except FileNotFoundError:
        return
    if written.st_size <= covered:
        return
    with folder.output.open("rb") as output, folder.spool.open("ab") as spool:
        output.seek(covered)
        for text, offset in _pieces(output.read(), covered):
            number += 1
            record = {"n": number, "t": written.st_mtime, "k": "log", "offset": offset, "text": text}
            spool.write(json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode() + b"\n")
        spool.flush()
        os.fsync(spool.fileno())


def _cut_torn_line(path: Path) -> None:
    try:
        with path.open("r+b") as file:
            size = file.seek(0, os.SEEK_END)
            end = size
            while end > 0:
                start = max(0, end - BATCH_BYTES)
                file.seek(start)
                found = file.read(end - start).rfind(b"\n")
                if found >= 0:
                    end = start + found + 1
                    break
                end = start
            if end < size:
                file.truncate(end)
    except FileNotFoundError:
        return


def _ends(folder: AttemptFolder) -> tuple[int, int]:
    """(highest record number, how many bytes of the output are covered by log records)"""
    number = 0
    for line in _backwards(folder.spool):
        record = parse(line)
        if record is None:
            continue
        number = max(number, record["n"])
        if record.get("k") == "log":
            return number, record["offset"] + _length(folder.output, record["offset"], record["text"])
    return number, 0


def _backwards(path: Path) -> Iterator[bytes]:
    """The lines of a file, last first."""
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return
    with file:
        end = file.seek(0, os.SEEK_END)
        rest = b""
        while end > 0:
            start = max(0, end - BATCH_BYTES)
            file.seek(start)
            first, *lines = (file.read(end - start) + rest).split(b"\n")
            yield from reversed([line for line in lines if line])
            rest, end = first, start
        if rest:
            yield rest


def _length(output: Path, offset: int, text: str) -> int:
    """How many bytes of the output became `text`; a replacement character stands for one to three."""
    if "\ufffd" not in text:
        return len(text.encode())
    try:
        with output.open("rb") as file:
            file.seek(offset)
            raw = file.read(4 * len(text))
    except OSError:
        return len(text.encode())
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    characters = 0
    for size in range(len(raw)):
        characters += len(decoder.decode(raw[size : size + 1]))
        if characters >= len(text):
            return size + 1 if characters == len(text) else size
    return len(raw)


def _pieces(raw: bytes, offset: int) -> Iterator[tuple[str, int]]:
    """Texts of at most LOG_BYTES with their offsets, cut after a newline, or else between two characters."""
    start = 0
    while start < len(raw):
        end = min(start + LOG_BYTES, len(raw))
        if end < len(raw):
            newline = raw.rfind(b"\n", start, end)
            if newline > start:
                end = newline + 1
            else:
                while end > start + LOG_BYTES - 4 and raw[end] & 0xC0 == 0x80:
                    end -= 1
        yield raw[start:end].decode("utf-8", "replace"), offset + start
        start = end
