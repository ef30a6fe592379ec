"""What happens to base models."""

from __future__ import annotations

from tunebus.contracts import subjects
from tunebus.contracts.events.event import Event


class ModelAdded(Event):
    aggregates = (subjects.MODEL,)

    name: str
    type: str
    description: str = ""
    location: str
    architecture: str
    model_family: str
    parameters: int
    dtype: str
    context_length: int | None = None
    vocabulary_size: int | None = None
    has_chat_template: bool = False
    bytes: int
    sha256: str
