"""The output of attempts, read by the byte."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, func, select
from tunebus.projections.telemetry.progress import attempts_of
from tunebus.projections.telemetry.tables import logs


def log_text(
    connection: Connection, job_id: str, attempt: int | None = None, offset: int = 0, limit: int = 100_000
) -> dict[str, Any]:
    """Up to `limit` bytes of an attempt's output from byte `offset` on; the newest attempt when none is named.

    `{"job_id", "attempt", "attempts", "offset", "text", "next_offset"}`: ask for `next_offset` to go on.
    """
    known = attempts_of(connection, job_id)
    chosen = attempt if attempt is not None else (known[-1] if known else None)
    answer = {"job_id": job_id, "attempt": chosen, "attempts": known, "offset": offset}
    if chosen is None:
        return answer | {"text": "", "next_offset": offset}
    of_attempt = (logs.c.job_id == job_id, logs.c.attempt == chosen)
    # The piece that holds `offset` may begin before it.
    begin = connection.scalar(select(func.max(logs.c.offset)).where(*of_attempt, logs.c.offset <= offset)) or 0
    pieces = connection.execute(
        select(logs.c.offset, logs.c.text)
        .where(*of_attempt, logs.c.offset >= begin)
        .order_by(logs.c.offset, logs.c.n)
        .execution_options(yield_per=500)
    )
    position, parts, room = offset, list[bytes](), limit
    try:
        for start, text in pieces:
            data = text.encode()
            fresh = data[max(0, position - start) :] if start <= position else data
            # Bytes that never came (a spool cut off by a full disk) leave a gap; the text goes on after it.
            cut = _cut(fresh, room) if len(fresh) > room else len(fresh)
            if cut > room and parts:
                break
            part = fresh[:cut]
            if fresh:
                parts.append(part)
                position = max(position, start) + len(part)
                room -= len(part)
            if len(part) < len(fresh) or room <= 0:
                break
    finally:
        pieces.close()
    return answer | {"text": b"".join(parts).decode(errors="replace"), "next_offset": position}


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
