"""Full fine-tuning: every weight is trained, and the result is a model of its own, whole and loadable anywhere.

Weights stay in float32 while they are trained, since bfloat16 rounds small updates away; the products may still be
taken in bfloat16. With Adam that is 16 bytes a parameter. The result has the type that the base model is stored in.
"""

from __future__ import annotations

from pathlib import Path

from tunebus.contracts.recipes import FineTuningRecipe
from tunebus.services.trainer.recipes.method import Method, Trained, WeightType


def weight_type(_gpu_has_bf16: bool) -> WeightType:
    return "float32"


def peft_config(_recipe: FineTuningRecipe) -> None:
    return None


def save(folder: Path, trained: Trained) -> None:
    """Config, safetensors and tokenizer; whoever generates with it stops where it learnt to."""
    model, tokenizer = trained.model, trained.tokenizer
    model.to(trained.base_dtype)
    model.config.use_cache = True
    model.config.pad_token_id = model.generation_config.pad_token_id = tokenizer.pad_token_id
    ends = model.generation_config.eos_token_id
    known = [] if ends is None else [ends] if isinstance(ends, int) else list(ends)
    stops = list(dict.fromkeys([*known, *trained.stop_ids]))
    model.generation_config.eos_token_id = stops if len(stops) > 1 else stops[0]
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


METHOD = Method("model", weight_type, peft_config, save)
