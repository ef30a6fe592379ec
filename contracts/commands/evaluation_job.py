"""Commands about evaluation jobs."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field
from tunebus.contracts import subjects
from tunebus.contracts.commands.command import Command, Reference
from tunebus.contracts.recipes import Count, GenerationSettings, Positive, Share


class EvaluationCombination(BaseModel):
    """One thing to score: a base model, with or without an adapter, on a dataset's held-out rows."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    base_model_id: Reference
    adapter_id: Reference | None = None
    dataset_id: Reference
    prompt_id: Reference | None = None


class StartEvaluationJob(Command):
    """Queue one evaluation per combination under one parent.
    The split is that of the job that made the compared adapter.
    """

    contexts = (subjects.EVALUATION_JOB,)

    combinations: Annotated[list[EvaluationCombination], Field(min_length=1, max_length=64)]
    generation: GenerationSettings | Reference | None = None
    max_rows: Count | None = None
    dataset_fraction: Share | None = None
    train_test_split: Share | None = None
    seed: Annotated[int, Field(ge=0, lt=2**32, strict=True)] | None = None
    batch_size: Count = 16
    num_cpu: Count | None = None
    num_gpu: Annotated[int, Field(ge=0, lt=2**31, strict=True)] = 0
    num_memory: Positive | None = None


class StopEvaluationJob(Command):
    """Stop an evaluation at once; its rows so far are discarded."""

    contexts = (subjects.EVALUATION_JOB,)

    id: Reference
