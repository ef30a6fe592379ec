"""From the body of a telemetry message to rows, checked by the schema's rules without a model a record.

It touches neither the bus nor a database. It accepts what `contracts.telemetry` describes; a test compares the two.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pydantic_core
from tunebus.contracts.errors import Code, TunebusError, fail
from tunebus.services.platform.telemetry import LONGEST_NAME, BadRecord, number, read_batch, values, whole

MetricRow = tuple[str, str, int, int, int, float | None, str | None, float]
LogRow = tuple[str, int, int, int, str, float]
SystemRow = tuple[str, int, int, str, float]
SampleRow = tuple[str, int, int, int, int, str, str, str, float]


@dataclass
class AttemptRow:
    """The highest number received of an attempt and its newest progress."""

    last_n: int
    last_t: float
    progress_n: int | None = None
    phase: str | None = None
    step: int | None = None
    total: int | None = None
    rate: float | None = None
    eta: float | None = None
    progress_t: float | None = None


@dataclass
class Rows:
    """What one or several messages come to, in the order of the tables' columns."""

    metrics: list[MetricRow] = field(default_factory=list)
    logs: list[LogRow] = field(default_factory=list)
    system: list[SystemRow] = field(default_factory=list)
    samples: list[SampleRow] = field(default_factory=list)
    attempts: dict[tuple[str, int], AttemptRow] = field(default_factory=dict)

    def merge(self, other: Rows) -> None:
        self.metrics += other.metrics
        self.logs += other.logs
        self.system += other.system
        self.samples += other.samples
        for key, theirs in other.attempts.items():
            ours = self.attempts.setdefault(key, theirs)
            if theirs.last_n > ours.last_n:
                ours.last_n, ours.last_t = theirs.last_n, theirs.last_t
            if theirs.progress_n is not None and (ours.progress_n is None or theirs.progress_n > ours.progress_n):
                theirs.last_n, theirs.last_t = ours.last_n, ours.last_t
                self.attempts[key] = theirs


def parse(body: bytes, subject: str | None = None) -> tuple[Rows, TunebusError | None]:
    """The rows of a batch, and what is wrong with those of its records that are left out.

    A record of a kind that only a newer version knows is passed over. Errors, when nothing can be taken from the
    message: `malformed`, also where the body speaks of another attempt than the `subject`.
    """
    job_id, attempt, records = read_batch(body)
    if subject is not None and not subject.endswith(f".{job_id}.{attempt}"):
        raise fail(Code.MALFORMED, f"the body speaks of {job_id}, attempt {attempt}", param="job_id")

    rows, bad = Rows(), list[str]()
    summary = AttemptRow(last_n=-1, last_t=0.0)
    for index, record in enumerate(records):
        try:
            _take(record, job_id, attempt, rows, summary)
        except BadRecord as error:
            bad.append(f"records.{index}: {error}")
    if summary.last_n >= 0:
        rows.attempts[job_id, attempt] = summary
    if not bad:
        return rows, None
    more = f"; and {len(bad) - 5} more" if len(bad) > 5 else ""
    message = f"{len(bad)} of {len(records)} records are not as the schema says: {'; '.join(bad[:5])}{more}"
    return rows, fail(Code.MALFORMED, message, param="records")


def _take(record: Any, job_id: str, attempt: int, rows: Rows, summary: AttemptRow) -> None:
    if type(record) is not dict:
        raise BadRecord("not an object")
    n, t = whole(record, "n"), record.get("t")
    if type(t) is not float:
        t = number(record, "t")
    kind = record.get("k")
    if kind == "metric":
        step = whole(record, "step")
        points: list[MetricRow] = []
        for name, value in values(record).items():
            if type(value) is float:
                points.append((job_id, name, step, attempt, n, value, None, t))
            elif type(value) is str:
                points.append((job_id, name, step, attempt, n, None, value, t))
            else:
                points.append((job_id, name, step, attempt, n, float(value), None, t))
        rows.metrics += points
    elif kind == "log":
        text = _text(record, "text")
        # PostgreSQL keeps no NUL; one byte for one byte, so that offsets stay true.
        rows.logs.append((job_id, attempt, whole(record, "offset"), n, text.replace("\x00", "?"), t))
    elif kind == "progress":
        phase, step, total = _text(record, "phase"), whole(record, "step"), whole(record, "total")
        if len(phase) > LONGEST_NAME or "\x00" in phase:
            raise BadRecord("phase is a short text")
        rate, eta = _maybe(record, "rate"), _maybe(record, "eta")
        if summary.progress_n is None or n >= summary.progress_n:
            summary.progress_n, summary.phase, summary.step, summary.total = n, phase, step, total
            summary.rate, summary.eta, summary.progress_t = rate, eta, t
    elif kind == "system":
        rows.system.append((job_id, attempt, n, pydantic_core.to_json(values(record)).decode(), t))
    elif kind == "sample":
        step, row = whole(record, "step"), whole(record, "row")
        prompt, reference, answer = (
            _text(record, name).replace("\x00", "?") for name in ("prompt", "reference", "answer")
        )
        rows.samples.append((job_id, step, row, attempt, n, prompt, reference, answer, t))
    elif not isinstance(kind, str):
        raise BadRecord("k is missing")
    if n > summary.last_n:
        summary.last_n, summary.last_t = n, t


def _maybe(record: dict[str, Any], name: str) -> float | None:
    return None if record.get(name) is None else number(record, name)


def _text(record: dict[str, Any], name: str) -> str:
    value = record.get(name)
    if type(value) is not str:
        raise BadRecord(f"{name} is a text")
    return value
