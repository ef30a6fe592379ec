"""Rows of prompts from their events."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from tunebus.contracts.events import RecordedEvent
from tunebus.projections import removal
from tunebus.projections.changes import Change, Insert
from tunebus.projections.tables import name_key, prompts


def _added(event: RecordedEvent) -> list[Change]:
    data = event.data
    row = {
        "id": event.entity_id,
        "position": event.position,
        "version": event.version,
        "added_at": event.recorded_at,
        "name": data["name"],
        "name_key": name_key(data["name"]),
        "dataset_id": data["dataset_id"],
        "prompt_template": data["prompt_template"],
        "input_template": data["input_template"],
        "completion_template": data["completion_template"],
    }
    return [Insert(prompts, row)]


HANDLERS: dict[str, Callable[[RecordedEvent], list[Change]]] = {
    "PromptAdded": _added,
    "PromptRenamed": partial(removal.rename, prompts),
    "PromptRemoved": partial(removal.remove, prompts),
}
