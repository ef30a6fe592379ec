"""The output of attempts: read by the byte, and searched line by line."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import Connection, func, select
from tunebus.projections.telemetry.progress import attempts_of
from tunebus.projections.telemetry.tables import logs

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
SEARCHED_BYTES = 16_000_000  # in one answer
LINE_BYTES = 2000  # of a long line around what was found

_LOOKED_BACK = 16_384  # before where a search begins, to know whether that is within a traceback
_HEAD = 200  # characters of a line in which its level stands
_LEVEL = re.compile(r"\b(DEBUG|INFO|WARN(?:ING)?|ERROR|CRITICAL|FATAL)\b|\b\w*?(Warning|Error|Exception)\b: ")
_SPELLED = {"WARN": "WARNING", "FATAL": "CRITICAL", "Warning": "WARNING", "Error": "ERROR", "Exception": "ERROR"}
_TRACEBACK = "Traceback (most recent call last):"


def log_text(
    connection: Connection,
    job_id: str,
    attempt: int | None = None,
    offset: int = 0,
    limit: int = 100_000,
    tail: int | None = None,
) -> dict[str, Any]:
    """Up to `limit` bytes of an attempt's output from byte `offset` on, or its last `tail` bytes; the newest attempt
    when none is named.

    `{"job_id", "attempt", "attempts", "offset", "text", "next_offset"}`: ask for `next_offset` to go on.
    """
    known = attempts_of(connection, job_id)
    chosen = attempt if attempt is not None else (known[-1] if known else None)
    if chosen is not None and tail is not None:
        limit = tail
        offset = max(0, _end(connection, job_id, chosen) - tail)
    position, parts, room = offset, list[bytes](), limit
    if chosen is not None:
        for start, fresh in _pieces(connection, job_id, chosen, offset):
            if tail is not None and not parts:  # not in the middle of a character
                within = next((at for at, byte in enumerate(fresh) if byte & 0xC0 != 0x80), len(fresh))
                offset, start, fresh = offset + within, start + within, fresh[within:]
            cut = _cut(fresh, room) if len(fresh) > room else len(fresh)
            if cut > room and parts:
                break
            part = fresh[:cut]
            # Bytes that never came (a spool cut off by a full disk) leave a gap; the text goes on after it.
            parts.append(part)
            position = start + len(part)
            room -= len(part)
            if len(part) < len(fresh) or room <= 0:
                break
    return {
        "job_id": job_id,
        "attempt": chosen,
        "attempts": known,
        "offset": offset,
        "text": b"".join(parts).decode(errors="replace"),
        "next_offset": position,
    }


def search_log(
    connection: Connection,
    job_id: str,
    attempt: int | None = None,
    text: str | None = None,
    level: str | None = None,
    after_offset: int = 0,
    limit: int = 100,
) -> dict[str, Any]:
    """Lines of an attempt's output from byte `after_offset` on that hold a text, whatever its case, or are of a level
    or a graver one: `{"job_id", "attempt", "attempts", "items": [{"offset", "level", "text"}], "next"}`.

    `next` is from where to go on, or null at the end: one answer looks through some megabytes only. Every line of a
    traceback is an ERROR; a line that names no level has none.
    """
    known = attempts_of(connection, job_id)
    chosen = attempt if attempt is not None else (known[-1] if known else None)
    document: dict[str, Any] = {"job_id": job_id, "attempt": chosen, "attempts": known, "items": [], "next": None}
    if chosen is None:
        return document
    wanted = text.casefold() if text else None
    graver = LEVELS[LEVELS.index(level) :] if level else ()
    spelled = _spellings(graver)
    within = False
    for begin, lines in _lines(connection, job_id, chosen, max(0, after_offset - _LOOKED_BACK)):
        if begin - after_offset > SEARCHED_BYTES:
            document["next"] = begin
            break
        said = lines.decode(errors="replace")
        if (
            not within
            and _TRACEBACK not in said
            and not ((wanted is None or wanted in said.casefold()) and (spelled is None or spelled.search(said)))
        ):
            continue  # a look at many lines at once: most of a long log is passed over like this
        for line in lines.split(b"\n"):
            shown = line.decode(errors="replace").rstrip("\r")
            found, within = _level(shown, within)
            if (
                begin >= after_offset
                and (wanted is None or wanted in shown.casefold())
                and (not graver or found in graver)
            ):
                if len(document["items"]) == limit:
                    document["next"] = begin
                    return document
                document["items"].append({"offset": begin, "level": found, "text": _around(shown, wanted)})
            begin += len(line) + 1
    return document


def _spellings(levels: Sequence[str]) -> re.Pattern[str] | None:
    """What stands in every line of one of these levels but those of a traceback; None for all lines."""
    words = [*levels, *(word for word, level in _SPELLED.items() if level in levels)]
    return re.compile("|".join(words)) if words else None


def _level(line: str, within: bool) -> tuple[str | None, bool]:
    """The level of a line, and whether a traceback goes on after it."""
    if line.startswith(_TRACEBACK):
        return "ERROR", True
    if within:
        return "ERROR", not line or line[0].isspace()
    found = _LEVEL.search(line, 0, _HEAD)
    if found is None:
        return None, False
    word = found[1] or found[2]
    return _SPELLED.get(word, word), False


def _around(line: str, wanted: str | None) -> str:
    if len(line) <= LINE_BYTES:
        return line
    at = max(0, line.casefold().find(wanted) - LINE_BYTES // 2) if wanted else 0
    return ("…" if at else "") + line[at : at + LINE_BYTES] + ("…" if at + LINE_BYTES < len(line) else "")


def _lines(connection: Connection, job_id: str, attempt: int, offset: int) -> Iterator[tuple[int, bytes]]:
    """Some whole lines at a time, without the last one's end, with where they begin; at the end what there is."""
    begin, rest = offset, b""
    skipping = offset > 0  # what follows on from before is no line's beginning
    for start, fresh in _pieces(connection, job_id, attempt, offset):
        if start > begin + len(rest):  # a gap
            if rest and not skipping:
                yield begin, rest
            begin, rest, skipping = start, b"", False
        rest += fresh
        if skipping:
            _, found, rest = rest.partition(b"\n")
            begin = start + len(fresh) - len(rest)
            skipping = not found
        whole, found, after = rest.rpartition(b"\n")
        if found:
            yield begin, whole
            begin, rest = begin + len(whole) + 1, after
    if rest and not skipping:
        yield begin, rest


