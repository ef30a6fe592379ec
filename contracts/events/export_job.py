"""What happens to export jobs alone."""

from __future__ import annotations

from typing import Any

from pydantic import Field
from tunebus.contracts import subjects
from tunebus.contracts.events.event import Event


class ExportJobAdded(Event):
    """`recipe` is an `ExportRecipe`. What reloading the export showed is in `JobSucceeded.checked`."""

    aggregates = (subjects.EXPORT_JOB,)

    type: str
    base_model_id: str
    adapter_id: str | None = None
    destination: str | None = None
    asked: dict[str, Any]
    recipe: dict[str, Any]
    out_dir: str
    priority: int = 0
    depends_on: list[str] = Field(default_factory=list)
    waiting_for: list[str] = Field(default_factory=list, description="of those it depends on, which were not done yet")
    labels: list[str] = Field(default_factory=list)
    notes: str = ""
    warnings: list[str] = Field(default_factory=list)
