"""Leases: which attempt of a job a worker holds, and until when. The attempt number is the fencing token.

Times are seconds since 1970 as the registry's clock tells them. A domain takes and ends leases through `acquired`
and `released`, so that they commit with the events; heartbeats call `renew`.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, bindparam, select
from sqlalchemy.sql import Executable
from tunebus.services.platform.schema import leases

_OLDER = leases.delete().where(leases.c.job_id == bindparam("of_job"), leases.c.attempt < bindparam("of_attempt"))
_ENDED = leases.delete().where(leases.c.job_id == bindparam("of_job"), leases.c.attempt <= bindparam("of_attempt"))
_NEW = leases.insert()


@dataclass(frozen=True)
class Lease:
    job_id: str
    attempt: int
    worker_id: str
    expires_at: float


@dataclass(frozen=True)
class LeaseChange:
    """A `Change` of the ledger's protocol."""

    key: Hashable
    row_key: Hashable
    statement: Executable
    parameters: Mapping[str, Any]


def acquired(job_id: str, attempt: int, worker_id: str, expires_at: float) -> tuple[LeaseChange, LeaseChange]:
    """The changes that give a job to a worker: an older attempt's lease gives way, a newer one's fails the insert."""
    values = {"job_id": job_id, "attempt": attempt, "worker_id": worker_id, "expires_at": expires_at}
    return (
        LeaseChange("leases.older", job_id, _OLDER, {"of_job": job_id, "of_attempt": attempt}),
        LeaseChange("leases.new", job_id, _NEW, values),
    )


def released(job_id: str, attempt: int) -> LeaseChange:
    """The change that ends the lease of an attempt, or of any before it; a newer one's stays."""
    return LeaseChange("leases.ended", job_id, _ENDED, {"of_job": job_id, "of_attempt": attempt})


def acquire(connection: Connection, job_id: str, attempt: int, worker_id: str, expires_at: float) -> bool:
    """Take the lease at once. False when this attempt or a newer one is held."""
    held = get(connection, job_id)
    if held is not None and held.attempt >= attempt:
        return False
    for change in acquired(job_id, attempt, worker_id, expires_at):
        connection.execute(change.statement, change.parameters)
    return True


def renew(connection: Connection, job_id: str, attempt: int, worker_id: str, expires_at: float) -> bool:
    """Move the end of the lease. False (a stale attempt) unless exactly this attempt of this worker holds it.

    A lease past its end that nobody took away can still be renewed: the reaper decides, not the clock.
    """
    result = connection.execute(
        leases.update()
        .where(leases.c.job_id == job_id, leases.c.attempt == attempt, leases.c.worker_id == worker_id)
        .values(expires_at=expires_at)
    )
    return result.rowcount == 1


def release(connection: Connection, job_id: str, attempt: int) -> bool:
    """End the lease at once. False when it is not held by this attempt or an older one."""
    return connection.execute(_ENDED, {"of_job": job_id, "of_attempt": attempt}).rowcount == 1


def get(connection: Connection, job_id: str) -> Lease | None:
    row = connection.execute(select(leases).where(leases.c.job_id == job_id)).one_or_none()
    return Lease(*row) if row else None


def expired(connection: Connection, now: float) -> list[Lease]:
    """Leases that ended before `now`, the longest expired first."""
    rows = connection.execute(
        select(leases).where(leases.c.expires_at < now).order_by(leases.c.expires_at, leases.c.job_id)
    )
    return [Lease(*row) for row in rows]
