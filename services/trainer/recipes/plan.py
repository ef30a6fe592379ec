"""What was left open in the training arguments, settled from the data, the model and the machine. Imports no torch."""

from __future__ import annotations

import math
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tunebus.contracts.recipes import TrainingArguments, warmup_steps
from tunebus.services.platform.child.failures import ChildFailure

Device = Literal["cpu", "cuda"]
Precision = Literal["float32", "bfloat16", "float16"]

# Checkpoints of a long run are never further apart than this, unless the job asks for a number of steps.
SAVE_SECONDS = 300.0
_EVALUATIONS = 5
_CHECKPOINTS = 10
_BF16_FLAGS = {"avx512_bf16", "amx_bf16", "bf16"}  # the last is Arm's


@dataclass(frozen=True)
class Plan:
    """Everything a training really runs with. Steps are optimizer steps, lengths are tokens."""

    device: Device
    precision: Precision
    max_length: int
    steps_per_epoch: int
    total_steps: int
    warmup_steps: int
    eval_steps: int | None
    save_steps: int
    save_seconds: float | None
    eval_batch_size: int
    gradient_checkpointing: bool


def steps(arguments: TrainingArguments, rows: int) -> tuple[int, int]:
    """(optimizer steps of one epoch, optimizer steps in all) for so many training rows."""
    batches = math.ceil(rows / arguments.per_device_train_batch_size)
    per_epoch = max(1, math.ceil(batches / arguments.gradient_accumulation_steps))
    total = arguments.max_steps or max(1, math.ceil(arguments.num_train_epochs * per_epoch))
    return per_epoch, total


def plan(
    arguments: TrainingArguments,
    *,
    rows: int,
    held_out: int,
    length: int,
    device: Device,
    precision: Precision,
    gradient_checkpointing: bool,
    goes_on: bool = False,
) -> Plan:
    """Settle the rest: evaluations at fifths of the run, checkpoints at tenths or every five minutes."""
    per_epoch, total = steps(arguments, rows)
    return Plan(
        device=device,
        precision=precision,
        max_length=length,
        steps_per_epoch=per_epoch,
        total_steps=total,
        warmup_steps=warmup_steps(arguments.warmup_ratio, total, goes_on=goes_on),
        eval_steps=None if not held_out else arguments.eval_steps or math.ceil(total / _EVALUATIONS),
        save_steps=arguments.save_steps or math.ceil(total / _CHECKPOINTS),
        save_seconds=None if arguments.save_steps else SAVE_SECONDS,
        eval_batch_size=arguments.per_device_eval_batch_size or arguments.per_device_train_batch_size,
        gradient_checkpointing=gradient_checkpointing,
    )


def precision(asked: str, device: Device, *, gpu_has_bf16: bool = False, cpu_has_bf16: bool | None = None) -> Precision:
    """The precision of the matrix products; weights and their updates stay in float32.

    `auto` takes bfloat16 where the hardware multiplies it: on a CPU without such units it is emulated, and slower than
    float32. Errors: `bad_configuration` for what the device cannot do at all.
    """
    if asked == "auto":
        able = gpu_has_bf16 if device == "cuda" else (has_bf16_units() if cpu_has_bf16 is None else cpu_has_bf16)
        return "bfloat16" if able else "float32"
    if asked == "float16" and device == "cpu":
        raise ChildFailure(
            "bad_configuration", "precision float16 needs a GPU", "take 'auto': it chooses what this machine is fast at"
        )
    if asked == "bfloat16" and device == "cuda" and not gpu_has_bf16:
        raise ChildFailure("bad_configuration", "this GPU has no bfloat16", "take precision 'auto' or 'float16'")
    if asked == "float16":
        return "float16"
    return "bfloat16" if asked == "bfloat16" else "float32"


def has_bf16_units(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether this CPU multiplies bfloat16 in hardware; not known outside Linux, where the answer is no."""
    if platform.system() != "Linux":
        return False
    try:
        with cpuinfo.open() as file:
            for line in file:
                if line.startswith(("flags", "Features")):
                    return bool(_BF16_FLAGS & set(line.split()))
    except OSError:
        pass
    return False


def activation_bytes(
    *, tokens: int, layers: int, hidden: int, intermediate: int, vocabulary: int, bytes_per_value: int
) -> int:
    """About what one training step keeps for its backward pass without gradient checkpointing.

    Per token and layer some 20 values of the hidden and 6 of the intermediate width (LoRA's inputs, norms, attention
    and the gated product), after Korthikanti et al. 2022, arXiv:2205.05198; and the logits with their gradient in
    float32. Meant for one decision: does it fit with room to spare, or not.
    """
    per_layer = (20 * hidden + 6 * intermediate) * bytes_per_value
    return tokens * (layers * per_layer + 2 * 4 * vocabulary)


def needs_gradient_checkpointing(estimate: int, available: int) -> bool:
    """Recompute activations only where keeping them would fill most of what memory is left."""
    return estimate > 0.6 * available


def describe(settled: Plan, extra: dict[str, Any], lengths: Sequence[int]) -> dict[str, Any]:
    """The plan and what else is worth keeping, as the event that starts an attempt carries it."""
    document = dict(vars(settled))
    if lengths:
        ordered = sorted(lengths)
        document["length_median"] = ordered[len(ordered) // 2]
        document["length_p99"] = ordered[min(len(ordered) - 1, int(0.99 * len(ordered)))]
    return document | extra
