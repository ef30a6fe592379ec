"""What to change after a failure, by its cause and by what the job ran with."""

from __future__ import annotations

from typing import Any

import pytest
from tunebus.contracts.commands import FailureCause, StartFineTuningJob
from tunebus.services.platform.child.suggestions import suggestion


def job(method: str = "lora", **arguments: Any) -> dict[str, Any]:
    return {"kind": "fine_tuning_job", "recipe": {"method": method, "training_arguments": arguments}}


@pytest.mark.parametrize(
    ("cause", "asked", "ran", "expected"),
    [
        (
            "out_of_memory",
            job(per_device_train_batch_size=8, gradient_accumulation_steps=2),
            {},
            {"batch_size": 4, "gradient_accumulation_steps": 4},
        ),
        ("out_of_memory", job(per_device_train_batch_size=1), {}, {"gradient_checkpointing": True}),
        (
            "out_of_memory",
            job(per_device_train_batch_size=1),
            {"gradient_checkpointing": True, "max_length": 512},
            {"max_length": 256},
        ),
        (
            "out_of_memory",
            job("full", per_device_train_batch_size=1, gradient_checkpointing=True),
            {"max_length": 100},
            {"method": "lora"},
        ),
        ("nan_loss", job(learning_rate=2e-3), {}, {"learning_rate": 2e-4}),
        ("nan_loss", job(learning_rate=2e-4), {}, {"learning_rate": 2e-5}),
        ("nan_loss", job(learning_rate=1e9), {}, {"learning_rate": 2e-4}),
        ("nan_loss", job("full", learning_rate=2e-3), {}, {"learning_rate": 2e-5}),
        ("disk_full", job(save_total_limit=3), {}, {"save_total_limit": 1}),
        ("disk_full", job(save_total_limit=1), {}, None),
        ("crashed", job(per_device_train_batch_size=8), {}, None),
        ("out_of_memory", {"kind": "evaluation_job", "recipe": {"batch_size": 16}}, {}, {"batch_size": 8}),
        ("nan_loss", {"kind": "evaluation_job", "recipe": {}}, {}, None),
        ("out_of_memory", {"kind": "export_job", "recipe": {}}, {}, None),
    ],
)
def test_the_smallest_change_that_helps(
    cause: FailureCause, asked: dict[str, Any], ran: dict[str, Any], expected: dict[str, Any] | None
) -> None:
    found = suggestion(cause, asked, ran)
    assert found == expected
    if found is not None and asked["kind"] == "fine_tuning_job":
        StartFineTuningJob.model_validate({"base_model_id": "m", "dataset_id": "d", **found})
