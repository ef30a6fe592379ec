"""The states that fine-tunings and evaluations share: claims, attempts and their fencing, stops, failures and retries.

Pure: it decides from a job's folded events and returns new ones; leases and queues are SQL's and live elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from tunebus.contracts.commands import FailAttempt, RecordCheckpoint, ReportAttemptRunning
from tunebus.contracts.errors import Code, Problem
from tunebus.contracts.events import (
    AttemptFailed,
    AttemptLost,
    AttemptRunning,
    AttemptStarted,
    CheckpointRecorded,
    Event,
    JobFailed,
    JobFilesDeleted,
    JobHeld,
    JobQueued,
    JobRemoved,
    JobStopped,
    RecordedEvent,
    StopRequested,
    uses_up_a_retry,
)
from tunebus.contracts.recipes import Checkpoint
from tunebus.projections.jobs import first_rank
from tunebus.services.platform.decisions import Accepted, Decision, NewEvent, Rejected
from tunebus.services.registry import estimate
from tunebus.services.registry.decision import happened, refused


class State(StrEnum):
    QUEUED = "queued"
    HELD = "held"
    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    STOPPED = "stopped"
    INTERRUPTED = "interrupted"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


ENDED = frozenset({State.STOPPED, State.SUCCEEDED, State.FAILED})
WAITING = frozenset({State.QUEUED, State.HELD, State.INTERRUPTED})
WITH_WORKER = frozenset({State.STARTING, State.RUNNING, State.STOPPING})

# Trying again would end the same way, or would do harm.
FINAL_CAUSES = frozenset({"bad_configuration", "bad_data", "nan_loss", "out_of_memory", "disk_full"})
HINTS = {
    "out_of_memory": "use a smaller batch_size or max_length, or give the job more memory",
    "disk_full": "free space where the artifacts are kept, then start the job again",
    "nan_loss": "lower the learning rate, or look for broken rows",
}
# A job that takes its worker down every time before the first new checkpoint would otherwise be tried for ever.
MAX_LOSSES_WITHOUT_PROGRESS = 20


@dataclass(frozen=True)
class Job:
    """A job folded from its events. `attempt` is the newest attempt's number, `crashes` the retries used up."""

    id: str
    kind: str
    state: State
    added: Mapping[str, Any]
    attempt: int = 0
    worker_id: str | None = None
    crashes: int = 0
    losses: int = 0
    stop: str | None = None  # graceful or force
    step: int = 0
    checkpoints: tuple[Checkpoint, ...] = field(default=())
    held: str | None = None  # the cause, while it is held
    priority: int = 0
    rank: str = ""
    labels: tuple[str, ...] = ()
    notes: str = ""
    depends_on: tuple[str, ...] = ()
    waiting_for: tuple[str, ...] = ()
    gpus: tuple[str, ...] = ()
    removed: bool = False
    files_deleted: bool = False
    total_steps: int = 0
    threads: int | None = None
    suggestion: Mapping[str, Any] | None = None
    result: tuple[str, str] | None = None
    """URI and SHA-256 of what it made."""
    adapter_id: str | None = None
    model_id: str | None = None
    """What it made, as registered."""
    metrics: Mapping[str, float | None] = field(default_factory=dict)

    @property
    def recipe(self) -> Mapping[str, Any]:
        recipe: Mapping[str, Any] = self.added["recipe"]
        return recipe

    @property
    def out_dir(self) -> str:
        return str(self.added["out_dir"])

    @property
    def is_waiting(self) -> bool:
        """Whether it may still be moved, held or made to depend on others."""
        return self.state in WAITING

    @property
    def is_imported(self) -> bool:
        """Whether it ran elsewhere: there is nothing here to start it from."""
        return "imported" in self.added

    @property
    def name(self) -> str:
        return str(self.added.get("adapter_name") or self.id)


