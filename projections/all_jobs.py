"""The rows that lists of jobs of every kind choose from, made of the same changes as the jobs' own rows."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from tunebus.projections.changes import Change, Delete, Insert, Update
from tunebus.projections.tables import JOB_TABLES, all_jobs

_KINDS = {table: kind for kind, table in JOB_TABLES.items()}
_TIMES = {"started_at": "started", "finished_at": "finished"}
_SHARED = frozenset(column.name for column in all_jobs.columns) - {"kind", "loss", *_TIMES.values()}


def followed(changes: list[Change]) -> list[Change]:
    """Changes, and after each of a job what it means here."""
    if not any(change.table in _KINDS for change in changes):
        return changes
    return [made for change in changes for made in (change, *_here(change))]


def row_of(kind: str, job: Mapping[str, Any]) -> dict[str, Any]:
    """The row of a job of a kind, made of the job's own."""
    row = {name: job.get(name) for name in _SHARED}
    row |= {here: _seconds(job.get(name)) for name, here in _TIMES.items()}
    return row | {"kind": kind, "loss": _loss(job)}


def _here(change: Change) -> list[Change]:
    kind = _KINDS.get(change.table)
    if kind is None:
        return []
    if isinstance(change, Insert):
        return [Insert(all_jobs, row_of(kind, change.row))]
    if isinstance(change, Delete):
        return [Delete(all_jobs, change.where)]
    values = {name: value for name, value in change.values.items() if name in _SHARED}
    values |= {here: _seconds(change.values[name]) for name, here in _TIMES.items() if name in change.values}
    if "metrics" in change.values:
        values["loss"] = _loss(change.values)
    return [Update(all_jobs, change.where, values)] if values else []


def _loss(row: Mapping[str, Any]) -> float | None:
    """The held-out loss that a job ended with: the figure that lists compare."""
    metrics = row.get("metrics") or {}
    found = metrics.get("eval_loss", metrics.get("loss"))
    return float(found) if isinstance(found, int | float) and math.isfinite(found) else None


def _seconds(stamp: str | None) -> float | None:
    """Seconds since 1970 of an RFC 3339 time: half a list's time went into parsing texts of 100,000 jobs."""
    return None if stamp is None else datetime.fromisoformat(stamp).timestamp()
