"""What workers report of their attempts. Others send these in vain: each is fenced by the attempt number."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, field_validator
from tunebus.contracts import subjects
from tunebus.contracts.commands.command import Command, Location, Reference
from tunebus.contracts.recipes import Checked, Count, Finite


class _AttemptReport(Command):
    """What a worker says of its attempt. From an attempt that is no longer the current one: `stale_attempt`."""

    contexts = subjects.JOB_KINDS
    for_workers = True

    job_id: Reference
    attempt: Count


class ReportAttemptRunning(_AttemptReport):
    """The child has loaded everything; the first step follows. `resolved` is what it really runs with."""

    total_steps: Annotated[int, Field(ge=0, lt=2**31)]
    resumed_from_step: Annotated[int, Field(ge=0, lt=2**31)] = 0
    resolved: dict[str, Any] = Field(default_factory=dict)
    versions: dict[str, str] = Field(default_factory=dict)


class RecordCheckpoint(_AttemptReport):
    """A checkpoint is whole on disk: its manifest is written and hashes to `manifest_sha256`.
    `best`: no checkpoint of the job before it had a lower held-out loss.
    """

    step: Count
    uri: Location
    manifest_sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    loss: Finite | None = None
    eval_loss: Finite | None = None
    best: bool = False


class CompleteAttempt(_AttemptReport):
    """The child ended well: it finished, or it stopped because it was asked to.
    `result_uri` is the adapter, the model or the rows' table. `early_stopping` says why the training ended before its
    last step, where it did.
    """

    outcome: Literal["finished", "stopped"]
    step: Annotated[int, Field(ge=0, lt=2**31)] = 0
    result_uri: Location | None = None
    result_sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")] | None = None
    result_type: Literal["adapter", "model"] | None = None
    early_stopping: Annotated[str, StringConstraints(max_length=1000)] | None = None
    metrics: dict[str, Finite | None] = Field(default_factory=dict)
    checked: Checked | None = Field(default=None, description="of an export")
    registered_model: str | None = Field(default=None, max_length=500, description="of an export: models:/NAME/VERSION")


FailureCause = Literal[
    "bad_configuration",
    "bad_data",
    "bad_checkpoint",
    "out_of_memory",
    "nan_loss",
    "disk_full",
    "killed_by_signal",
    "crashed",
    "worker_shutdown",
]


class FailAttempt(_AttemptReport):
    """The child did not end well.
    `cause` decides whether the job is tried again; `detail` holds the last lines of its stderr. `suggestion` are fields
    of the command that started the job, changed so that the same would most likely not happen again.
    """

    cause: FailureCause
    message: Annotated[str, StringConstraints(max_length=4000)]
    detail: Annotated[str, StringConstraints(max_length=20_000)] = ""
    hint: Annotated[str, StringConstraints(max_length=1000)] | None = None
    suggestion: dict[str, Any] | None = None
    signal: Annotated[int, Field(ge=-(2**31), lt=2**31)] | None = None
    exit_code: Annotated[int, Field(ge=-(2**31), lt=2**31)] | None = None

    @field_validator("message")
    @classmethod
    def _not_blank(cls, value: str) -> str:
        if not value.strip():
            raise ValueError("must say what happened")
        return value
