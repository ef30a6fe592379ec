"""What happens to every job that workers take: its attempts, its states and their causes."""

from __future__ import annotations

from typing import Any

from pydantic import Field
from tunebus.contracts import subjects
from tunebus.contracts.events.event import Event


class _JobEvent(Event):
    aggregates = (subjects.FINE_TUNING_JOB, subjects.EVALUATION_JOB)


class JobQueued(_JobEvent):
    """The doorbell. `cause`: submitted, attempt_lost, crashed or worker_shutdown."""

    cause: str
    attempts: int = 0


class AttemptStarted(_JobEvent):
    """A worker claimed the job. `attempt` is the fencing token."""

    attempt: int
    worker_id: str
    host: str
    resume_from: dict[str, Any] | None = None


class AttemptRunning(_JobEvent):
    attempt: int
    total_steps: int
    resumed_from_step: int = 0
    resolved: dict[str, Any] = Field(default_factory=dict)
    versions: dict[str, str] = Field(default_factory=dict)


class CheckpointRecorded(_JobEvent):
    attempt: int
    step: int
    uri: str
    manifest_sha256: str
    loss: float | None = None
    eval_loss: float | None = None


class AttemptLost(_JobEvent):
    """The lease ran out: nobody heard of the worker. Does not use up the retry budget."""

    attempt: int
    worker_id: str


class AttemptFailed(_JobEvent):
    attempt: int
    cause: str
    message: str
    detail: str = ""
    hint: str | None = None
    signal: int | None = None
    exit_code: int | None = None
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
    attempt: int = 0
    step: int = 0


class JobFailed(_JobEvent):
    cause: str
    message: str
    hint: str | None = None
    attempt: int = 0


class JobSucceeded(_JobEvent):
    attempt: int
    step: int = 0
    result_uri: str | None = None
    result_sha256: str | None = None
    adapter_id: str | None = None
    metrics: dict[str, float | None] = Field(default_factory=dict)
