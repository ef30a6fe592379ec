"""Typer options made from the contracts' fields, so that a new field of a command is a new option with no code here."""

from __future__ import annotations

import inspect
import json
import math
import types
import typing
from collections.abc import Collection, Mapping
from typing import Annotated, Any, Literal, Union

import typer
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from tunebus.contracts.errors import Code, fail

HELP = {
    "adapter_id": "an adapter, by id or name",
    "adapter_name": "name of the adapter to make; one is chosen when not given",
    "after": "the `next` of the page before",
    "aggregate": "only events of this kind of entity, for example fine_tuning_job",
    "base_model_id": "the model to start from, by id or name",
    "batch_size": "rows at a time",
    "dataset_fraction": "share of the rows to use, above 0 up to 1",
    "dataset_id": "the dataset, by id or name",
    "description": "a note for people",
    "entity_id": "only events of one entity, by id or name",
    "eval_steps": "score the held-out rows every so many steps",
    "fine_tuning_job_id": "the job that made the adapter",
    "framework_type": "what to train with",
    "generation": "a config's id, or settings as JSON",
    "is_default": "mark as a default",
    "learning_rate": "step size at its highest, for example 2e-4",
    "limit": "at most so many",
    "lora": "a config's id, or settings as JSON",
    "max_length": "tokens a row may have; chosen from the data when not given",
    "max_rows": "score at most so many rows",
    "max_steps": "stop after so many optimiser steps",
    "method": "how to train",
    "model_family": "for example llama",
    "model_id": "a model, by id or name",
    "name": "a name of its own",
    "num_cpu": "processor cores the job needs",
    "num_epochs": "passes over the training rows",
    "num_gpu": "GPUs the job needs",
    "num_memory": "GiB of memory the job needs",
    "num_workers": "processes that train together",
    "parent_id": "only those started together",
    "prompt_id": "the prompt, by id or name",
    "quantization": "a config's id, or settings as JSON",
    "register_adapter": "add the adapter to the list when the job has succeeded",
    "save_steps": "write a checkpoint every so many steps",
    "seed": "the same seed trains the same",
    "state": "only jobs in this state",
    "text_format": "how prompts are laid out",
    "train_test_split": "share of the rows to train on; the rest is held out",
    "training_arguments": "a config's id, or settings as JSON",
    "type": "what it is",
}

_SHORT = {"base_model_id": "model"}

Parameters = list[inspect.Parameter]


def options(
    model: type[BaseModel], *, skip: Collection[str] = (), values: Mapping[str, str] | None = None
) -> Parameters:
    """The fields of a command or query as options of a Typer function, all None when not given.

    `values` says of some fields what to give, where the usual words do not fit.
    """
    made = []
    for name, field in model.model_fields.items():
        if name in skip:
            continue
        required = field.is_required()
        kind, choices = _plain(field.annotation)
        declaration = typer.Option(
            *_flags(name, field, kind),
            help=_help(name, field, (values or {}).get(name)),
            callback=_negated if kind is bool and field.default is True else None,
            metavar=None if kind is bool else choices or kind.__name__.upper().replace("STR", "TEXT"),
            show_default=False,
        )
        made.append(_parameter(name, kind, declaration, required=required))
    return made


def given(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that were given, ready to send: settings written as JSON as objects, and no number JSON cannot say."""
    return {name: _ready(name, value) for name, value in fields.items() if value is not None}


_SETTINGS = ("training_arguments", "lora", "quantization", "generation")


def _ready(name: str, value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)  # JSON has no such number; the registry refuses the word by its field's name
    if name in _SETTINGS and isinstance(value, str) and value.lstrip().startswith("{"):
        return parse_object(value, name)
    return value


def parse_object(text: str, param: str) -> dict[str, Any]:
    """An object written as JSON. Errors: `invalid`, saying where it breaks."""
    try:
        found = json.loads(text)
    except ValueError as error:
        raise fail(Code.INVALID, f"is not JSON: {error}", param=param, hint='for example {"r": 8}') from None
    if not isinstance(found, dict) or not all(isinstance(key, str) for key in found):
        raise fail(Code.INVALID, "is not an object of settings", param=param, hint='for example {"r": 8}')
    return found


def _parameter(name: str, kind: type, declaration: Any, *, required: bool) -> inspect.Parameter:
    annotation = Annotated[kind, declaration] if required else Annotated[kind | None, declaration]
    default = inspect.Parameter.empty if required else None
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def _flags(name: str, field: FieldInfo, kind: type) -> list[str]:
    spelled = (field.alias or name).replace("_", "-")
    if kind is bool:
        return [f"--no-{spelled}" if field.default is True else f"--{spelled}"]
    shorter = _SHORT.get(name) or (spelled.removesuffix("-id") if spelled.endswith("-id") else None)
    return [f"--{spelled}", *([f"--{shorter}"] if shorter else [])]


def _negated(value: bool | None) -> bool | None:
    """The value of a field that is true unless its `--no-…` flag is given."""
    return False if value else None


def _help(name: str, field: FieldInfo, text: str | None) -> str:
    text = text or field.description or HELP.get(name, name.replace("_", " "))
    default = field.default
    if default is True:
        return f"do not {text}"
    if not field.is_required() and default not in (None, "", False):
        text += f" [dim](default: {default})[/]"
    return text


def _plain(annotation: Any) -> tuple[type, str | None]:
    """The type the command line takes for a field's, and the choices of a literal."""
    origin = typing.get_origin(annotation)
    if origin is Annotated:
        return _plain(typing.get_args(annotation)[0])
    if origin is Literal:
        return str, "|".join(str(value) for value in typing.get_args(annotation))
    if origin in (Union, types.UnionType):
        found = [_plain(part) for part in typing.get_args(annotation) if part is not type(None)]
        return found[0] if len({kind for kind, _ in found}) == 1 else (str, None)
    if isinstance(annotation, type) and issubclass(annotation, bool | int | float):
        return annotation, None
    return str, None
