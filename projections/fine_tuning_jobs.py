"""Rows of fine-tuning jobs from their events. What all jobs share is in `jobs`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tunebus.contracts.events import RecordedEvent
from tunebus.projections import jobs
from tunebus.projections.changes import Change, Insert
from tunebus.projections.tables import fine_tuning_jobs


def apply(event: RecordedEvent) -> list[Change]:
    return _added(event) if event.type == "FineTuningJobAdded" else jobs.apply(event)


def _added(event: RecordedEvent) -> list[Change]:
    data = event.data
    asked: Mapping[str, Any] = data["asked"]
    recipe: Mapping[str, Any] = data["recipe"]
    training: Mapping[str, Any] = recipe.get("training_arguments") or {}
    row = jobs.new_row(event) | {
        "adapter_name": data["adapter_name"],
        "model_id": None,
        "register_adapter": data.get("register_adapter", True),
        "method": data["method"],
        "num_workers": asked.get("num_workers", 1),
        "num_epochs": training.get("num_train_epochs"),
        "learning_rate": training.get("learning_rate"),
        "training_arguments": recipe.get("training_arguments"),
        "lora": recipe.get("lora"),
        "framework_type": asked.get("framework_type", "transformers"),
        "user_script": asked.get("user_script"),
        "user_config": asked.get("user_config"),
        "estimate": data.get("estimate"),
    }
    return [Insert(fine_tuning_jobs, row), *jobs.new_dependencies(event)]
