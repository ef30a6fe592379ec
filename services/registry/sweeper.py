"""Deletes the folders of removed jobs, and the copies of removed datasets' uploads, that were given up; nothing else in
the studio deletes them.

The event comes first, so that a crash in between only means that the next start deletes them.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import Collection

from sqlalchemy import Engine, select
from tunebus.contracts.subjects import DATASET
from tunebus.projections.tables import removed
from tunebus.services.platform import database
from tunebus.services.platform.home import Home
from tunebus.services.registry.copies import is_copy, is_free
from tunebus.services.registry.uploads import Uploads
from tunebus.services.registry.users import folder_of

INTERVAL_SECONDS = 2.0

_log = logging.getLogger(__name__)


class Sweeper:
    """`run` until cancelled. Each place is deleted once a start; one that is not there is done."""

    def __init__(self, reads: Engine, home: Home, uploads: Uploads) -> None:
        self._reads = reads
        self._home = home
        self._uploads = uploads
        self._done: set[str] = set()

    async def run(self) -> None:
        while True:
            try:
                await asyncio.to_thread(self.sweep)
            except database.DatabaseError as error:
                _log.warning("what was removed could not be looked at", extra={"reason": error.problem.message})
            await asyncio.sleep(INTERVAL_SECONDS)

    def sweep(self) -> None:
        """Delete what is given up. Only a job's own folder, and a copy that nobody reads, is ever deleted, whatever an
        imported event says."""
        with database.read(self._reads) as connection:
            given_up = select(removed.c.id, removed.c.aggregate, removed.c.out_dir).where(removed.c.files_deleted)
            found = [row for row in connection.execute(given_up) if row.id not in self._done]
        for row in found:
            if row.out_dir == folder_of(row.id):
                gone = self._delete(row.id)
            else:
                gone = row.aggregate == DATASET and is_copy(row.out_dir) and self._delete_copy(row.out_dir)
            if gone:
                self._done.add(row.id)

    def _delete_copy(self, location: str) -> bool:
        """Whether the copy is gone. One that somebody reads again since it was given up stays, and is asked about anew
        until nobody does."""

        def free(commands: Collection[str]) -> bool:
            with database.read(self._reads) as connection:
                return is_free(connection, location, commands)

        try:
            gone = self._uploads.delete(location, free)
        except OSError as error:
            _log.warning("an upload's copy cannot be deleted", extra={"location": location, "reason": str(error)})
            return False
        if gone:
            _log.info("the copy of a removed dataset is deleted", extra={"location": location})
        return gone

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
