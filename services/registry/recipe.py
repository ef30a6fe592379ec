"""From what a command asks to a whole recipe: defaults, then configs, then the command; each source is kept.

Pure. It collects everything that is wrong instead of stopping at the first.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from tunebus.contracts.commands import ConfigReference
from tunebus.contracts.errors import Code, Problem, TunebusError
from tunebus.contracts.identifiers import short
from tunebus.contracts.recipes import (
    DataFormat,
    DatasetSource,
    ModelSource,
    PromptTemplates,
    Settings,
    TextFormat,
    files_type,
)
from tunebus.services.platform.rows import templates
from tunebus.services.platform.rows.folders import split_rows
from tunebus.services.platform.rows.formats import CHATS
from tunebus.services.platform.rows.split import TRAIN
from tunebus.services.registry import prompt_generation
from tunebus.services.registry.config_body import settings_problems
from tunebus.services.registry.decision import missing
from tunebus.services.registry.known import Dataset, Known, Model, Prompt

Source = Literal["default", "config", "command"]
SettingsType = TypeVar("SettingsType", bound=Settings)
DEFAULT_SEED = 42
MAX_ADAPTER_NAME = 100


@dataclass(frozen=True)
class PromptChoice:
    """How a dataset's rows become text: a prompt's templates (with its id if it has one), or the rows' own shape."""

    format: DataFormat
    templates: PromptTemplates | None = None
    prompt_id: str | None = None


def layered(
    kind: type[SettingsType], from_config: Mapping[str, Any], from_command: Mapping[str, Any]
) -> tuple[SettingsType, dict[str, Source]]:
    """The settings with every default filled in, and where each came from. Both layers were validated before."""
    merged = kind.model_validate({**from_config, **from_command})
    sources: dict[str, Source] = {
        name: "command" if name in from_command else "config" if name in from_config else "default"
        for name in kind.model_fields
    }
    return merged, sources


def config_layers(
    known: Known, kind: str, reference: ConfigReference | None, param: str, problems: list[Problem]
) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """What a reference to settings says, as (from a config, from the command); adds to `problems` what is wrong."""
    if reference is None:
        return {}, {}
    if not isinstance(reference, str):
        wrong = settings_problems(kind, reference, param)
        problems += wrong
        return {}, {} if wrong else reference
    config = known.configs.get(reference)
    if config is None:
        problems.append(missing(f"{kind} config", reference, param, "use a config's id, or an object of settings"))
    elif config.type != kind:
        message = f"config {reference!r} is of type {config.type}, not {kind}"
        problems.append(Problem(code=Code.INVALID, message=message, param=param))
    else:
        return config.config, {}
    return {}, {}


def choose_prompt(
    dataset: Dataset, prompt: Prompt | None, problems: list[Problem], param: str = "prompt_id"
) -> PromptChoice | None:
    """The prompt that is meant, else the rows' own shape, else templates made from the names of the columns."""
    if prompt is not None:
        found = PromptTemplates(
            prompt_template=prompt.prompt_template,
            input_template=prompt.input_template,
            completion_template=prompt.completion_template,
        )
        wrong = templates.check(found, dataset.features)
        if not wrong:
            return PromptChoice("prompt", found, prompt.id)
        message = f"prompt {prompt.name!r} does not fit dataset {dataset.name!r}: " + "; ".join(
            problem.message for problem in wrong
        )
        problems.append(Problem(code=Code.INVALID, message=message, param=param, hint=wrong[0].hint))
        return None
    if dataset.format != "prompt":
        return PromptChoice(dataset.format)
    try:
        return PromptChoice("prompt", prompt_generation.generate(dataset.features))
    except TunebusError as error:
        problems.append(error.problem)
        return None


def untrainable(dataset: Dataset, choice: PromptChoice) -> list[Problem]:
    """Why nothing can be trained on a dataset's rows as they are meant to be read; empty when something can."""
    if choice.format == "preference":
        return [
            Problem(
                code=Code.NOT_SUPPORTED,
                message=f"dataset {dataset.name!r} holds preference pairs, which no recipe of this version trains on",
                param="dataset_id",
                hint="add the file again with the column mapping completion=chosen to train on the chosen answers",
            )
        ]
    splits = dict(split_rows(dataset.files))
    if splits and not splits.get(TRAIN):
        message = f"dataset {dataset.name!r} has no training rows: its splits are {', '.join(splits)}"
        return [Problem(code=Code.INVALID, message=message, param="dataset_id", hint="name a file of it train")]
    return []


def text_format_of(
    asked: TextFormat | None, model: Model, choice: PromptChoice | None, problems: list[Problem]
) -> TextFormat:
    """How text is laid out: as a chat where the model has a template for it, unless the command says otherwise."""
    if asked == "chat" and not model.has_chat_template:
        message = f"model {model.name!r} has no chat template"
        problems.append(Problem(code=Code.INVALID, message=message, param="text_format", hint="use plain"))
    if choice and choice.format == "text":
        if asked == "chat":
            message = "the dataset holds plain text, which is no chat"
            problems.append(Problem(code=Code.NOT_SUPPORTED, message=message, param="text_format", hint="use plain"))
        return "plain"
    if choice and choice.format in CHATS and (asked == "plain" or not model.has_chat_template):
        why = "plain text has no roles" if asked == "plain" else f"model {model.name!r} has no chat template"
        problems.append(
            Problem(
                code=Code.NOT_SUPPORTED,
                message=f"the dataset holds chat messages, but {why}",
                param="text_format" if asked == "plain" else "base_model_id",
                hint="use a model with a chat template, or a dataset with prompt and completion columns",
            )
        )
    return asked or ("chat" if model.has_chat_template else "plain")


def model_source(model: Model) -> ModelSource:
    return ModelSource(
        model_id=model.id,
        location=model.location,
        sha256=model.sha256,
        architecture=model.architecture,
        remote_code=bool(model.remote_code),
    )


def dataset_source(
    dataset: Dataset, choice: PromptChoice, *, fraction: float, train_share: float, seed: int
) -> DatasetSource:
    return DatasetSource(
        dataset_id=dataset.id,
        location=dataset.location,
        type=files_type(dataset.type),
        files=list(dataset.files),
        column_mapping=dict(dataset.column_mapping),
        skip_broken=dataset.skip_broken,
        row_format=dataset.format,
        sha256=dataset.sha256,
        features=dataset.features,
        format=choice.format,
        prompt=choice.templates,
        prompt_id=choice.prompt_id,
        dataset_fraction=fraction,
        train_test_split=train_share,
        split_seed=seed,
    )


def adapter_name(dataset: str, model: str, job_id: str) -> str:
    """`<dataset>-<model>-<short id>` in the characters that an adapter's name may have; the id keeps it unique."""
    ending = short(job_id)
    parts = [_plain(name) for name in (dataset, model)]
    head = "-".join(part for part in parts if part)[: MAX_ADAPTER_NAME - len(ending) - 1].rstrip("-_")
    return f"{head}-{ending}" if head else f"adapter-{ending}"


def _plain(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_]+", "-", name).strip("-_")


def too_long(max_length: int | None, models: Sequence[Model], param: str) -> list[Problem]:
    """A length beyond a model's context."""
    return [
        Problem(
            code=Code.INVALID,
            message=f"{max_length} tokens are more than the context of {model.name!r}, {model.context_length}",
            param=param,
        )
        for model in models
        if max_length and model.context_length and max_length > model.context_length
    ]
