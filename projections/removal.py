"""What every kind of entity's renaming and removal changes. A removed one is remembered by its name in `removed`."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Table
from tunebus.contracts.events import RecordedEvent
from tunebus.projections.changes import Change, Delete, Insert, Update
from tunebus.projections.tables import name_key, removed


def rename(table: Table, event: RecordedEvent) -> list[Change]:
    name = event.data["name"]
    values = {"name": name, "name_key": name_key(name), "version": event.version}
    return [Update(table, {"id": event.entity_id}, values)]


def remove(table: Table, event: RecordedEvent) -> list[Change]:
    """A job's attempts and checkpoints are history and stay; nothing shows them but the job."""
    row: dict[str, Any] = {
        "id": event.entity_id,
        "aggregate": event.aggregate,
        "name": event.data["name"],
        "position": event.position,
        "removed_at": event.recorded_at,
        "out_dir": event.data.get("out_dir") or event.data.get("location"),
        "files_deleted": False,
    }
    return [Delete(table, {"id": event.entity_id}), Insert(removed, row)]


def files_deleted(event: RecordedEvent) -> list[Change]:
    return [Update(removed, {"id": event.entity_id}, {"files_deleted": True})]
