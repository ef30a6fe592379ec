"""What tells one method of fine-tuning from another: which weights it trains, in which type, and what it keeps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tunebus.contracts.recipes import FineTuningRecipe

WeightType = Literal["float32", "bfloat16"]


@dataclass(frozen=True)
class Trained:
    """What a finished training leaves in memory. `stop_ids` end an answer; `base_dtype` is how the base was stored."""

    model: Any
    tokenizer: Any
    recipe: FineTuningRecipe
    stop_ids: Sequence[int]
    base_dtype: Any


@dataclass(frozen=True)
class Method:
    """`result` names both what is made and its folder. `weight_type` is told whether the GPU multiplies bfloat16;
    `peft_config` is None where all weights are trained; `save` writes the result into an empty folder.
    """

    result: Literal["adapter", "model"]
    weight_type: Callable[[bool], WeightType]
    peft_config: Callable[[FineTuningRecipe], Any]
    save: Callable[[Path, Trained], None]