def evolve(job: Job | None, event: RecordedEvent) -> Job:
    """The job after one more of its events."""
    data = event.data
    if job is None:
        added = Job(
            event.entity_id,
            event.aggregate,
            State.HELD,
            added=data,
            priority=data.get("priority", 0),
            rank=first_rank(event.position),
            labels=tuple(data.get("labels", ())),
            notes=data.get("notes", ""),
            depends_on=tuple(data.get("depends_on", ())),
            waiting_for=tuple(data.get("waiting_for", ())),
        )
        if event.type == "ImportedJobAdded":
            return replace(added, state=State.SUCCEEDED, attempt=data["attempt"], step=data["step"])
        return added
    match event.type:
        case "JobQueued" if data["cause"] in ("retried", "resumed"):
            step = data.get("resume_step")
            kept = tuple(point for point in job.checkpoints if step is None or point.step <= step)
            again = replace(job, stop=None, crashes=0, losses=0, suggestion=None, checkpoints=kept)
            return replace(again, state=State.QUEUED, worker_id=None, held=None)
        case "JobQueued":
            return replace(job, state=State.QUEUED, worker_id=None, held=None)
        case "FineTuningJobChanged":
            kept = () if data.get("restart") else job.checkpoints
            asked = data.get("asked") or job.added["asked"]
            return replace(job, added={**job.added, "recipe": data["recipe"], "asked": asked}, checkpoints=kept)
        case "JobHeld":
            return replace(job, state=State.HELD, worker_id=None, held=data["cause"])
        case "JobPrioritized":
            return replace(job, priority=data["priority"])
        case "JobMoved":
            return replace(job, rank=data["rank"])
        case "JobLabeled":
            return replace(job, labels=tuple(data["labels"]))
        case "JobNoted":
            return replace(job, notes=data["notes"])
        case "JobDependenciesSet":
            return replace(job, depends_on=tuple(data["depends_on"]), waiting_for=tuple(data["waiting_for"]))
        case "DependencyMet":
            return replace(job, waiting_for=tuple(data["waiting_for"]))
        case "SubjectMade":
            subject = {name: data.get(name) for name in ("base_model_id", "adapter_id", "recipe")}
            return replace(job, added={**job.added, **subject, "fine_tuning_job_id": None})
        case "AttemptStarted":
            return replace(
                job,
                state=State.STARTING,
                attempt=data["attempt"],
                worker_id=data["worker_id"],
                gpus=tuple(data.get("gpus", ())),
            )
        case "AttemptRunning":
            state = State.RUNNING if job.state == State.STARTING else job.state
            return replace(
                job,
                state=state,
                step=data.get("resumed_from_step", 0),
                total_steps=data.get("total_steps", 0),
                threads=(data.get("resolved") or {}).get("threads"),
            )
        case "CheckpointRecorded":
            checkpoint = Checkpoint.model_validate(dict(data))
            return replace(job, step=data["step"], losses=0, checkpoints=(*job.checkpoints, checkpoint))
        case "AttemptLost":
            return replace(job, state=State.INTERRUPTED, worker_id=None, losses=job.losses + 1)
        case "AttemptFailed":
            crash = uses_up_a_retry(data["cause"], data.get("signal"))
            return replace(
                job,
                state=State.INTERRUPTED,
                worker_id=None,
                crashes=job.crashes + crash,
                losses=job.losses + (not crash),
            )
        case "StopRequested":
            return replace(job, state=State.STOPPING, stop="force" if data.get("force") else "graceful")
        case "JobStopped":
            return replace(job, state=State.STOPPED, worker_id=None, step=data.get("step", job.step))
        case "JobFailed":
            return replace(job, state=State.FAILED, worker_id=None, suggestion=data.get("suggestion"))
        case "JobSucceeded":
            made = (data["result_uri"], data["result_sha256"]) if data.get("result_sha256") else None
            return replace(
                job,
                state=State.SUCCEEDED,
                worker_id=None,
                step=data.get("step", job.step),
                result=made,
                adapter_id=data.get("adapter_id"),
                model_id=data.get("model_id"),
                metrics=data.get("metrics", {}),
            )
        case "JobRemoved":
            return replace(job, removed=True)
        case "JobFilesDeleted":
            return replace(job, files_deleted=True)
    return job


def gone_wrong(job: Job | None) -> str | None:
    """How a job ended that will not succeed by itself, in words."""
    if job is None:
        return "is gone"
    if job.state not in (State.FAILED, State.STOPPED):
        return None
    return "has failed" if job.state == State.FAILED else "was stopped"


def newest_first(job: Job) -> list[Checkpoint]:
    """The checkpoints to resume from; the worker takes the first whose manifest verifies."""
    return sorted(job.checkpoints, key=lambda c: (c.step, c.attempt), reverse=True)


