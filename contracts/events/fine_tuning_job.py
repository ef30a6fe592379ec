"""What happens to fine-tuning jobs alone."""

from __future__ import annotations

from typing import Any

from pydantic import Field
from tunebus.contracts import subjects
from tunebus.contracts.events.event import Event


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
    depends_on: list[str] = Field(default_factory=list)
    waiting_for: list[str] = Field(default_factory=list, description="of those it depends on, which were not done yet")
    labels: list[str] = Field(default_factory=list)
    notes: str = ""
    estimate: dict[str, Any] | None = Field(default=None, description="what it was thought to need")
