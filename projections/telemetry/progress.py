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
    question = select(attempts.c.attempt).where(attempts.c.job_id == job_id).order_by(attempts.c.attempt)
    return list(connection.scalars(question))
