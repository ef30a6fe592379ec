"""How far attempts are, and which there are."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, select
from tunebus.projections.telemetry.tables import attempts


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


def attempts_of(connection: Connection, job_id: str) -> list[int]:
    return [found["attempt"] for found in reached_by(connection, job_id)]


def reached_by(connection: Connection, job_id: str) -> list[dict[str, Any]]:
    """What each attempt of a job was last heard of: attempt, phase, step, t (Unix seconds)."""
    question = (
        select(attempts.c.attempt, attempts.c.phase, attempts.c.step, attempts.c.last_t.label("t"))
        .where(attempts.c.job_id == job_id)
        .order_by(attempts.c.attempt)
    )
    return [dict(row) for row in connection.execute(question).mappings()]
