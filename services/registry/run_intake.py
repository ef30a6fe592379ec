"""The way of a training that ran elsewhere into the studio: its event files read aside, its points sent as telemetry.

What is refused on sight is refused before anything is sent; the projector alone writes the points.
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
from tunebus.contracts.subjects import DATASET, MODEL, Subjects
from tunebus.contracts.telemetry import batch_bytes
from tunebus.projections import tables
from tunebus.projections.queries import find
from tunebus.services.platform import database
from tunebus.services.platform.connection import BusClient
from tunebus.services.platform.home import Home
from tunebus.services.platform.publish import publish
from tunebus.services.platform.worker.folder import AttemptFolder
from tunebus.services.platform.worker.spool import Sent, read_batch
from tunebus.services.registry.children import PreparePool
from tunebus.services.registry.imported_run import ATTEMPT, PreparedRun
from tunebus.services.registry.progress import Progress
from tunebus.services.registry.run_folder import RunFolder
from tunebus.services.registry.users import folder_of

READ_SECONDS = 1800.0


class RunIntake:
    """Prepares `ImportRun`. The job's folder holds the points, as that of any other job does."""

    def __init__(
        self,
        client: BusClient,
        subjects: Subjects,
        bucket: FileBucket,
        home: Home,
        roots: dict[str, Any],
        reads: Engine,
        pool: PreparePool,
        progress: Progress,
    ) -> None:
        self._subjects = subjects
        self._stream = client.jetstream()
        self._bucket = bucket
        self._home = home
        self._folder = home.folder / "imports"
        self._roots = roots
        self._reads = reads
        self._pool = pool
        self._progress = progress
        shutil.rmtree(self._folder, ignore_errors=True)  # of a registry that was killed

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
        folder = self._home.path(folder_of(job_id))
        try:
            run, source = await self._read(asked, command_id, self._attempt(job_id).spool)
            if await asyncio.to_thread(self._will_be_added, asked, run.sha256):
                await self._send(job_id, command_id)
            else:
                await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
        except BaseException:
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
            raise
        return PreparedRun(run, source, job_id)

    def _will_be_added(self, asked: ImportRun, sha256: str) -> bool:
        """Whether the decision will take it, as far as can be seen now; nothing is sent of what it will not."""
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

    async def _send(self, job_id: str, command_id: str) -> None:
        """All of the spool, as a worker sends it."""
        report = self._progress.phase(command_id, "sending", "bytes")
        spool = self._attempt(job_id).spool
        total, sent = spool.stat().st_size, Sent()
        while (batch := await asyncio.to_thread(read_batch, spool, sent)) is not None:
            await publish(
                self._stream,
                self._subjects.telemetry(job_id, ATTEMPT),
                batch_bytes(job_id, ATTEMPT, batch.lines),
                stream=self._subjects.telemetry_stream,
                message_id=f"{job_id}/{ATTEMPT}/{batch.start}-{batch.end}",
            )
            sent = Sent(batch.end, batch.end)
            report(batch.end, total)

    def _attempt(self, job_id: str) -> AttemptFolder:
        return AttemptFolder(self._home.path(f"{folder_of(job_id)}/attempt-{ATTEMPT}"), job_id, ATTEMPT)
