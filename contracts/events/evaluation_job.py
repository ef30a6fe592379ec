"""What happens to evaluation jobs alone."""

from __future__ import annotations

from typing import Any

from pydantic import Field
from tunebus.contracts import subjects
from tunebus.contracts.events.event import Event


class EvaluationJobAdded(Event):
    """`recipe` is an `EvaluationRecipe`; jobs of one command share `parent_id`."""

    aggregates = (subjects.EVALUATION_JOB,)

    parent_id: str
    base_model_id: str
    adapter_id: str | None = None
    dataset_id: str | None = None
    prompt_id: str | None = None
    asked: dict[str, Any]
    recipe: dict[str, Any]
    out_dir: str
    priority: int = 0
    depends_on: list[str] = Field(default_factory=list)
    waiting_for: list[str] = Field(default_factory=list, description="of those it depends on, which were not done yet")
    labels: list[str] = Field(default_factory=list)
    notes: str = ""
    warnings: list[str] = Field(default_factory=list)
