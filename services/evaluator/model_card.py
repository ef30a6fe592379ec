"""The README of an export: where it comes from, how it was trained, how good it was found to be, how to use it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tunebus.contracts.recipes import Checked, ExportRecipe

_USE_MERGED = """\
```python
from transformers import AutoModelForCausalLM, AutoTokenizer

model = AutoModelForCausalLM.from_pretrained("PATH")
tokenizer = AutoTokenizer.from_pretrained("PATH")
```
"""
_USE_ADAPTER = """\
```python
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

base = AutoModelForCausalLM.from_pretrained("PATH OF THE BASE MODEL")
model = PeftModel.from_pretrained(base, "PATH")
tokenizer = AutoTokenizer.from_pretrained("PATH OF THE BASE MODEL")
```
"""
_ASK = """\
```python
{ids}
output = model.generate(**inputs, max_new_tokens=64, do_sample=False)
print(tokenizer.decode(output[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True))
```
"""
_CHAT_IDS = """\
messages = [{"role": "user", "content": "…"}]
inputs = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_tensors="pt", return_dict=True)"""
_PLAIN_IDS = 'inputs = tokenizer("…", return_tensors="pt")'


def model_card(recipe: ExportRecipe, checked: Checked, questions: str) -> str:
    """Markdown with a head that the Hub reads. It names no path of this machine."""
    card = recipe.card
    head = ["---", f"base_model: {json.dumps(card.base_model)}", "library_name: " + _library(recipe)]
    head += ["pipeline_tag: text-generation", "tags: [tunebus]", "---"]
    what = "LoRA adapter" if recipe.type == "adapter" else "merged model" if recipe.adapter else "model"
    parts = ["\n".join(head), f"# {card.name}", f"A {what} exported by Tunebus."]
    parts.append(_facts("Origin", _origin(recipe)))
    training = card.training or {}
    if prompt := (training.get("dataset") or {}).get("prompt"):
        parts.append("## Prompt\n\nRows were laid out by these templates:\n\n" + _code(prompt))
    if training:
        settings = {name: training[name] for name in ("method", "training_arguments", "lora") if training.get(name)}
        parts.append("## Training\n\n" + _code(settings))
    if card.training_metrics:
        parts.append(_facts("Measured in training", _figures(card.training_metrics)))
    if card.evaluation_metrics:
        parts.append(_facts("Measured on held-out rows", _figures(card.evaluation_metrics)))
    difference = (
        "" if checked.max_difference is None else f" The largest difference of a logit is {checked.max_difference:.2g}."
    )
    parts.append(
        f"## Verified\n\nReloaded, it gave the same greedy answer to {checked.equal} of {checked.prompts} questions "
        f"({questions}).{difference}"
    )
    ids = _PLAIN_IDS if recipe.text_format == "plain" else _CHAT_IDS
    use = _USE_ADAPTER if recipe.type == "adapter" else _USE_MERGED
    parts.append("## Use\n\n" + use + "\n" + _ASK.replace("{ids}", ids))
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


def _library(recipe: ExportRecipe) -> str:
    return "peft" if recipe.type == "adapter" else "transformers"


def _origin(recipe: ExportRecipe) -> dict[str, str]:
    card = recipe.card
    source = (card.training or {}).get("dataset") or {}
    found = {
        "base model": card.base_model,
        "SHA-256 of the base model": card.base_sha256,
        "adapter": card.adapter,
        "SHA-256 of the adapter": card.adapter_sha256,
        "fine-tuning job": card.fine_tuning_job_id,
        "dataset": card.dataset,
        "SHA-256 of the data": source.get("sha256"),
        "evaluation job": card.evaluation_job_id,
    }
    return {name: str(value) for name, value in found.items() if value}


def _figures(metrics: Mapping[str, float | None]) -> dict[str, str]:
    return {name: f"{value:.6g}" for name, value in metrics.items() if value is not None}


def _facts(title: str, facts: Mapping[str, str]) -> str:
    lines = ["| {} | {} |".format(name, value.replace("|", "\\|")) for name, value in facts.items()]
    return "\n".join([f"## {title}", "", "| | |", "|---|---|", *lines])


def _code(document: Any) -> str:
    return "```json\n" + json.dumps(document, indent=2, ensure_ascii=False) + "\n```"
