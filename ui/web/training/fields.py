"""The fields of the training form, as the contract has them: kind, range and default are read from its models.

A field is named as the command names it; one of the settings within is dotted (`lora.r`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from pydantic import BaseModel
from tunebus.contracts.commands import StartFineTuningJob
from tunebus.contracts.recipes import LoraSettings, TrainingArguments
from tunebus.ui.web.markup import text
from tunebus.ui.web.words import catalogue, say

Kind = Literal["integer", "number", "flag", "choice", "text", "lines", "json"]

INLINE: Mapping[str, type[BaseModel]] = {"training_arguments": TrainingArguments, "lora": LoraSettings}
"""Settings within the command, each a config's id or an object."""

# Fields of the command that stand for a setting of another name in transformers.
LONGER = {"num_epochs": "num_train_epochs", "batch_size": "per_device_train_batch_size"}

MAIN = ("num_epochs", "learning_rate", "batch_size", "max_steps")
GROUPS: Mapping[str, tuple[str, ...]] = {
    "rows": ("train_test_split", "dataset_fraction", "max_length", "text_format"),
    "adapter": ("lora.r", "lora.lora_alpha", "lora.lora_dropout"),
    "adapter_more": ("lora.target_modules", "lora.bias", "lora.use_rslora", "lora.use_dora"),
    "optimizer": (
        "gradient_accumulation_steps",
        "training_arguments.lr_scheduler_type",
        "training_arguments.warmup_ratio",
        "training_arguments.weight_decay",
        "training_arguments.max_grad_norm",
        "training_arguments.optim",
        "training_arguments.group_by_length",
        "seed",
    ),
    "evaluation": (
        "eval_steps",
        "eval_samples",
        "early_stopping_patience",
        "early_stopping_threshold",
        "load_best_model_at_end",
        "save_steps",
        "save_total_limit",
        "training_arguments.per_device_eval_batch_size",
        "training_arguments.logging_steps",
    ),
    "machine": (
        "num_gpu",
        "num_cpu",
        "num_memory",
        "gradient_checkpointing",
        "training_arguments.precision",
        "num_workers",
    ),
    "queue": ("priority", "hold", "depends_on", "labels", "notes"),
    "rest": ("register_adapter", "user_script", "user_config", "framework_type"),
}
# Chosen by controls of their own, or not offered: no recipe quantizes.
APART = ("dataset_id", "base_model_id", "prompt_id", "adapter_name", "method", *INLINE)
NOT_BUILT = ("quantization",)


@dataclass(frozen=True)
class Field:
    """One field: what may be typed, and what is taken when nothing is."""

    name: str
    kind: Kind
    choices: tuple[str, ...] = ()
    range: str = ""
    default: str = ""
    many: bool = False

    @property
    def key(self) -> str:
        """The words of a field are found by its name without the settings it is part of."""
        return f"train.field.{self.name.rpartition('.')[2]}"


@cache
def field(name: str) -> Field:
    """A field by its name in the command."""
    settings, _, inner = name.rpartition(".")
    model: type[BaseModel] = INLINE[settings] if settings else StartFineTuningJob
    schema = _schema(model)[inner]
    kind, choices = _kind(inner, schema)
    return Field(
        name,
        kind,
        choices,
        _range(schema),
        _default(name, model.model_fields[inner].get_default(call_default_factory=True)),
        many=kind == "lines",
    )


def fields() -> Iterator[Field]:
    """Every field that the groups of the form hold."""
    for name in (*MAIN, *(name for group in GROUPS.values() for name in group)):
        yield field(name)


def _schema(model: type[BaseModel]) -> Mapping[str, Mapping[str, Any]]:
    """A model's properties, without the null that stands for the default."""
    found = {}
    for name, schema in model.model_json_schema()["properties"].items():
        kinds = [one for one in schema.get("anyOf", ()) if one.get("type") != "null"]
        found[name] = {**schema, **(kinds[0] if kinds else {})}
    return found


def _kind(name: str, schema: Mapping[str, Any]) -> tuple[Kind, tuple[str, ...]]:
    if "enum" in schema:
        return "choice", tuple(schema["enum"])
    kinds: Mapping[str, Kind] = {"integer": "integer", "number": "number", "boolean": "flag", "array": "lines"}
    if name == "target_modules":
        return "lines", ()
    if name == "user_config":
        return "json", ()
    return kinds.get(schema.get("type", ""), "text"), ()


def _range(schema: Mapping[str, Any]) -> str:
    """What numbers are taken, in words. A limit that only a number's size sets is not worth words."""
    above: float | None = schema.get("exclusiveMinimum", schema.get("gt"))
    least: float | None = schema.get("minimum", schema.get("ge"))
    most = schema.get("maximum", schema.get("le"))
    below = schema.get("exclusiveMaximum", schema.get("lt"))
    if schema.get("type") == "integer" and isinstance(above, int):
        above, least = None, above + 1
    if below is not None and below >= 2**31:
        below = None
    if most is not None:
        lower = say("train.range.above", least=_number(above)) if above is not None else _number(least)
        return say("train.range.to", least=lower, most=_number(most))
    if below is not None:
        return say("train.range.below", least=_number(least), most=_number(below))
    if above is not None:
        return say("train.range.above", least=_number(above))
    return say("train.range.least", least=_number(least)) if least is not None else ""


def _number(value: float | None) -> str:
    return f"{value:g}" if value is not None else ""


def _default(name: str, own: Any) -> str:
    """What an empty field comes to, in words."""
    if own is None and name in StartFineTuningJob.model_fields:
        setting = TrainingArguments.model_fields.get(LONGER.get(name, name))
        own = setting.default if setting else None
    words = f"train.field.{name.rpartition('.')[2]}.default"
    if words in catalogue():
        return say(words)
    if own is None or own == "" or own == []:
        return say("train.default.none")
    return f"{own:g}" if isinstance(own, float) else str(text(own))
