"""What happens to prompts."""

from __future__ import annotations

from tunebus.contracts import subjects
from tunebus.contracts.events.event import Event


class PromptAdded(Event):
    aggregates = (subjects.PROMPT,)

    name: str
    dataset_id: str
    prompt_template: str
    input_template: str
    completion_template: str


class PromptRenamed(Event):
    aggregates = (subjects.PROMPT,)

    name: str


class PromptRemoved(Event):
    """`name` is what it was called last, for those who still refer to it."""

    aggregates = (subjects.PROMPT,)

    name: str
