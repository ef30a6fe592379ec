"""What to change so that a job would most likely not fail in the same way again: fields of the command that started it.

Pure, and without torch: the child uses it, and the supervisor of a child that could not say anything any more.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tunebus.contracts.commands import FailureCause
from tunebus.contracts.recipes import USUAL_LEARNING_RATES

_FAR = 5  # times the usual learning rate
_SHORTEST = 64  # tokens; below that hardly a row is left whole

Fields = dict[str, Any]


def suggestion(cause: FailureCause, job: Mapping[str, Any], resolved: Mapping[str, Any] | None = None) -> Fields | None:
    """The fields to change, or None where no setting helps. `job` is a `ChildJob`, `resolved` of `running.json`."""
    recipe: Mapping[str, Any] = job.get("recipe") or {}
    ran = resolved or {}
    if job.get("kind") == "evaluation_job":
        size = int(recipe.get("batch_size") or 1)
        return {"batch_size": size // 2} if cause == "out_of_memory" and size > 1 else None
    if job.get("kind") != "fine_tuning_job":
        return None
    arguments: Mapping[str, Any] = recipe.get("training_arguments") or {}
    if cause == "out_of_memory":
        return _smaller(recipe, arguments, ran)
    if cause == "nan_loss" and arguments.get("learning_rate"):
        return {"learning_rate": _lower(arguments["learning_rate"], recipe.get("method") or "lora")}
    if cause == "disk_full" and int(arguments.get("save_total_limit") or 1) > 1:
        return {"save_total_limit": 1}
    return None


def _lower(rate: float, method: str) -> float:
    """A tenth, or what the method usually takes where a tenth is still far above that."""
    tenth, usual = float(f"{rate / 10:.6g}"), USUAL_LEARNING_RATES.get(method)
    return usual if usual is not None and tenth > _FAR * usual else tenth


def _smaller(recipe: Mapping[str, Any], arguments: Mapping[str, Any], ran: Mapping[str, Any]) -> Fields | None:
    """Less memory at the same result first: half the batch and twice the accumulation, then recomputed activations;
    only then shorter rows, or less to train.
    """
    batch = int(arguments.get("per_device_train_batch_size") or 1)
    accumulation = int(arguments.get("gradient_accumulation_steps") or 1)
    if batch > 1:
        half = batch // 2
        return {"batch_size": half, "gradient_accumulation_steps": round(batch * accumulation / half)}
    if not (ran.get("gradient_checkpointing") or arguments.get("gradient_checkpointing")):
        return {"gradient_checkpointing": True}
    length = int(ran.get("max_length") or arguments.get("max_length") or 0)
    if length >= 2 * _SHORTEST:
        return {"max_length": length // 2}
    return {"method": "lora"} if recipe.get("method") == "full" else None
