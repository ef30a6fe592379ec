"""What attempts measured and printed: tables of their own, and the questions asked of them.

On SQLite they live in a file of their own, so that floods of points never delay a command. Only the projector writes
here; every row is known by (job, attempt, number), so that a batch may come twice. Nothing here is domain history.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Double,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    func,
    select,
)
from tunebus.contracts.telemetry import Value

metadata = MetaData()

# Compared byte by byte: PostgreSQL's default order of texts costs half of an insert.
KEY = Text().with_variant(Text(collation="C"), "postgresql")

# Clustered by what a curve is read by: one range scan gives a name's steps in order, the newest attempt last.
metrics = Table(
    "telemetry_metrics",
    metadata,
    Column("job_id", KEY, nullable=False),
    Column("name", KEY, nullable=False),
    Column("step", BigInteger, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("n", BigInteger, nullable=False),
    Column("value", Double),
    Column("special", Text),  # NaN, Infinity or -Infinity, where `value` is null
    Column("t", Double, nullable=False),
    PrimaryKeyConstraint("job_id", "name", "step", "attempt", "n", name="pk_telemetry_metrics"),
    sqlite_with_rowid=False,
)

logs = Table(
    "telemetry_logs",
    metadata,
    Column("job_id", KEY, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("offset", BigInteger, nullable=False),
    Column("n", BigInteger, nullable=False),
    Column("text", Text, nullable=False),
    Column("t", Double, nullable=False),
    PrimaryKeyConstraint("job_id", "attempt", "offset", "n", name="pk_telemetry_logs"),
)

system = Table(
    "telemetry_system",
    metadata,
    Column("job_id", KEY, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("n", BigInteger, nullable=False),
    Column("readings", Text, nullable=False),  # a JSON object
    Column("t", Double, nullable=False),
    PrimaryKeyConstraint("job_id", "attempt", "n", name="pk_telemetry_system"),
)

# What the model answered to held-out rows; step 0 is the base model.
samples = Table(
    "telemetry_samples",
    metadata,
    Column("job_id", KEY, nullable=False),
    Column("step", BigInteger, nullable=False),
    Column("row", BigInteger, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("n", BigInteger, nullable=False),
    Column("prompt", Text, nullable=False),
    Column("reference", Text, nullable=False),
    Column("answer", Text, nullable=False),
    Column("t", Double, nullable=False),
    PrimaryKeyConstraint("job_id", "step", "row", "attempt", "n", name="pk_telemetry_samples"),
)

# One row an attempt: the highest number received and the newest progress.
attempts = Table(
    "telemetry_attempts",
    metadata,
    Column("job_id", KEY, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("last_n", BigInteger, nullable=False),
    Column("last_t", Double, nullable=False),
    Column("progress_n", BigInteger),
    Column("phase", Text),
    Column("step", BigInteger),
    Column("total", BigInteger),
    Column("rate", Double),
    Column("eta", Double),
    Column("progress_t", Double),
    PrimaryKeyConstraint("job_id", "attempt", name="pk_telemetry_attempts"),
)

SERIES_POINTS = 5_000
ANSWER_POINTS = 20_000  # of all series together: an answer has to fit into one message


def curves(
    connection: Connection, job_id: str, names: Sequence[str] | None = None, since_step: int = -1
) -> dict[str, Any]:
    """A job's curves: `{"job_id", "attempts": [...], "last_step", "series": {name: {"steps", "values", "sampled"}}}`.

    Each step is there once, with the value of the highest attempt that reached it. Non-finite values are the strings
    `NaN`, `Infinity`, `-Infinity`. A series of more points than fit is thinned out evenly, its first and last step and
    each stretch's extremes kept, and says `"sampled": true`; asking again from `since_step` gives what follows in full.
    """
    question = select(metrics.c.name, metrics.c.step, metrics.c.value, metrics.c.special).where(
        metrics.c.job_id == job_id, metrics.c.step > since_step
    )
    if names is not None:
        question = question.where(metrics.c.name.in_(names))
    question = question.order_by(metrics.c.name, metrics.c.step, metrics.c.attempt, metrics.c.n)
    found: dict[str, dict[int, Value]] = {}
    for name, step, value, special in connection.execute(question):
        found.setdefault(name, {})[step] = value if special is None else special
    room = max(2, min(SERIES_POINTS, ANSWER_POINTS // max(1, len(found))))
    return {
        "job_id": job_id,
        "attempts": _attempts(connection, job_id),
        "last_step": max((next(reversed(points)) for points in found.values()), default=None),
        "series": {name: _series(points, room) for name, points in sorted(found.items())},
    }


def sample_answers(connection: Connection, job_id: str, since_step: int = -1) -> dict[str, Any]:
    """What a job's model answered to held-out rows, step by step, beside the base model:

    `{"job_id", "steps": [...], "rows": [{"row", "prompt", "reference", "base", "answers": [{"step", "answer"}, …]}]}`.
    A step that was done twice is there once, as the highest attempt answered; `base` is null until it has answered.
    """
    question = (
        select(samples).where(samples.c.job_id == job_id).order_by(samples.c.step, samples.c.attempt, samples.c.n)
    )
    found: dict[int, dict[str, Any]] = {}
    answers: dict[int, dict[int, str]] = {}
    for row in connection.execute(question).mappings():
        shown = {"row": row["row"], "prompt": row["prompt"], "reference": row["reference"], "base": None}
        known = found.setdefault(row["row"], shown)
        if row["step"] == 0:
            known["base"] = row["answer"]
        elif row["step"] > since_step:
            answers.setdefault(row["row"], {})[row["step"]] = row["answer"]
    return {
        "job_id": job_id,
        "steps": sorted({step for steps in answers.values() for step in steps}),
        "rows": [
            known | {"answers": [{"step": step, "answer": text} for step, text in answers.get(number, {}).items()]}
            for number, known in found.items()
        ],
    }


def log_text(
    connection: Connection, job_id: str, attempt: int | None = None, offset: int = 0, limit: int = 100_000
) -> dict[str, Any]:
    """Up to `limit` bytes of an attempt's output from byte `offset` on; the newest attempt when none is named.

    `{"job_id", "attempt", "attempts", "offset", "text", "next_offset"}`: ask for `next_offset` to go on.
    """
    known = _attempts(connection, job_id)
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


def latest_progress(connection: Connection, job_ids: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Of each job the newest progress of its highest attempt: attempt, phase, step, total, rate, eta, t (Unix seconds).

    Jobs that reported none are left out.
    """
    question = (
        select(attempts)
        .where(attempts.c.job_id.in_(list(job_ids)), attempts.c.progress_n.is_not(None))
        .order_by(attempts.c.job_id, attempts.c.attempt)
    )
    return {
        row["job_id"]: {
            "attempt": row["attempt"],
            "phase": row["phase"],
            "step": row["step"],
            "total": row["total"],
            "rate": row["rate"],
            "eta": row["eta"],
            "t": row["progress_t"],
        }
        for row in connection.execute(question).mappings()
    }


def _attempts(connection: Connection, job_id: str) -> list[int]:
    question = select(attempts.c.attempt).where(attempts.c.job_id == job_id).order_by(attempts.c.attempt)
    return list(connection.scalars(question))


def _series(points: Mapping[int, Value], room: int) -> dict[str, Any]:
    steps, values = list(points), list(points.values())
    if len(steps) > room:
        kept = _thinned(values, room)
        return {"steps": [steps[i] for i in kept], "values": [values[i] for i in kept], "sampled": True}
    return {"steps": steps, "values": values, "sampled": False}


def _thinned(values: Sequence[Value], room: int) -> list[int]:
    """Indices of at most `room` points: the ends, and the lowest and highest of each of equally long stretches."""
    stretches = max(1, (room - 2) // 2)
    length = math.ceil(len(values) / stretches)
    kept = {0, len(values) - 1}
    for begin in range(0, len(values), length):
        finite = [i for i in range(begin, min(begin + length, len(values))) if isinstance(values[i], float)]
        if finite:
            kept.add(min(finite, key=lambda i: values[i]))
            kept.add(max(finite, key=lambda i: values[i]))
        else:
            kept.add(begin)
    return sorted(kept)


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
