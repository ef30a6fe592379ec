"""Rows of datasets from their events."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from tunebus.contracts.events import RecordedEvent
from tunebus.projections import removal
from tunebus.projections.changes import Change, Insert
from tunebus.projections.tables import datasets, name_key


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
        "description": data.get("description", ""),
        "huggingface_name": data.get("huggingface_name"),
        "revision": data.get("revision"),
        "config_name": data.get("config_name"),
        "split": data.get("split"),
        "location": data["location"],
        "format": data["format"],
        "features": data["features"],
        "rows": data["rows"],
        "bytes": data["bytes"],
        "sha256": data["sha256"],
        "warnings": data.get("warnings", []),
        "column_mapping": data.get("column_mapping", {}),
        "skip_broken": data.get("skip_broken", False),
        "skipped": data.get("skipped", 0),
        "splits": _splits(data.get("files", [])),
        "files": data.get("files", []),
        "statistics": data.get("statistics"),
    }
    return [Insert(datasets, row)]


def _splits(files: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """The rows of each of the dataset's own splits."""
    rows: dict[str, int] = {}
    for file in files:
        rows[file["split"]] = rows.get(file["split"], 0) + file["rows"]
    return rows


HANDLERS: dict[str, Callable[[RecordedEvent], list[Change]]] = {
    "DatasetAdded": _added,
    "DatasetRenamed": partial(removal.rename, datasets),
    "DatasetRemoved": partial(removal.remove, datasets),
    "DatasetFilesDeleted": removal.files_deleted,
}
