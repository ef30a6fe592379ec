"""What happens to every job that workers take: its attempts, its states and their causes."""

from __future__ import annotations

from typing import Any

from pydantic import Field
from tunebus.contracts import subjects
from tunebus.contracts.events.event import Event
from tunebus.contracts.numbers import Int32, Int64
from tunebus.contracts.recipes import Checked


class _JobEvent(Event):
    aggregates = subjects.JOB_KINDS


class JobAdded(Event):
    """What the adding event of every kind of job holds. `asked` is the command's data as sent, `recipe` what that
    resolved to.
    """

    asked: dict[str, Any]
    recipe: dict[str, Any]
    out_dir: str
    priority: Int32 = 0
    depends_on: list[str] = Field(default_factory=list)
    waiting_for: list[str] = Field(default_factory=list, description="of those it depends on, which were not done yet")
    labels: list[str] = Field(default_factory=list)
    notes: str = ""


class JobQueued(_JobEvent):
    """The doorbell. `cause`: submitted, attempt_lost, crashed, worker_shutdown, released, dependencies_met, retried or
    resumed. Where somebody chose the checkpoint to go on from, `resume_step` is its step.
    """

    cause: str
    attempts: Int32 = 0
    resume_step: Int64 | None = None


class AttemptStarted(_JobEvent):
    """A worker claimed the job. `attempt` is the fencing token."""

    attempt: Int32
    worker_id: str
    host: str
    resume_from: dict[str, Any] | None = None
    gpus: list[str] = Field(default_factory=list, description="ids of the GPUs it was given")


class AttemptRunning(_JobEvent):
    attempt: Int32
    total_steps: Int64
    resumed_from_step: Int64 = 0
    resolved: dict[str, Any] = Field(default_factory=dict)
    versions: dict[str, str] = Field(default_factory=dict)


class CheckpointRecorded(_JobEvent):
    attempt: Int32
    step: Int64
    uri: str
    manifest_sha256: str
    loss: float | None = None
    eval_loss: float | None = None
    best: bool = Field(default=False, description="no checkpoint before it had a lower held-out loss")


class AttemptLost(_JobEvent):
    """The lease ran out: nobody heard of the worker. Does not use up the retry budget."""

    attempt: Int32
    worker_id: str


class AttemptFailed(_JobEvent):
    """`suggestion` are fields of the command that started the job, changed so as to avoid the same failure."""

    attempt: Int32
    cause: str
    message: str
    detail: str = ""
    hint: str | None = None
    suggestion: dict[str, Any] | None = None
    signal: Int32 | None = None
    exit_code: Int32 | None = None
    will_retry: bool = False


# By these a program ends itself through a fault of its own: ILL ABRT BUS FPE SEGV. All others come from outside.
FAULT_SIGNALS = frozenset({4, 6, 7, 8, 11})


def uses_up_a_retry(cause: str, signal: int | None) -> bool:
    """Whether a failed attempt was the job's own doing; losses of the infrastructure are free."""
    return cause == "crashed" or (cause == "killed_by_signal" and signal in FAULT_SIGNALS)


class StopRequested(_JobEvent):
    force: bool = False


class JobStopped(_JobEvent):
    """`cause`: requested. `step` is how far it came."""

    cause: str
    attempt: Int32 = 0
    step: Int64 = 0


class JobFailed(_JobEvent):
    cause: str
    message: str
    hint: str | None = None
    suggestion: dict[str, Any] | None = None
    attempt: Int32 = 0


class JobSucceeded(_JobEvent):
    """`adapter_id` or `model_id` is what it registered; `early_stopping` why it ended before its last step."""

    attempt: Int32
    step: Int64 = 0
    result_uri: str | None = None
    result_sha256: str | None = None
    adapter_id: str | None = None
    model_id: str | None = None
    early_stopping: str | None = None
    metrics: dict[str, float | None] = Field(default_factory=dict)
    checked: Checked | None = None
    registered_model: str | None = None


class JobHeld(_JobEvent):
    """No worker gets it until it is released. `cause`: requested, dependency_failed or imported.

    `dependency_id` is the job that failed, or was stopped, where that is the cause.
    """

    cause: str
    message: str = ""
    dependency_id: str | None = None


class JobPrioritized(_JobEvent):
    priority: Int32


class JobMoved(_JobEvent):
    """Its new place: waiting jobs of equal priority go in the order of `rank`, compared as text."""

    to: str
    rank: str


class JobLabeled(_JobEvent):
    labels: list[str]


class JobNoted(_JobEvent):
    notes: str


class JobDependenciesSet(_JobEvent):
    """The jobs it depends on from now on; `waiting_for` are those that have not succeeded yet.
    `added` and `removed` say what is different from before.
    """

    depends_on: list[str]
    waiting_for: list[str] = Field(default_factory=list)
    added: list[str] = Field(default_factory=list)
    removed: list[str] = Field(default_factory=list)


class DependencyMet(_JobEvent):
    """A job it depends on has succeeded; `waiting_for` are those that have not yet."""

    dependency_id: str
    waiting_for: list[str] = Field(default_factory=list)


class SubjectMade(Event):
    """What an evaluation or an export is about has been made by the fine-tuning it waited for: `adapter_id`, or the
    model `base_model_id` itself. `recipe` is its own from now on.
    """

    aggregates = (subjects.EVALUATION_JOB, subjects.EXPORT_JOB)

    fine_tuning_job_id: str
    base_model_id: str
    adapter_id: str | None = None
    recipe: dict[str, Any]


class JobRemoved(_JobEvent):
    """The job is in no list any longer. Its files, `bytes` of them, stay until `JobFilesDeleted`."""

    name: str
    out_dir: str
    bytes: int = 0


class JobFilesDeleted(_JobEvent):
    """The files of a removed job are given up: `bytes` are freed at once."""

    bytes: int = 0
