"""Typer options made from the contracts' fields, so that a new field of a command is a new option with no code here."""

from __future__ import annotations

import contextlib
import inspect
import json
import math
import shlex
import types
import typing
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Annotated, Any, Literal, Union

import typer
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from tunebus.contracts import strictjson
from tunebus.contracts.errors import Code, TunebusError, fail

HELP = {
    "adapter_id": "an adapter, by id or name",
    "adapter_name": "name of the adapter, or model, to make; one is chosen when not given",
    "after": "the `next` of the page before",
    "aggregate": "only events of this kind of entity, for example fine_tuning_job",
    "base_model_id": "the model to start from, by id or name",
    "batch_size": "rows at a time",
    "dataset_fraction": "share of the rows to use, above 0 up to 1",
    "dataset_id": "the dataset, by id or name",
    "description": "a note for people",
    "entity_id": "only events of one entity, by id or name",
    "early_stopping_patience": "stop after so many evaluations without a lower held-out loss",
    "early_stopping_threshold": "how much lower it has to be to count",
    "eval_samples": "held-out rows that are answered at each evaluation; 3 when not given",
    "eval_steps": "score the held-out rows every so many steps",
    "fine_tuning_job_id": "the job that made the adapter",
    "framework_type": "what to train with",
    "generation": "a config's id, or settings as JSON",
    "gradient_accumulation_steps": "batches that make one step",
    "gradient_checkpointing": "recompute instead of keeping: slower, in less memory; chosen when not given",
    "is_default": "mark as a default",
    "learning_rate": "step size at its highest, for example 2e-4",
    "limit": "at most so many",
    "load_best_model_at_end": "keep the weights with the least held-out loss, not the last",
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
    "num_memory": "GiB of memory the job needs, and may use",
    "num_workers": "processes that train together",
    "parent_id": "only those started together",
    "prompt_id": "the prompt, by id or name",
    "quantization": "a config's id, or settings as JSON",
    "register_adapter": "add the adapter, or model, to the list when the job has succeeded",
    "save_steps": "write a checkpoint every so many steps",
    "save_total_limit": "keep the last so many checkpoints, and the best",
    "seed": "the same seed trains the same",
    "state": "only jobs in this state",
    "text_format": "how prompts are laid out",
    "train_test_split": "share of the rows to train on; the rest is held out",
    "training_arguments": "a config's id, or settings as JSON",
    "type": "what it is",
    "user_config": "what the script is given: a custom config's id, or settings as JSON",
    "user_script": "a script of the operator's folder, run in place of the method's own training",
}

_SHORT = {"base_model_id": "model"}

_METAVARS: dict[type, str] = {str: "TEXT", list: "TEXT"}

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
            metavar=None if kind is bool else choices or _METAVARS.get(kind, kind.__name__.upper()),
            show_default=False,
        )
        made.append(_parameter(name, kind, declaration, required=required))
    return made


def given(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that were given, ready to send: settings written as JSON as objects, and no number JSON cannot say."""
    return {name: _ready(name, value) for name, value in fields.items() if value is not None and value != []}


_SETTINGS = ("training_arguments", "lora", "quantization", "generation", "user_config")


def _ready(name: str, value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)  # JSON has no such number; the registry refuses the word by its field's name
    if name in _MOMENTS and isinstance(value, str):
        return _moment(value)
    if name in _SETTINGS and isinstance(value, str) and value.lstrip().startswith("{"):
        return parse_object(value, name)
    return value


_MOMENTS = ("as_of", "from_moment", "to_moment")


def _moment(text: str) -> str:
    """A time without an offset is one of the clock on the wall here, as lists show it."""
    with contextlib.suppress(ValueError, OverflowError):
        found = datetime.fromisoformat(text)
        if found.tzinfo is None and not text.isdigit():
            return found.astimezone().isoformat()
    return text


def parse_object(text: str, param: str) -> dict[str, Any]:
    """An object written as JSON. Errors: `invalid`, saying where it breaks."""
    try:
        found = strictjson.loads(text.encode())
    except TunebusError as error:
        reason = error.problem.message.removeprefix("not JSON: ")
        raise fail(Code.INVALID, f"is not JSON: {reason}", param=param, hint='for example {"r": 8}') from None
    if not isinstance(found, dict) or not all(isinstance(key, str) for key in found):
        raise fail(Code.INVALID, "is not an object of settings", param=param, hint='for example {"r": 8}')
    return found


def _parameter(name: str, kind: type, declaration: Any, *, required: bool) -> inspect.Parameter:
    shown: Any = list[str] if kind is list else kind  # given several times
    annotation = Annotated[shown, declaration] if required else Annotated[shown | None, declaration]
    default = inspect.Parameter.empty if required else None
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def _flags(name: str, field: FieldInfo, kind: type) -> list[str]:
    spelled = (field.alias or name).replace("_", "-")
    if kind is bool:
        if field.default is None:  # neither is what happens when nothing is said
            return [f"--{spelled}/--no-{spelled}"]
        return [f"--no-{spelled}" if field.default is True else f"--{spelled}"]
    if kind is list:
        return [f"--{spelled}", *([f"--{spelled.removesuffix('s')}"] if spelled.endswith("s") else [])]
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
    if not field.is_required() and field.default_factory is None and default not in (None, "", False):
        text += f" [dim](default: {default})[/]"
    return text


def _plain(annotation: Any) -> tuple[type, str | None]:
    """The type the command line takes for a field's, and the choices of a literal."""
    origin = typing.get_origin(annotation)
    if origin is Annotated:
        return _plain(typing.get_args(annotation)[0])
    if origin is list:
        return list, None
    if origin is Literal:
        return str, "|".join(str(value) for value in typing.get_args(annotation))
    if origin in (Union, types.UnionType):
        found = [_plain(part) for part in typing.get_args(annotation) if part is not type(None)]
        return found[0] if len({kind for kind, _ in found}) == 1 else (str, None)
    if isinstance(annotation, type) and issubclass(annotation, bool | int | float):
        return annotation, None
    return str, None


def as_options(fields: Mapping[str, Any], *, between: str = " ") -> str:
    """Fields of a command as the options of its command line; a list is an option for each of its items."""
    said = []
    for name, value in fields.items():
        option = name.replace("_", "-")
        if isinstance(value, bool):
            said.append(f"--{option}" if value else f"--no-{option}")
            continue
        for one in value if isinstance(value, list | tuple) else [value]:
            said.append(f"--{option} {shlex.quote(json.dumps(one) if isinstance(one, dict) else str(one))}")
    return between.join(said)
