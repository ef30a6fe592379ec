"""Whether anything changed, without reading it: cheap stamps that differ when what they watch differs."""

from __future__ import annotations

from sqlalchemy import Connection, func, select
from tunebus.projections import ledger_view, telemetry
from tunebus.projections.tables import worker_loads, workers

Stamp = tuple[int | float | str | None, ...]


def of_ledger(connection: Connection) -> Stamp:
    """Changes with every event and every dead letter."""
    letters = ledger_view.dead_letters
    return (
        connection.scalar(select(func.max(ledger_view.events.c.position))),
        connection.scalar(select(func.max(letters.c.id))),
        connection.scalar(select(func.max(letters.c.resent_at))),
    )


def of_workers(connection: Connection) -> Stamp:
    """Changes whenever a worker is heard of."""
    return (
        connection.scalar(select(func.max(workers.c.last_seen))),
        connection.scalar(select(func.max(worker_loads.c.reported_at))),
    )


def of_telemetry(measured: Connection, job_id: str | None = None) -> Stamp:
    """Changes with what attempts measure and print; with what those of one job do where it is named. One look-up."""
    table = telemetry.writes
    wanted = telemetry.EVERY_JOB if job_id is None else job_id
    return (measured.scalar(select(table.c.count).where(table.c.job_id == wanted)),)
