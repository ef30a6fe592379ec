"""Rows of fine-tuning jobs from their events. What all jobs share is in `jobs`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tunebus.contracts.events import RecordedEvent
from tunebus.projections import jobs
from tunebus.projections.changes import Change, Insert, Update
from tunebus.projections.tables import fine_tuning_jobs


def _added(event: RecordedEvent) -> list[Change]:
    data = event.data
    asked: Mapping[str, Any] = data["asked"]
    recipe: Mapping[str, Any] = data["recipe"]
    row = jobs.new_row(event) | {
        "adapter_name": data["adapter_name"],
        "model_id": None,
        "register_adapter": data.get("register_adapter", True),
        "method": data["method"],
        "num_workers": asked.get("num_workers", 1),
        **_of_recipe(recipe),
        "framework_type": asked.get("framework_type", "transformers"),
        "user_script": asked.get("user_script"),
        "user_config": asked.get("user_config"),
        "estimate": data.get("estimate"),
        "origin": data.get("origin"),
        "changes": None,
        "imported": None,
        "imported_sha256": None,
    }
    return [Insert(fine_tuning_jobs, row), *jobs.new_dependencies(event)]


def _imported(event: RecordedEvent) -> list[Change]:
    """A run from elsewhere has ended before it is here."""
    data = event.data
    run: Mapping[str, Any] = data["imported"]
    row = jobs.new_row(event) | {
        "adapter_name": data["adapter_name"],
        "model_id": None,
        "register_adapter": False,
        "method": "imported",
        "num_workers": 1,
        **_of_recipe({}),
        "framework_type": "tensorboard",
        "user_script": None,
        "user_config": None,
        "estimate": None,
        "origin": None,
        "changes": None,
        "imported": run,
        "imported_sha256": run["sha256"],
        "state": "succeeded",
        "cause": "imported",
        "attempt": data["attempt"],
        "attempts": data["attempt"],
        "step": data["step"],
        "total_steps": data["step"],
        "metrics": data["metrics"],
        "started_at": run["started_at"],
        "finished_at": run["finished_at"],
    }
    return [Insert(fine_tuning_jobs, row)]


def _changed(event: RecordedEvent) -> list[Change]:
    recipe: Mapping[str, Any] = event.data["recipe"]
    values = {
        "version": event.version,
        "updated_at": event.recorded_at,
        "recipe": recipe,
        "num_cpu": recipe.get("num_cpu"),
        "num_memory": recipe.get("num_memory_gb"),
        "changes": event.data["changes"],
        **_of_recipe(recipe),
    }
    if event.data.get("asked"):
        values["asked"] = event.data["asked"]
    return [Update(fine_tuning_jobs, {"id": event.entity_id}, values)]


def _of_recipe(recipe: Mapping[str, Any]) -> dict[str, Any]:
    training: Mapping[str, Any] = recipe.get("training_arguments") or {}
    return {
        "num_epochs": training.get("num_train_epochs"),
        "learning_rate": training.get("learning_rate"),
        "training_arguments": recipe.get("training_arguments"),
        "lora": recipe.get("lora"),
    }


HANDLERS = {
    **jobs.HANDLERS,
    "FineTuningJobAdded": _added,
    "FineTuningJobChanged": _changed,
    "ImportedJobAdded": _imported,
}
