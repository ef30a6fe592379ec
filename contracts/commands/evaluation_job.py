"""Commands about evaluation jobs."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field
from tunebus.contracts import subjects
from tunebus.contracts.commands.command import Command, ConfigReference, Reference
from tunebus.contracts.commands.dataset import ColumnName
from tunebus.contracts.commands.job import Dependencies, Hold, Labels, Notes, Priority
from tunebus.contracts.recipes import Count, GenerationSettings, Positive, Share, TypedPrompt


class EvaluationCombination(BaseModel):
    """One thing to score: a base model, with or without an adapter, on held-out rows or typed prompts.

    `job_id` is a fine-tuning of that base model, in place of an adapter: what it makes is scored, once it is there.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    base_model_id: Reference
    adapter_id: Reference | None = None
    job_id: Reference | None = Field(
        default=None, description="a fine-tuning, by id or by the name of what it makes; the evaluation waits for it"
    )
    dataset_id: Reference | None = None
    prompt_id: Reference | None = None


class StartEvaluationJob(Command):
    """Queue one evaluation per combination under one parent; the reply's `ids` are those of all.

    The split is that of the job that made the compared adapter or model. With `prompts` in place of datasets, each is
    answered by every combination ("try it"). `leakage` says what becomes of rows that another compared adapter was
    trained on: `warn` scores each adapter on its own held-out rows, `exclude` all on the rows that none has seen.
    """

    contexts = (subjects.EVALUATION_JOB,)

    combinations: Annotated[list[EvaluationCombination], Field(min_length=1, max_length=64)]
    prompts: Annotated[list[TypedPrompt], Field(min_length=1, max_length=64)] | None = None
    generation: GenerationSettings | Reference | None = None
    quantization: ConfigReference | None = None
    selected_features: Annotated[list[ColumnName], Field(max_length=100)] | None = Field(
        default=None, description="columns of the dataset to show beside each row"
    )
    leakage: Literal["warn", "exclude"] = "warn"
    max_rows: Count | None = None
    dataset_fraction: Share | None = None
    train_test_split: Share | None = None
    seed: Annotated[int, Field(ge=0, lt=2**32, strict=True)] | None = None
    batch_size: Count = 16
    num_cpu: Count | None = None
    num_gpu: Annotated[int, Field(ge=0, lt=2**31, strict=True)] = 0
    num_memory: Positive | None = None
    priority: Priority = 0
    hold: Hold = False
    depends_on: Dependencies = Field(default_factory=list)
    labels: Labels = Field(default_factory=list)
    notes: Notes = ""


class StopEvaluationJob(Command):
    """Stop an evaluation at once; its rows so far are discarded."""

    contexts = (subjects.EVALUATION_JOB,)

    id: Reference


class RemoveEvaluationJob(Command):
    """Remove an evaluation that has ended.

    Its files stay unless `delete_files` is set; the event says how many bytes they are. Sent again with `delete_files`,
    by id, it deletes the files of a job that was removed before.
    """

    contexts = (subjects.EVALUATION_JOB,)

    id: Reference
    delete_files: bool = False
