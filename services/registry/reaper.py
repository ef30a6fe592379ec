"""Takes jobs back from workers that were not heard of for a whole lease, while the registry could hear all along."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

from sqlalchemy import Engine, select
from tunebus.projections.tables import JOB_TABLES
from tunebus.services.platform import database, leases
from tunebus.services.platform.decisions import PreparedCommand
from tunebus.services.platform.leases import Lease
from tunebus.services.registry import internal
from tunebus.services.registry.liveness import Hearing

_log = logging.getLogger(__name__)

Execute = Callable[[list[PreparedCommand]], Awaitable[object]]


class Reaper:
    """`run` until cancelled."""

    def __init__(self, reads: Engine, execute: Execute, hearing: Hearing, lease_seconds: float) -> None:
        self._reads = reads
        self._execute = execute
        self._hearing = hearing
        self._lease_seconds = lease_seconds
        self.interval = interval(lease_seconds)

    async def run(self) -> None:
        while True:
            await asyncio.sleep(self.interval)
            self._hearing.tick()
            try:
                await self.reap()
            except database.DatabaseError as error:
                self._hearing.deaf()
                _log.warning("leases could not be looked at", extra={"reason": error.problem.message})

    async def reap(self) -> list[Lease]:
        """Expire what has expired, unless the registry was deaf within the last lease; returns what was taken back."""
        if self._hearing.heard_for < self._lease_seconds:
            return []
        found = await asyncio.to_thread(self._expired)
        # Looking took a moment, in which this process may have been paused.
        if not found or self._hearing.heard_for < self._lease_seconds:
            return []
        for lease, _ in found:
            _log.warning(
                "a lease ran out",
                extra={"job_id": lease.job_id, "attempt": lease.attempt, "worker_id": lease.worker_id},
            )
        await self._execute([internal.expire(kind, lease.job_id, lease.attempt) for lease, kind in found])
        return [lease for lease, _ in found]

    def _expired(self) -> list[tuple[Lease, str]]:
        with database.read(self._reads) as connection:
            found = []
            for lease in leases.expired(connection, time.time()):
                for kind, table in JOB_TABLES.items():
                    if connection.scalar(select(table.c.id).where(table.c.id == lease.job_id)):
                        found.append((lease, kind))
            return found


def interval(lease_seconds: float) -> float:
    """How often to look: often enough that a loss costs little more than the lease."""
    return min(2.0, lease_seconds / 5)
