"""Supervises one attempt from its claim to its last report: prepare, start the child, watch it, conclude.

Whatever happens to this process, the child does not outlive it, and the folder says what is left to do.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tunebus.contracts import rpc
from tunebus.contracts.commands import CompleteAttempt, FailAttempt, RecordCheckpoint
from tunebus.contracts.recipes import ChildJob
from tunebus.services.platform.child.files import write_document
from tunebus.services.platform.home import SCHEME, Home
from tunebus.services.platform.process import end_tasks
from tunebus.services.platform.settings import Settings
from tunebus.services.platform.worker import inputs, memory, user_script
from tunebus.services.platform.worker.bus import Bus
from tunebus.services.platform.worker.calls import Registry
from tunebus.services.platform.worker.capabilities import Loads
from tunebus.services.platform.worker.child import Child, Exit, environment
from tunebus.services.platform.worker.conclusion import as_ending, close_spool, conclude
from tunebus.services.platform.worker.control import Control
from tunebus.services.platform.worker.endings import ending_of, not_started, refused
from tunebus.services.platform.worker.findings import Findings
from tunebus.services.platform.worker.folder import AttemptFolder, cause_of
from tunebus.services.platform.worker.forwarding import Forwarder, Progress
from tunebus.services.platform.worker.heartbeat import Heartbeat
from tunebus.services.platform.worker.inputs import Refused, VerifyCheckpoint
from tunebus.services.platform.worker.reports import Reports

LOOK_SECONDS = 0.25  # how often the folder is looked at for new reports
TEARDOWN_SECONDS = 30.0  # a child that wrote its result and still does not end is ended
SHUTDOWN_SECONDS = 4.0  # for the last reports when the worker is told to go

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class WorkerKind:
    """What tells one kind of worker from another. `command` starts a child; the path of its `job.json` is appended.
    `environment` is what a child gets besides, by its recipe.
    """

    name: str
    job_kind: rpc.JobKind
    command: Sequence[str]
    verify_checkpoint: VerifyCheckpoint | None = None
    other_kinds: Sequence[rpc.JobKind] = ()
    environment: Callable[[Mapping[str, Any], Settings], Mapping[str, str]] | None = None


@dataclass(frozen=True)
class Surroundings:
    """What every attempt of one worker process shares."""

    kind: WorkerKind
    worker_id: str
    settings: Settings
    home: Home
    bus: Bus
    registry: Registry
    shutdown: asyncio.Event
    gpus: Sequence[rpc.Device]
    loads: Loads


class Attempt:
    """One attempt. `run` returns when it has ended and that is reported, or when the worker must go."""

    def __init__(self, around: Surroundings, assignment: rpc.Assignment) -> None:
        self._around = around
        self._assignment = assignment
        self._names: dict[str, object] = {"job_id": assignment.job_id, "attempt": assignment.attempt}
        self._folder = attempt_folder(around.home, assignment)
        self._findings = Findings(self._folder, around.home)
        self._progress = Progress()
        self._unrecorded: dict[str, int] = {}
        self._control = Control(self._names)
        self._heartbeat = Heartbeat(self._ask, self._control.obey, assignment.lease_seconds)
        self._reports = Reports(around.bus.report, assignment.kind, self._control.give_up, self._heartbeat.fresh)

    async def run(self) -> None:
        with contextlib.ExitStack() as stack:
            problem, lock = None, -1
            try:
                self._folder.make()
                lock = stack.enter_context(self._folder.lock())
            except BlockingIOError:
                logger.error("another process owns the folder of this attempt; its lease decides", extra=self._names)
                return
            except OSError as error:
                problem = error
            forwarder = Forwarder(self._around.bus, self._folder, self._progress, self._heartbeat.fresh)
            follow = self._control.follow(self._around.shutdown)
            bell = self._around.bus.stop_bell(self._assignment.kind, self._assignment.job_id, self._heartbeat.beat)
            async with _beside(self._heartbeat.run(), self._reports.run(), forwarder.run(), follow), bell:
                ending = await self._train(lock) if problem is None else self._unprepared(problem)
                await close_spool(self._folder)
                self._collect()
                finish = conclude(
                    self._folder, as_ending(ending), self._reports, forwarder, lambda: self._control.is_stale
                )
                if not await _finished(finish, self._around.shutdown):
                    logger.warning("the end of the attempt is reported at the next start", extra=self._names)

    async def _train(self, lock: int) -> CompleteAttempt | FailAttempt:
        """From the recipe to the child's death, and the name of that."""
        control, folder = self._control, self._folder
        try:
            job = await asyncio.to_thread(
                prepare, self._around.kind, self._assignment, self._around.home, self._around.settings, folder
            )
            if not control.wants_a_child:
                return not_started(folder, control.told)
            command = [*self._around.kind.command, str(folder.job_file)]
            kills = memory.oom_kills()
            surroundings = environment(job.threads, gpus=self._assignment.gpus)
            if self._around.kind.environment is not None:
                surroundings |= self._around.kind.environment(job.recipe, self._around.settings)
            child = control.child = Child.start(command, folder.path, folder.output, surroundings, lock)
        except Refused as refusal:
            return refused(folder, refusal.cause, str(refusal), refusal.hint)
        except OSError as error:
            return self._unprepared(error)
        logger.info("child started", extra={**self._names, "child": child.pid, "resumes": job.resume_from})
        try:
            left = await self._watch(child, job)
        finally:
            child.kill()
        control.told.oom_kills = memory.oom_kills() - kills
        control.told.step = self._progress.step
        logger.info("child ended", extra={**self._names, "exit_code": left.code, "signal": left.signal})
        return ending_of(folder, self._around.home, left, control.told)

    def _unprepared(self, error: OSError) -> FailAttempt:
        text = f"the attempt could not be prepared: {error.filename or self._folder.path}: {error.strerror}"
        return refused(self._folder, cause_of(error), text)

    async def _watch(self, child: Child, job: ChildJob) -> Exit:
        """Look after a running child until it has ended."""
        limit = job.recipe.get("num_memory_gb")
        result_since: float | None = None
        while not await child.ended_within(LOOK_SECONDS):
            await self._heartbeat.fresh()
            self._collect()
            now = time.monotonic()
            if limit and memory.used_bytes(child.pid) > limit * memory.GIB:
                self._control.told.memory_limit_gb = limit
                child.kill()
            if result_since is None and self._folder.result_file.exists():
                result_since = now
            elif result_since is not None and now - result_since > TEARDOWN_SECONDS:
                logger.warning("the child has its result and does not end: killed", extra=self._names)
                child.kill()
        return await child.wait()

    def _collect(self) -> None:
        """Hand out what is new, and tell the child which of its checkpoints the registry has by now."""
        for report, step in self._findings.new():
            identity = self._reports.add(report, step)
            if isinstance(report, RecordCheckpoint):
                self._unrecorded[identity] = report.step
        known = {
            identity: outcome for identity in self._unrecorded if (outcome := self._reports.outcomes.get(identity))
        }
        steps = [self._unrecorded.pop(identity) for identity in known]
        accepted = [step for step, outcome in zip(steps, known.values(), strict=True) if outcome.error is None]
        if accepted:
            with contextlib.suppress(OSError):  # the child then keeps what it would have kept anyway
                self._folder.note_recorded(max(accepted))

    async def _ask(self, timeout: float) -> rpc.HeartbeatReply:
        call = rpc.Heartbeat(
            worker_id=self._around.worker_id,
            job_id=self._assignment.job_id,
            attempt=self._assignment.attempt,
            step=self._progress.step,
            total_steps=self._progress.total_steps,
            load=await self._around.loads.now(),
        )
        return await self._around.registry.heartbeat(call, timeout)


