"""How much disk and memory a training needs, computed before its first step, so that what cannot fit fails at once.

Imports no torch: sizes come in as numbers.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from tunebus.contracts.recipes import TrainingArguments
from tunebus.services.platform.child.failures import ChildFailure
from tunebus.services.trainer.recipes.plan import Plan

GIB = 1024**3
_STATE_BYTES = {"adamw_torch": 8.0, "adamw_torch_fused": 8.0, "adafactor": 0.5, "sgd": 0.0}
"""Bytes an optimizer keeps for each trained parameter: Adam's two averages; Adafactor's rows and columns are few."""
_SMALL_FILES = 1024**2  # tokenizer, configs, state of schedule and random numbers


@dataclass(frozen=True)
class Sizes:
    """Parameters of the model, how many of them are trained, and bytes of a parameter as the result keeps it."""

    parameters: int
    trainable: int
    result_bytes_per_parameter: int = 4


def optimizer_bytes(sizes: Sizes, optim: str) -> int:
    return int(sizes.trainable * _STATE_BYTES[optim])


def checkpoint_bytes(sizes: Sizes, optim: str) -> int:
    """One checkpoint: the trained weights in float32, and the optimizer's state."""
    return 4 * sizes.trainable + optimizer_bytes(sizes, optim) + _SMALL_FILES


def disk_bytes(arguments: TrainingArguments, plan: Plan, sizes: Sizes) -> tuple[int, int]:
    """(bytes at the fullest moment, checkpoints there at once): those kept, the best, and the one being written."""
    written = -(-plan.total_steps // plan.save_steps) + 1
    at_once = min(arguments.save_total_limit + 2, written)
    result = sizes.trainable * sizes.result_bytes_per_parameter + _SMALL_FILES
    return at_once * checkpoint_bytes(sizes, arguments.optim) + result, at_once


def check_disk(folder: Path, arguments: TrainingArguments, plan: Plan, sizes: Sizes) -> int:
    """Bytes needed. Errors: `disk_full`, where the disk of the folder has no room for them."""
    needed, at_once = disk_bytes(arguments, plan, sizes)
    free = shutil.disk_usage(folder).free
    if needed <= free:
        return needed
    fewer = arguments.save_total_limit > 1
    raise ChildFailure(
        "disk_full",
        f"the job needs {gib(needed)} of disk ({at_once} checkpoints of "
        f"{gib(checkpoint_bytes(sizes, arguments.optim))} and its result), and {gib(free)} are free",
        "free disk space where the artifacts are kept" + (", or keep fewer checkpoints" if fewer else ""),
        {"save_total_limit": 1} if fewer else None,
    )


def check_memory(arguments: TrainingArguments, sizes: Sizes, total: int, whose: str) -> None:
    """Errors: `out_of_memory`, where weights, gradients and optimizer state alone are more than there ever is."""
    weights = gradients = 4 * sizes.trainable
    state = optimizer_bytes(sizes, arguments.optim)
    if weights + gradients + state <= total:
        return
    smaller = state > 0.5 * 4 * sizes.trainable and weights + gradients + int(0.5 * sizes.trainable) <= total
    raise ChildFailure(
        "out_of_memory",
        f"training all {sizes.trainable:,} parameters needs {gib(weights + gradients + state)} of memory (weights "
        f"{gib(weights)}, gradients {gib(gradients)}, {arguments.optim} {gib(state)}) and {whose} {gib(total)}",
        "train with the method lora, which needs a fraction of it" + (", or with optim adafactor" if smaller else ""),
        {"training_arguments": {"optim": "adafactor"}} if smaller else {"method": "lora"},
    )


def gib(size: float) -> str:
    """A size as people read it."""
    return f"{size / GIB:.2f} GiB" if size >= GIB / 10 else f"{size / 1024**2:.1f} MiB"