def claim(job: Job | None, worker_id: str, host: str, gpus: Sequence[str] = ()) -> Decision:
    """A worker takes the job; accepted without events when it is no longer waiting for one."""
    if job is None or job.state != State.QUEUED or job.waiting_for:
        return Accepted()
    checkpoints = newest_first(job)
    resume = checkpoints[0].model_dump(mode="json") if checkpoints else None
    event = AttemptStarted(attempt=job.attempt + 1, worker_id=worker_id, host=host, resume_from=resume, gpus=list(gpus))
    return Accepted((_of(job, event),), id=job.id)


def stop(job: Job, *, force: bool) -> Decision:
    """Ask the worker to end, or end at once a job that no worker has."""
    if job.state in ENDED:
        return refused(
            Code.WRONG_STATE, f"{job.name} has ended: it is {job.state}", param="id", hint="there is nothing to stop"
        )
    if job.state not in WITH_WORKER:
        return Accepted((_of(job, StopRequested(force=force)), _stopped(job, job.step)), id=job.id)
    if job.stop == "force" or (job.stop and not force):
        return Accepted(id=job.id)
    return Accepted((_of(job, StopRequested(force=force)),), id=job.id)


def remove(job: Job, *, bytes_of_files: int, delete_files: bool) -> Decision:
    """Take an ended job out of the lists. Its files stay until told; one removed before may still be told."""
    if job.state not in ENDED:
        hint = "stop it first, and wait for its end"
        return refused(Code.WRONG_STATE, f"{job.name} has not ended: it is {job.state}", param="id", hint=hint)
    events: list[Event] = []
    if not job.removed:
        events.append(JobRemoved(name=job.name, out_dir=job.out_dir, bytes=bytes_of_files))
    if delete_files and not job.files_deleted:
        events.append(JobFilesDeleted(bytes=bytes_of_files))
    return Accepted([_of(job, event) for event in events], id=job.id)


def fence(job: Job | None, attempt: int, reference: str) -> Rejected | None:
    """Refuse the report of an attempt that is not the current one of a job that a worker has."""
    if job is None:
        return refused(Code.NOT_FOUND, f"there is no job {reference!r}", param="job_id")
    if attempt == job.attempt and job.state in WITH_WORKER:
        return None
    now = f"attempt {job.attempt} is the current one" if attempt != job.attempt else f"it is {job.state}"
    return refused(
        Code.STALE_ATTEMPT,
        f"attempt {attempt} of {job.name} no longer has the job: {now}",
        param="attempt",
        hint="end the child; another attempt goes on from the newest checkpoint",
    )


def report_running(job: Job, command: ReportAttemptRunning) -> Decision:
    event = AttemptRunning(
        attempt=command.attempt,
        total_steps=command.total_steps,
        resumed_from_step=command.resumed_from_step,
        resolved=command.resolved,
        versions=command.versions,
    )
    return Accepted((_of(job, event),), id=job.id)


def record_checkpoint(job: Job, command: RecordCheckpoint) -> Decision:
    """Keep a checkpoint that lies in the attempt's own folder; the same one again changes nothing."""
    problem = outside_attempt(job, command.attempt, command.uri, "uri")
    if problem:
        return Rejected(problem)
    known = (command.attempt, command.step, command.uri, command.manifest_sha256)
    if any((c.attempt, c.step, c.uri, c.manifest_sha256) == known for c in job.checkpoints):
        return Accepted(id=job.id)
    event = CheckpointRecorded(
        attempt=command.attempt,
        step=command.step,
        uri=command.uri,
        manifest_sha256=command.manifest_sha256,
        loss=command.loss,
        eval_loss=command.eval_loss,
        best=command.best,
    )
    return Accepted((_of(job, event),), id=job.id)


def outside_attempt(job: Job, attempt: int, uri: str, param: str) -> Problem | None:
    """An attempt writes to its own folder alone: anything else is not its work."""
    own = f"{job.out_dir}/attempt-{attempt}/"
    if uri.startswith(own) and ".." not in uri.split("/"):
        return None
    return Problem(code=Code.INVALID, message=f"{uri!r} is not below {own}", param=param)


