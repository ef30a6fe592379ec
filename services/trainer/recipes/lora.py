"""LoRA (Hu et al. 2021, arXiv:2106.09685): small matrices beside the frozen weights are trained and kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tunebus.contracts.recipes import FineTuningRecipe, LoraSettings
from tunebus.services.trainer.recipes.method import Method, Trained, WeightType


def weight_type(gpu_has_bf16: bool) -> WeightType:
    """Of the frozen weights; peft keeps what is trained in float32."""
    return "bfloat16" if gpu_has_bf16 else "float32"


def peft_config(recipe: FineTuningRecipe) -> Any:
    from peft import LoraConfig

    settings = recipe.lora or LoraSettings()
    return LoraConfig(
        r=settings.r,
        lora_alpha=settings.lora_alpha,
        lora_dropout=settings.lora_dropout,
        target_modules=settings.target_modules,
        bias=settings.bias,
        use_rslora=settings.use_rslora,
        use_dora=settings.use_dora,
        task_type="CAUSAL_LM",
    )


def save(folder: Path, trained: Trained) -> None:
    """The adapter with its tokenizer."""
    trained.model.peft_config["default"].base_model_name_or_path = Path(trained.recipe.model.location).name
    trained.model.save_pretrained(folder, save_embedding_layers=False)
    trained.tokenizer.save_pretrained(folder)
    (folder / "README.md").unlink(missing_ok=True)  # a model card of blanks


METHOD = Method("adapter", weight_type, peft_config, save)
