"""What happens to export jobs alone."""

from __future__ import annotations

from pydantic import Field
from tunebus.contracts import subjects
from tunebus.contracts.events.job import JobAdded


class ExportJobAdded(JobAdded):
    """`recipe` is an `ExportRecipe`. What reloading the export showed is in `JobSucceeded.checked`.

    Where `fine_tuning_job_id` is set, that job has still to make what is exported: `base_model_id` and `recipe` name
    its base until `SubjectMade`.
    """

    aggregates = (subjects.EXPORT_JOB,)

    type: str
    base_model_id: str
    adapter_id: str | None = None
    fine_tuning_job_id: str | None = None
    destination: str | None = None
    warnings: list[str] = Field(default_factory=list)
