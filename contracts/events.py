"""Every event: what happened, as it is kept for ever. Events hold ids, URIs, hashes and settings; never rows or
secrets.

Additive only: a new field has a default; a change of meaning is a new `schema_version` with an upcaster.
`EVENTS` at the end is the table of contents.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple

from pydantic import BaseModel, ConfigDict, Field
from tunebus.contracts import subjects


class Event(BaseModel):
    """What every event shares. `aggregates` are the kinds of entity it may happen to."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    aggregates: ClassVar[tuple[str, ...]]
    schema_version: ClassVar[int] = 1


class DatasetAdded(Event):
    aggregates = (subjects.DATASET,)

    name: str
    type: str
    description: str = ""
    location: str
    format: str = Field(description="prompt (needs a prompt), messages or prompt_completion")
    features: list[str]
    rows: int
    bytes: int
    sha256: str
    warnings: list[str] = Field(default_factory=list)


class ModelAdded(Event):
    aggregates = (subjects.MODEL,)

    name: str
    type: str
    description: str = ""
    location: str
    architecture: str
    model_family: str
    parameters: int
    dtype: str
    context_length: int | None = None
    vocabulary_size: int | None = None
    has_chat_template: bool = False
    bytes: int
    sha256: str


class AdapterAdded(Event):
    aggregates = (subjects.ADAPTER,)

    name: str
    type: str
    model_id: str
    location: str
    sha256: str
    fine_tuning_job_id: str | None = None
    prompt_id: str | None = None


class PromptAdded(Event):
    aggregates = (subjects.PROMPT,)

    name: str
    dataset_id: str
    prompt_template: str
    input_template: str
    completion_template: str


class ConfigAdded(Event):
    aggregates = (subjects.CONFIG,)

    type: str
    config: dict[str, Any]
    sha256: str
    description: str = ""
    model_family: str | None = None
    is_default: bool = False


class FineTuningJobAdded(Event):
    """`asked` is the command's data as sent; `recipe` what it resolved to (a `FineTuningRecipe`)."""

    aggregates = (subjects.FINE_TUNING_JOB,)

    base_model_id: str
    dataset_id: str
    prompt_id: str | None = None
    adapter_name: str
    method: str
    register_adapter: bool = True
    asked: dict[str, Any]
    recipe: dict[str, Any]
    out_dir: str
    priority: int = 0


class EvaluationJobAdded(Event):
    """`recipe` is an `EvaluationRecipe`; jobs of one command share `parent_id`."""

    aggregates = (subjects.EVALUATION_JOB,)

    parent_id: str
    base_model_id: str
    adapter_id: str | None = None
    dataset_id: str
    prompt_id: str | None = None
    asked: dict[str, Any]
    recipe: dict[str, Any]
    out_dir: str
    priority: int = 0
    warnings: list[str] = Field(default_factory=list)


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


_NO_META: Mapping[str, Any] = {}


class RecordedEvent(NamedTuple):
    """An event of the record, upcast to its newest schema version.
    `position` is the total order, `version` its entity's.

    A named tuple, since a rebuild makes one for each event there ever was: a frozen dataclass costs five times as much.
    """

    position: int
    event_id: str
    aggregate: str
    entity_id: str
    version: int
    type: str
    schema_version: int
    data: Mapping[str, Any]
    recorded_at: str
    correlation_id: str | None = None
    causation_id: str | None = None
    actor: str | None = None
    meta: Mapping[str, Any] = _NO_META


EVENTS: dict[str, type[Event]] = {
    kind.__name__: kind
    for kind in (
        DatasetAdded,
        ModelAdded,
        AdapterAdded,
        PromptAdded,
        ConfigAdded,
        FineTuningJobAdded,
        EvaluationJobAdded,
        JobQueued,
        AttemptStarted,
        AttemptRunning,
        CheckpointRecorded,
        AttemptLost,
        AttemptFailed,
        StopRequested,
        JobStopped,
        JobFailed,
        JobSucceeded,
    )
}
