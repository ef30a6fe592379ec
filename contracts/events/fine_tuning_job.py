"""What happens to fine-tuning jobs alone."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field
from tunebus.contracts import subjects
from tunebus.contracts.events.event import Event
from tunebus.contracts.events.job import JobAdded
from tunebus.contracts.numbers import Int32, Int64


class Origin(BaseModel):
    """The job that another was made from. `difference` holds the fields that were asked for anew: [before, now]."""

    kind: Literal["clone", "branch", "extend", "rerun"]
    job_id: str
    step: int | None = None
    difference: dict[str, list[Any]] = Field(default_factory=dict)


class FineTuningJobAdded(JobAdded):
    """`asked` is the command's data as sent; `recipe` what it resolved to (a `FineTuningRecipe`)."""

    aggregates = (subjects.FINE_TUNING_JOB,)

    base_model_id: str
    dataset_id: str
    prompt_id: str | None = None
    adapter_name: str
    method: str
    register_adapter: bool = True
    origin: Origin | None = Field(default=None, description="the job that it was made from")
    estimate: dict[str, Any] | None = Field(default=None, description="what it was thought to need")
    warnings: list[str] = Field(default_factory=list)


class ImportedRun(BaseModel):
    """Where a run from elsewhere came from: its event files and what they held. Times are those of its points."""

    source: str
    sha256: str
    files: int
    bytes: int
    points: int
    curves: list[str]
    started_at: str | None = None
    finished_at: str | None = None


class ImportedJobAdded(JobAdded):
    """A training that ran elsewhere: it has ended, and only its curves are here, as the telemetry of `attempt`.

    `metrics` are the last values of its curves, `step` the highest. There is no recipe.
    """

    aggregates = (subjects.FINE_TUNING_JOB,)

    adapter_name: str = Field(description="its name, among those of jobs and adapters")
    base_model_id: str | None = None
    dataset_id: str | None = None
    attempt: Int32 = 1
    step: Int64 = 0
    metrics: dict[str, float | None] = Field(default_factory=dict)
    warnings: list[str] = Field(default_factory=list)
    imported: ImportedRun


class FineTuningJobChanged(Event):
    """The recipe that its next attempt runs with. `changes` are fields of the command: [before, now].

    With `restart` the checkpoints so far are not resumed from: a step means something else now. `asked` is what the job
    asks for with the changes, for what is made from it; none in events of earlier versions.
    """

    aggregates = (subjects.FINE_TUNING_JOB,)

    recipe: dict[str, Any]
    changes: dict[str, list[Any]]
    restart: bool = False
    asked: dict[str, Any] | None = None
