"""What happens to evaluation jobs alone."""

from __future__ import annotations

from pydantic import Field
from tunebus.contracts import subjects
from tunebus.contracts.events.job import JobAdded


class EvaluationJobAdded(JobAdded):
    """`recipe` is an `EvaluationRecipe`; jobs of one command share `parent_id`.

    Where `fine_tuning_job_id` is set, that job has still to make what is scored: `base_model_id` and `recipe` name its
    base until `SubjectMade`.
    """

    aggregates = (subjects.EVALUATION_JOB,)

    parent_id: str
    base_model_id: str
    adapter_id: str | None = None
    fine_tuning_job_id: str | None = None
    dataset_id: str | None = None
    prompt_id: str | None = None
    warnings: list[str] = Field(default_factory=list)
