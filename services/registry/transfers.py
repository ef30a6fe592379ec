"""The way of a whole record over the bus: an export's document into the file bucket, an import's out of it.

Everything that takes long happens here, before the command's transaction: writing, fetching and checking.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import Engine
from tunebus.contracts.commands import ExportDatabase, ImportDatabase
from tunebus.contracts.errors import Code, Problem, TunebusError, fail
from tunebus.contracts.file_bucket import FileBucket
from tunebus.contracts.identifiers import new_id
from tunebus.services.platform import database
from tunebus.services.platform.decisions import PreparedCommand
from tunebus.services.platform.home import Home
from tunebus.services.registry import export_document
from tunebus.services.registry.children import PreparePool
from tunebus.services.registry.export_document import Written
from tunebus.services.registry.progress import Progress, Report
from tunebus.services.registry.staged_import import StagedImport
from tunebus.services.registry.transfer import Exported

CHECK_SECONDS = 3600.0


class Transfers:
    """Prepares `ExportDatabase` and `ImportDatabase`. What it writes meanwhile lies in a folder of the home."""

    def __init__(
        self,
        bucket: FileBucket,
        studio: str,
        home: Home,
        roots: dict[str, Any],
        reads: Engine,
        pool: PreparePool,
        progress: Progress,
        busy: Callable[[], None],
    ) -> None:
        self._bucket = bucket
        self._studio = studio
        self._folder = home.folder / "transfers"
        self._roots = roots
        self._reads = reads
        self._pool = pool
        self._progress = progress
        self._busy = busy
        shutil.rmtree(self._folder, ignore_errors=True)  # of a registry that was killed

    async def prepare(self, command: PreparedCommand) -> PreparedCommand:
        """The command with its facts or its bulk, or with its rejection."""
        prepared = command
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            if isinstance(command.command, ExportDatabase):
                prepared = replace(command, facts=await self._export(command.envelope.id, command.command))
            else:
                prepared = replace(command, bulk=await self._import(command, command.command))
        except database.DatabaseError:
            raise
        except TunebusError as error:
            prepared = replace(command, rejection=error.problem)
        except OSError as error:
            problem = Problem(
                code=Code.DISK_FULL, message=f"the document cannot be kept: {error.strerror}", hint="free some space"
            )
            prepared = replace(command, rejection=problem)
        finally:
            if prepared.bulk is None:
                self._progress.end(command.envelope.id)
        return prepared

    async def _export(self, command_id: str, asked: ExportDatabase) -> Exported:
        export_id = new_id()
        name = f"exports/{export_id}.json"
        path = self._folder / f"{export_id}.json"
        try:
            report = self._progress.phase(command_id, "writing", "events")
            written = await asyncio.to_thread(self._write, path, asked.projections, report)
            await self._bucket.upload(path, name, self._progress.phase(command_id, "storing", "bytes"))
        finally:
            path.unlink(missing_ok=True)
        return Exported(export_id, name, written.position, written.events, written.bytes, written.sha256)

    def _write(self, path: Path, projections: bool, report: Report) -> Written:
        with database.read(self._reads) as connection, path.open("wb") as file:
            return export_document.write(connection, file, studio=self._studio, projections=projections, report=report)

    async def _import(self, command: PreparedCommand, asked: ImportDatabase) -> StagedImport:
        command_id = command.envelope.id
        document, staged = (self._folder / f"{command_id}.{kind}" for kind in ("json", "db"))
        try:
            with document.open("wb") as file:
                await self._bucket.read(asked.upload, file, self._progress.phase(command_id, "fetching", "bytes"))
            request = {**self._roots, "document": str(document), "staged": str(staged)}
            checking = self._progress.phase(command_id, "checking", "events")
            facts = await self._pool.ask("import", request, CHECK_SECONDS, checking)
        except TunebusError as error:
            problem = error.problem
            raise fail(problem.code, problem.message, param="upload", hint=problem.hint) from None
        finally:
            document.unlink(missing_ok=True)
        return StagedImport(
            staged,
            facts,
            command.envelope,
            report=self._progress.phase(command_id, "taking in", "events"),
            busy=self._busy,
            ended=partial(self._progress.end, command_id),
        )
