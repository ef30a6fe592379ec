"""What a change of a fine-tuning's fields makes of it: the same job with other settings, or another job."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from typing import Any

SHORTCUTS = {
    "num_epochs": "num_train_epochs",
    "learning_rate": "learning_rate",
    "max_steps": "max_steps",
    "batch_size": "per_device_train_batch_size",
    "gradient_accumulation_steps": "gradient_accumulation_steps",
    "gradient_checkpointing": "gradient_checkpointing",
    "max_length": "max_length",
    "seed": "seed",
    "save_steps": "save_steps",
    "eval_steps": "eval_steps",
    "save_total_limit": "save_total_limit",
    "load_best_model_at_end": "load_best_model_at_end",
    "early_stopping_patience": "early_stopping_patience",
    "early_stopping_threshold": "early_stopping_threshold",
    "eval_samples": "eval_samples",
}
"""Fields of the command that are settings of the training, by the name that transformers has for them."""
_OF_THE_SAME_JOB = {*SHORTCUTS, "num_memory", "num_cpu", "training_arguments"}


def of_another_job(change: Mapping[str, Any]) -> list[str]:
    """The fields of a change that a retry cannot make: with other data or another method it is another job."""
    return sorted(set(change) - _OF_THE_SAME_JOB)


def command_for(job: str, suggestion: Mapping[str, Any]) -> str:
    """What to type to have what a failure suggests: the same job again, or a clone of it."""
    if not of_another_job(suggestion):
        return f"tunebus train retry {job} --suggested"
    settings = (
        shlex.quote(f"{name}={value if isinstance(value, str) else json.dumps(value)}")
        for name, value in suggestion.items()
    )
    return f"tunebus train clone {job} " + " ".join(f"--set {setting}" for setting in settings)
