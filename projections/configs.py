"""Rows of configs from their events. A config has no name: its type and the hash of its body tell it apart."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from tunebus.contracts.events import RecordedEvent
from tunebus.projections import removal
from tunebus.projections.changes import Change, Insert, Update
from tunebus.projections.tables import configs


def _added(event: RecordedEvent) -> list[Change]:
    data = event.data
    row = {
        "id": event.entity_id,
        "position": event.position,
        "version": event.version,
        "added_at": event.recorded_at,
        "type": data["type"],
        "config": data["config"],
        "sha256": data["sha256"],
        "description": data.get("description", ""),
        "model_family": data.get("model_family"),
        "is_default": data.get("is_default", False),
    }
    return [Insert(configs, row)]


def _described(event: RecordedEvent) -> list[Change]:
    data = event.data
    values = {
        "description": data["description"],
        "model_family": data.get("model_family"),
        "is_default": data.get("is_default", False),
        "version": event.version,
    }
    return [Update(configs, {"id": event.entity_id}, values)]


HANDLERS: dict[str, Callable[[RecordedEvent], list[Change]]] = {
    "ConfigAdded": _added,
    "ConfigDescribed": _described,
    "ConfigRemoved": partial(removal.remove, configs),
}