def _pieces(connection: Connection, job_id: str, attempt: int, offset: int) -> Iterator[tuple[int, bytes]]:
    """The output from byte `offset` on, each byte once, with where each piece begins."""
    of_attempt = (logs.c.job_id == job_id, logs.c.attempt == attempt)
    # The piece that holds `offset` may begin before it.
    begin = connection.scalar(select(func.max(logs.c.offset)).where(*of_attempt, logs.c.offset <= offset)) or 0
    pieces = connection.execute(
        select(logs.c.offset, logs.c.text)
        .where(*of_attempt, logs.c.offset >= begin)
        .order_by(logs.c.offset, logs.c.n)
        .execution_options(yield_per=500)
    )
    try:
        for start, text in pieces:
            data = text.encode()
            fresh = data[max(0, offset - start) :] if start <= offset else data
            if fresh:
                offset = max(offset, start)
                yield offset, fresh
                offset += len(fresh)
    finally:
        pieces.close()


def _end(connection: Connection, job_id: str, attempt: int) -> int:
    """How many bytes of an attempt's output there are."""
    of_attempt = (logs.c.job_id == job_id, logs.c.attempt == attempt)
    last = connection.execute(
        select(logs.c.offset, logs.c.text).where(*of_attempt).order_by(logs.c.offset.desc(), logs.c.n.desc()).limit(1)
    ).first()
    return last.offset + len(last.text.encode()) if last else 0


def _cut(data: bytes, room: int) -> int:
    """Where to cut UTF-8 text to at most `room` bytes without splitting a character; never 0, so reading goes on."""
    cut = room
    while cut > 0 and data[cut] & 0xC0 == 0x80:
        cut -= 1
    if cut == 0:
        cut = room
        while cut < len(data) and data[cut] & 0xC0 == 0x80:
            cut += 1
    return cut
