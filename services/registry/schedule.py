"""Learning rates as transformers' schedules give them (`get_scheduler`), for going on from where another training was.

Pure, and without torch; a test compares it with transformers' own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from tunebus.contracts.recipes import TrainingArguments, warmup_steps


def learning_rate_after(recipe: Mapping[str, Any], total_steps: int, step: int) -> float:
    """The rate that the optimizer would take its next step with, after `step` of `total_steps` steps of a recipe."""
    arguments = TrainingArguments.model_validate(recipe["training_arguments"])
    start = (recipe.get("initial_weights") or {}).get("learning_rate")
    warmup = warmup_steps(arguments.warmup_ratio, total_steps, goes_on=start is not None)
    peak = arguments.learning_rate
    if step < warmup:
        begin = start or 0.0
        return float(begin + (peak - begin) * step / warmup)
    return peak * _decay(arguments.lr_scheduler_type, warmup, total_steps, step)


def _decay(kind: str, warmup: int, total_steps: int, step: int) -> float:
    done = (step - warmup) / max(1, total_steps - warmup)
    match kind:
        case "linear":
            return max(0.0, 1.0 - done)
        case "cosine":
            return max(0.0, 0.5 * (1.0 + math.cos(math.pi * done)))
    return 1.0
