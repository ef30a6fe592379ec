"""What happens to datasets."""

from __future__ import annotations

from pydantic import Field
from tunebus.contracts import subjects
from tunebus.contracts.events.event import Event


class DatasetAdded(Event):
    aggregates = (subjects.DATASET,)

    name: str
    type: str
    description: str = ""
    location: str
    format: str = Field(description="prompt (needs a prompt), messages or prompt_completion")
    features: list[str]
    rows: int
    bytes: int
    sha256: str
    warnings: list[str] = Field(default_factory=list)
