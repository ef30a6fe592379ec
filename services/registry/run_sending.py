"""Sends the points of trainings that ran elsewhere as telemetry, once their import has been accepted and not before.

A file in `imports` names each run on its way: after a registry that died, the next one sends what was accepted and
deletes what was not, so that no point is of a job that the record never heard of.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
from pathlib import Path

from sqlalchemy import Engine, select
from tunebus.contracts.errors import TunebusError
from tunebus.contracts.identifiers import is_id
from tunebus.contracts.subjects import Subjects
from tunebus.contracts.telemetry import batch_bytes
from tunebus.services.platform import database
from tunebus.services.platform.connection import BusClient
from tunebus.services.platform.home import Home
from tunebus.services.platform.publish import publish
from tunebus.services.platform.schema import inbox
from tunebus.services.platform.worker.folder import AttemptFolder
from tunebus.services.platform.worker.spool import Sent, read_batch
from tunebus.services.registry.imported_run import ATTEMPT
from tunebus.services.registry.users import folder_of

INTERVAL_SECONDS = 0.2

_log = logging.getLogger(__name__)


class RunSender:
    """`run` until cancelled. Runs are told apart by the ids that their jobs are to have."""

    def __init__(self, client: BusClient, subjects: Subjects, reads: Engine, home: Home) -> None:
        self._stream = client.jetstream()
        self._subjects = subjects
        self._reads = reads
        self._home = home
        self.folder = home.folder / "imports"
        self._left = self._marks()
        self._waiting: dict[str, str] = {}  # job id -> id of the command that is to be decided
        self._more = asyncio.Event()

    def begin(self, job_id: str, command_id: str) -> None:
        """Note a run before anything of it is written."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        (self.folder / job_id).write_text(command_id, encoding="utf-8")

    def offer(self, job_id: str, command_id: str) -> None:
        """Send a run, whose points are in its spool, as soon as its command is accepted."""
        self._waiting[job_id] = command_id
        self._more.set()

    def drop(self, job_id: str) -> None:
        """Delete all there is of a run that becomes no job."""
        shutil.rmtree(self._home.path(folder_of(job_id)), ignore_errors=True)
        (self.folder / job_id).unlink(missing_ok=True)

    def spool(self, job_id: str) -> Path:
        """Where the points of a run are written."""
        folder = self._home.path(f"{folder_of(job_id)}/attempt-{ATTEMPT}")
        return AttemptFolder(folder, job_id, ATTEMPT).spool

    async def run(self) -> None:
        await self._take_up()
        while True:
            await self._more.wait()
            for job_id, command_id in list(self._waiting.items()):
                if await self._settled(job_id, command_id):
                    del self._waiting[job_id]
            if not self._waiting:
                self._more.clear()
            else:
                await asyncio.sleep(INTERVAL_SECONDS)

    def _marks(self) -> dict[str, str]:
        """The runs that an earlier registry had on their way; what else it left there goes."""
        found: dict[str, str] = {}
        if not self.folder.is_dir():
            return found
        for path in self.folder.iterdir():
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            elif is_id(path.name):
                found[path.name] = path.read_text(encoding="utf-8")
        return found

    async def _take_up(self) -> None:
        """A command that was not decided comes again, and is prepared anew under another id."""
        for job_id, command_id in self._left.items():
            while (accepted := await self._fate(job_id, command_id, undecided=False)) is None:
                await asyncio.sleep(INTERVAL_SECONDS)
            if accepted:
                self.offer(job_id, command_id)
            else:
                await asyncio.to_thread(self.drop, job_id)

    async def _settled(self, job_id: str, command_id: str) -> bool:
        """Whether nothing is left to do for a run."""
        accepted = await self._fate(job_id, command_id, undecided=None)
        if accepted is None:
            return False
        if not accepted:
            await asyncio.to_thread(self.drop, job_id)
            return True
        try:
            await self._send(job_id)
        except TunebusError as error:
            _log.warning("points of an imported run wait", extra={"job_id": job_id, "reason": error.problem.message})
            return False
        (self.folder / job_id).unlink(missing_ok=True)
        return True

    async def _fate(self, job_id: str, command_id: str, *, undecided: bool | None) -> bool | None:
        """Whether the run has become the job; None when that cannot be told yet."""

        def look() -> bool | None:
            with database.read(self._reads) as connection:
                outcome = connection.scalar(select(inbox.c.outcome).where(inbox.c.command_id == command_id))
            return undecided if outcome is None else outcome["id"] == job_id

        with contextlib.suppress(database.DatabaseError):
            return await asyncio.to_thread(look)
        return None

    async def _send(self, job_id: str) -> None:
        """All of the spool, as a worker sends it; what was sent before changes nothing. Errors: `unavailable`."""
        spool, sent = self.spool(job_id), Sent()
        while True:
            try:
                batch = await asyncio.to_thread(read_batch, spool, sent)
            except FileNotFoundError:  # the job was removed meanwhile, with its files
                return
            if batch is None:
                return
            await publish(
                self._stream,
                self._subjects.telemetry(job_id, ATTEMPT),
                batch_bytes(job_id, ATTEMPT, batch.lines),
                stream=self._subjects.telemetry_stream,
                message_id=f"{job_id}/{ATTEMPT}/{batch.start}-{batch.end}",
            )
            sent = Sent(batch.end, batch.end)
