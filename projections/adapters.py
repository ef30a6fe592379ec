"""Rows of adapters from their events."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from tunebus.contracts.events import RecordedEvent
from tunebus.projections import removal
from tunebus.projections.changes import Change, Insert
from tunebus.projections.tables import adapters, name_key


def _added(event: RecordedEvent) -> list[Change]:
    data = event.data
    row = {
        "id": event.entity_id,
        "position": event.position,
        "version": event.version,
        "added_at": event.recorded_at,
        "name": data["name"],
        "name_key": name_key(data["name"]),
        "type": data["type"],
        "model_id": data["model_id"],
        "location": data["location"],
        "huggingface_name": data.get("huggingface_name"),
        "revision": data.get("revision"),
        "fine_tuning_job_id": data.get("fine_tuning_job_id"),
        "prompt_id": data.get("prompt_id"),
        "sha256": data["sha256"],
    }
    return [Insert(adapters, row)]


HANDLERS: dict[str, Callable[[RecordedEvent], list[Change]]] = {
    "AdapterAdded": _added,
    "AdapterRenamed": partial(removal.rename, adapters),
    "AdapterRemoved": partial(removal.remove, adapters),
}
