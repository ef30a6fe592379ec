"""The way of a training that ran elsewhere into the studio: its event files read aside, its points written to a spool.

`RunSender` sends them once the import is accepted; the projector alone writes them to SQL.
"""

from __future__ import annotations

import asyncio
import re
import shutil
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, or_, select
from tunebus.contracts.commands import ImportRun
from tunebus.contracts.errors import Code, TunebusError, fail
from tunebus.contracts.file_bucket import FileBucket
from tunebus.contracts.identifiers import new_id
from tunebus.contracts.subjects import DATASET, MODEL
from tunebus.projections import tables
from tunebus.projections.queries import find
from tunebus.services.platform import database
from tunebus.services.registry.children import PreparePool
from tunebus.services.registry.imported_run import PreparedRun
from tunebus.services.registry.progress import Progress
from tunebus.services.registry.run_folder import RunFolder
from tunebus.services.registry.run_sending import RunSender

READ_SECONDS = 1800.0


class RunIntake:
    """Prepares `ImportRun`. The job's folder holds the points, as that of any other job does."""

    def __init__(
        self,
        sender: RunSender,
        bucket: FileBucket,
        roots: dict[str, Any],
        reads: Engine,
        pool: PreparePool,
        progress: Progress,
    ) -> None:
        self._sender = sender
        self._bucket = bucket
        self._folder = sender.folder
        self._roots = roots
        self._reads = reads
        self._pool = pool
        self._progress = progress

    async def prepare(self, asked: ImportRun, command_id: str) -> PreparedRun:
        """Errors: `invalid` and what else the files give rise to; `unavailable` where the stream takes nothing."""
        if (asked.path is None) == (not asked.uploads):
            raise fail(
                Code.INVALID,
                "a run is read from one place: a path, or uploads",
                param="path",
                hint="give the folder of its event files, or the names of the files that were uploaded",
            )
        job_id = new_id()
        await asyncio.to_thread(self._sender.begin, job_id, command_id)
        try:
            run, source = await self._read(asked, command_id, self._sender.spool(job_id))
            if await asyncio.to_thread(self._will_be_added, asked, run.sha256):
                self._sender.offer(job_id, command_id)
            else:
                await asyncio.to_thread(self._sender.drop, job_id)
        except BaseException:
            await asyncio.to_thread(self._sender.drop, job_id)
            raise
        return PreparedRun(run, source, job_id)

    def _will_be_added(self, asked: ImportRun, sha256: str) -> bool:
        """Whether the decision will take it, as far as can be seen now; nothing is kept of what it will not."""
        jobs, adapters = tables.fine_tuning_jobs, tables.adapters
        taken = (
            select(jobs.c.id).where(or_(jobs.c.imported_sha256 == sha256, jobs.c.adapter_name == asked.name)),
            select(adapters.c.id).where(adapters.c.name_key == tables.name_key(asked.name)),
        )
        with database.read(self._reads) as connection:
            if any(connection.execute(question).first() for question in taken):
                return False
            named = ((MODEL, asked.base_model_id), (DATASET, asked.dataset_id))
            try:
                return all(find(connection, kind, reference) for kind, reference in named if reference)
            except TunebusError as error:
                if error.problem.code is not Code.NOT_FOUND:
                    raise
                return False

    async def _read(self, asked: ImportRun, command_id: str, spool: Path) -> tuple[RunFolder, str]:
        request: dict[str, Any] = {**self._roots, "spool": str(spool)}
        report = self._progress.phase(command_id, "reading", "bytes")
        if asked.path is not None:
            found = await self._pool.ask("run", {**request, "path": asked.path}, READ_SECONDS, report)
            return RunFolder(**found), asked.path
        fetched = self._folder / new_id()
        assert asked.uploads is not None
        try:
            await self._fetch(asked.uploads, fetched, command_id)
            shown = "the upload" if len(asked.uploads) == 1 else "the uploads"
            found = await self._pool.ask(
                "run", {**request, "fetched": str(fetched), "path": shown}, READ_SECONDS, report
            )
        except TunebusError as error:
            problem = error.problem
            raise TunebusError(problem.model_copy(update={"param": "uploads"})) from None
        finally:
            await asyncio.to_thread(shutil.rmtree, fetched, ignore_errors=True)
        return RunFolder(**found), ", ".join(asked.uploads)[:1000]

    async def _fetch(self, uploads: list[str], folder: Path, command_id: str) -> None:
        await asyncio.to_thread(folder.mkdir, mode=0o700, parents=True)
        for number, name in enumerate(uploads):
            report = self._progress.phase(command_id, "fetching", "bytes")
            path = folder / f"{number:04d}-{re.sub(r'[^A-Za-z0-9._-]+', '-', name)[-150:]}"
            with path.open("wb") as file:
                await self._bucket.read(name, file, report)
