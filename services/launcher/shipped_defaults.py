"""What every studio starts with: a small model with questions and a prompt, and settings for models of three sizes.

Data alone. An entry's key makes its command's id, so it never changes; a changed body needs a new key.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

MODEL = "starter"
DATASET = "starter-questions"
PROMPT = "starter-prompt"
FOLDER = "starter"


@dataclass(frozen=True)
class Default:
    """A command that is sent once in a studio's life."""

    command: str
    key: str
    data: Mapping[str, Any]


def _config(key: str, type: str, description: str, config: Mapping[str, Any]) -> Default:
    data = {"type": type, "config": config, "description": description, "is_default": True}
    return Default("AddConfig", f"AddConfig/{key}", data)


# In this order: the prompt needs the dataset.
SHIPPED: tuple[Default, ...] = (
    Default(
        "AddModel",
        "AddModel/1",
        {
            "name": MODEL,
            "path": f"artifact:{FOLDER}/model",
            "description": "A small Llama, trained on the documentation of Python's standard library.",
        },
    ),
    Default(
        "AddDataset",
        "AddDataset/1",
        {
            "name": DATASET,
            "path": f"artifact:{FOLDER}/questions.jsonl",
            "description": "Questions about descriptions from the documentation of Python's standard library.",
        },
    ),
    Default(
        "AddPrompt",
        "AddPrompt/1",
        {
            "name": PROMPT,
            "dataset_id": DATASET,
            "prompt_template": "{input}\n{completion}",
            "input_template": "{question}",
            "completion_template": "{answer}",
        },
    ),
    # Larger models take smaller steps and smaller batches; accumulation keeps the effective batch at 16.
    _config(
        "training/small/1",
        "training_arguments",
        "Small models, under 1 billion parameters",
        {"num_train_epochs": 3.0, "learning_rate": 5e-4, "per_device_train_batch_size": 16},
    ),
    _config(
        "training/medium/1",
        "training_arguments",
        "Medium models, 1 to 8 billion parameters",
        {
            "num_train_epochs": 2.0,
            "learning_rate": 2e-4,
            "per_device_train_batch_size": 4,
            "gradient_accumulation_steps": 4,
        },
    ),
    _config(
        "training/large/1",
        "training_arguments",
        "Large models, over 8 billion parameters",
        {
            "num_train_epochs": 1.0,
            "learning_rate": 1e-4,
            "per_device_train_batch_size": 1,
            "gradient_accumulation_steps": 16,
            "gradient_checkpointing": True,
        },
    ),
    _config("lora/small/1", "lora", "Small models, under 1 billion parameters", {"r": 8, "lora_alpha": 16}),
    _config("lora/medium/1", "lora", "Medium models, 1 to 8 billion parameters", {"r": 16, "lora_alpha": 32}),
    _config(
        "lora/large/1",
        "lora",
        "Large models, over 8 billion parameters",
        {"r": 32, "lora_alpha": 64, "lora_dropout": 0.05},
    ),
    _config(
        "generation/small/1",
        "generation",
        "Small models: short answers, always the same",
        {"max_new_tokens": 64, "temperature": 0.0},
    ),
    _config(
        "generation/medium/1",
        "generation",
        "Medium models: a paragraph, always the same",
        {"max_new_tokens": 256, "temperature": 0.0},
    ),
    _config(
        "generation/large/1",
        "generation",
        "Large models: long answers that vary",
        {"max_new_tokens": 1024, "temperature": 0.7, "top_p": 0.9},
    ),
)