def prepare(
    kind: WorkerKind, assignment: rpc.Assignment, home: Home, settings: Settings, folder: AttemptFolder
) -> ChildJob:
    """Check the inputs, choose the checkpoint, write `job.json`. Reads whole files: not for the event loop.
    Errors: Refused, OSError.
    """
    recipe = inputs.localize(assignment.recipe, home)
    if recipe.get("dataset"):
        inputs.check_dataset(recipe["dataset"])
    resume = None
    if kind.verify_checkpoint is not None:
        resume = inputs.newest_whole(assignment.checkpoints, home, kind.verify_checkpoint)
    script = user_script.take(recipe.get("user_script"), settings.user_scripts, folder.script)
    workers = settings.trainers if kind.name == "trainer" else settings.evaluators
    job = ChildJob(
        kind=assignment.kind,
        job_id=assignment.job_id,
        attempt=assignment.attempt,
        attempt_folder=str(folder.path),
        recipe=recipe,
        resume_from=str(resume[1]) if resume else None,
        resume_manifest_sha256=resume[0].manifest_sha256 if resume else None,
        threads=inputs.threads(recipe.get("num_cpu"), settings.threads_per_job, workers),
        script=str(folder.script) if script else None,
        script_folder=str(script) if script else None,
    )
    write_document(folder.job_file, job.model_dump(mode="json"))
    return job


def attempt_folder(home: Home, assignment: rpc.Assignment) -> AttemptFolder:
    """Where the attempt lives. Below the artifact root as it is spelled, since URIs are made from that spelling.
    Errors: `not_permitted` for a folder outside of the root.
    """
    home.path(assignment.out_dir)
    job = home.artifacts.absolute() / assignment.out_dir.removeprefix(SCHEME)
    return AttemptFolder(job / f"attempt-{assignment.attempt}", assignment.job_id, assignment.attempt)


@contextlib.asynccontextmanager
async def _beside(*works: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Run `works` beside the body and end them with it; a defect in one of them ends the body too.

    The group alone would cancel each once, which a wait inside nats-py may swallow (see `end_tasks`), and wait on.
    """
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(work) for work in works]
        try:
            yield
        finally:
            await end_tasks(*tasks)


async def _finished(work: Coroutine[Any, Any, None], shutdown: asyncio.Event) -> bool:
    """Finish `work`, or give it a few seconds once the worker is told to go; False when that was not enough."""
    task = asyncio.ensure_future(work)
    told = asyncio.ensure_future(shutdown.wait())
    try:
        await asyncio.wait({task, told}, return_when=asyncio.FIRST_COMPLETED)
        await asyncio.wait({task}, timeout=SHUTDOWN_SECONDS)
        if task.done():
            task.result()
        return task.done()
    finally:
        await end_tasks(told, task)
