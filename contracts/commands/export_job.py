"""Commands about export jobs."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints
from tunebus.contracts import subjects
from tunebus.contracts.commands.command import Command, Location, Reference
from tunebus.contracts.commands.job import Dependencies, Hold, Labels, Notes, Priority
from tunebus.contracts.recipes import Count, Positive


class StartExportJob(Command):
    """Queue the export of an adapter or of a model, verified by reloading it.

    `type`: `adapter` (the adapter alone), `merged` (adapter and base in one model, or a model as it is) or `registry`
    (the merged model into MLflow's model registry). `destination` is a folder that is empty or not there: an absolute
    path below one of `TUNEBUS_EXPORT_ROOTS`, or `artifact:exports/NAME`, which is chosen when not given. With `job_id`
    in place of an adapter or a model, what that fine-tuning makes is exported, once it is there.
    """

    contexts = (subjects.EXPORT_JOB,)

    adapter_id: Reference | None = None
    model_id: Reference | None = None
    job_id: Reference | None = Field(
        default=None, description="a fine-tuning, by id or by the name of what it makes; the export waits for it"
    )
    type: str
    destination: Location | None = None
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        default="auto", description="of merged weights; auto: the model's own where the answers stay the same"
    )
    registered_model: (
        Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200, pattern=r"^[^/:%]+$")]
        | None
    ) = Field(default=None, description="name in MLflow's registry; the adapter's or model's when not given")
    num_cpu: Count | None = None
    num_gpu: Annotated[int, Field(ge=0, lt=2**31, strict=True)] = 0
    num_memory: Positive | None = None
    priority: Priority = 0
    hold: Hold = False
    depends_on: Dependencies = Field(default_factory=list)
    labels: Labels = Field(default_factory=list)
    notes: Notes = ""


class StopExportJob(Command):
    """Stop an export after its present step, or at once with `force`; nothing of it stands at its destination."""

    contexts = (subjects.EXPORT_JOB,)

    id: Reference
    force: bool = False


class RemoveExportJob(Command):
    """Remove an export that has ended. What it wrote to its destination stays.

    The files of its attempts stay unless `delete_files` is set; the event says how many bytes they are.
    """

    contexts = (subjects.EXPORT_JOB,)

    id: Reference
    delete_files: bool = False
