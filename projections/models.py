"""Rows of base models from their events."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from tunebus.contracts.events import RecordedEvent
from tunebus.projections import removal
from tunebus.projections.changes import Change, Insert
from tunebus.projections.tables import models, name_key, remote_code_approvals


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
        "location": data["location"],
        "architecture": data["architecture"],
        "model_family": data["model_family"],
        "parameters": data["parameters"],
        "dtype": data["dtype"],
        "context_length": data.get("context_length"),
        "vocabulary_size": data.get("vocabulary_size"),
        "has_chat_template": data.get("has_chat_template", False),
        "shape": data.get("shape"),
        "licence": data.get("licence"),
        "gated": data.get("gated", False),
        "remote_code": data.get("remote_code", []),
        "bytes": data["bytes"],
        "sha256": data["sha256"],
        "registered_model": None,
        "fine_tuning_job_id": data.get("fine_tuning_job_id"),
        "base_model_id": data.get("base_model_id"),
    }
    return [Insert(models, row)]


def _approved(event: RecordedEvent) -> list[Change]:
    row = {
        "id": event.entity_id,
        "position": event.position,
        "version": event.version,
        "added_at": event.recorded_at,
        "huggingface_name": event.data["huggingface_name"],
        "revision": event.data["revision"],
        "reason": event.data.get("reason", ""),
        "actor": event.actor,
    }
    return [Insert(remote_code_approvals, row)]


HANDLERS: dict[str, Callable[[RecordedEvent], list[Change]]] = {
    "ModelAdded": _added,
    "RemoteCodeApproved": _approved,
    "ModelRenamed": partial(removal.rename, models),
    "ModelRemoved": partial(removal.remove, models),
}
