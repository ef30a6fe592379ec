"""Deletes the folders of removed jobs whose files were given up; nothing else in the studio deletes a job's files.

The event comes first, so that a crash in between only means that the next start deletes them.
"""

from __future__ import annotations

import asyncio
import logging
import shutil

from sqlalchemy import Engine, select
from tunebus.projections.tables import removed
from tunebus.services.platform import database
from tunebus.services.platform.home import Home
from tunebus.services.registry.users import folder_of

INTERVAL_SECONDS = 2.0

_log = logging.getLogger(__name__)


class Sweeper:
    """`run` until cancelled. Each folder is deleted once a start; one that is not there is done."""

    def __init__(self, reads: Engine, home: Home) -> None:
        self._reads = reads
        self._home = home
        self._done: set[str] = set()

    async def run(self) -> None:
        while True:
            try:
                await asyncio.to_thread(self.sweep)
            except database.DatabaseError as error:
                _log.warning("removed jobs could not be looked at", extra={"reason": error.problem.message})
            await asyncio.sleep(INTERVAL_SECONDS)

    def sweep(self) -> None:
        """Delete what is given up. Only a job's own folder is ever deleted, whatever an imported event says."""
        with database.read(self._reads) as connection:
            given_up = select(removed.c.id, removed.c.out_dir).where(removed.c.files_deleted)
            found = [row.id for row in connection.execute(given_up) if row.out_dir == folder_of(row.id)]
        self._done.update(job_id for job_id in found if job_id not in self._done and self._delete(job_id))

    def _delete(self, job_id: str) -> bool:
        """Whether the folder is gone."""
        folder = self._home.path(folder_of(job_id))
        try:
            shutil.rmtree(folder)
        except FileNotFoundError:
            return True
        except OSError as error:
            _log.warning("a removed job's files cannot be deleted", extra={"job_id": job_id, "reason": str(error)})
            return False
        _log.info("the files of a removed job are deleted", extra={"job_id": job_id})
        return True