def fail_attempt(job: Job, command: FailAttempt, *, max_crash_retries: int) -> Decision:
    """Losses that are nobody's fault are free, crashes use up the retries, certain failures end the job at once."""
    hint, suggestion = command.hint or HINTS.get(command.cause), command.suggestion
    if command.cause == "out_of_memory":
        suggestion = estimate.enough_memory(job.recipe, job.added.get("estimate")) or suggestion
    crash = uses_up_a_retry(command.cause, command.signal)
    lost_too_often = not crash and job.losses + 1 >= MAX_LOSSES_WITHOUT_PROGRESS
    final = command.cause in FINAL_CAUSES or (crash and job.crashes + 1 > max_crash_retries) or lost_too_often
    retry = not final and job.stop is None
    failed = AttemptFailed(
        attempt=command.attempt,
        cause=command.cause,
        message=command.message,
        detail=command.detail,
        hint=hint,
        suggestion=suggestion,
        signal=command.signal,
        exit_code=command.exit_code,
        will_retry=retry,
    )
    events: list[NewEvent] = [_of(job, failed)]
    if retry:
        events.append(_requeued(job, "crashed" if crash else _cause_of_requeue(command.cause)))
    elif job.stop:
        events.append(_stopped(job, job.step))
    else:
        message = command.message
        if crash:
            message = f"{message} (crashed {job.crashes + 1} times)"
        elif lost_too_often:
            message = f"{message} (lost {job.losses + 1} times without a new checkpoint)"
        ended = JobFailed(
            cause=command.cause,
            message=message,
            hint=hint,
            suggestion=suggestion,
            attempt=command.attempt,
        )
        events.append(_of(job, ended))
    return Accepted(events, id=job.id)


def stopped_by_itself(job: Job, attempt: int, step: int) -> Decision:
    """A child that stopped cleanly: as asked, or (a signal from outside) without being asked, then it goes on later."""
    if job.stop:
        return Accepted((_stopped(job, step),), id=job.id)
    failed = AttemptFailed(
        attempt=attempt,
        cause="worker_shutdown",
        message="the child was stopped from outside; nobody had asked the studio to",
        will_retry=True,
    )
    return Accepted((_of(job, failed), _requeued(job, "worker_shutdown")), id=job.id)


def lose_attempt(job: Job | None, attempt: int) -> Accepted:
    """The lease ran out. The job waits again, free of charge, unless a stop was asked for."""
    if job is None or job.attempt != attempt or job.state not in WITH_WORKER:
        return Accepted()
    lost = _of(job, AttemptLost(attempt=attempt, worker_id=job.worker_id or "unknown"))
    if job.stop:
        return Accepted((lost, _stopped(job, job.step)), id=job.id)
    if job.losses + 1 >= MAX_LOSSES_WITHOUT_PROGRESS:
        message = f"its worker vanished {job.losses + 1} times without a new checkpoint"
        hint = "the job may take its worker down: look at the machine's memory, then start it again"
        end = _of(job, JobFailed(cause="attempt_lost", message=message, hint=hint, attempt=attempt))
        return Accepted((lost, end), id=job.id)
    return Accepted((lost, _requeued(job, "attempt_lost")), id=job.id)


def first_event(kind: str, job_id: str, *, hold: bool = False) -> NewEvent:
    """What puts a new job into the queue: the first doorbell, or the word that it is held."""
    return happened(kind, job_id, JobHeld(cause="requested") if hold else JobQueued(cause="submitted"))


def _cause_of_requeue(cause: str) -> str:
    return "worker_shutdown" if cause == "worker_shutdown" else "attempt_lost"


def _requeued(job: Job, cause: str) -> NewEvent:
    return _of(job, JobQueued(cause=cause, attempts=job.attempt))


def _stopped(job: Job, step: int) -> NewEvent:
    return _of(job, JobStopped(cause="requested", attempt=job.attempt, step=step))


def _of(job: Job, event: Event) -> NewEvent:
    return happened(job.kind, job.id, event)


def leaves_worker(events: Sequence[NewEvent]) -> bool:
    """Whether these events take the job from its worker, so that its lease ends with them."""
    ends = {"AttemptLost", "AttemptFailed", "JobStopped", "JobFailed", "JobSucceeded"}
    return any(event.type in ends for event in events)
