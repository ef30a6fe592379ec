"""What there is to choose from, and what a form begins with: from the address, from another job, or as suits most."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tunebus.contracts.queries import ListWorkers
from tunebus.ui.web.page import Arguments
from tunebus.ui.web.studio import Document, Studio
from tunebus.ui.web.training.composing import CONFIGS, as_typed
from tunebus.ui.web.words import say

STARTER_MODEL = "artifact:starter/model"
PRESETS: Mapping[str, Mapping[str, Any]] = {
    "quick": {"max_steps": 40, "dataset_fraction": 0.25, "lora.r": 8},
    "balanced": {},
    "best": {
        "num_epochs": 3,
        "lora.r": 32,
        "lora.lora_alpha": 64,
        "training_arguments.warmup_ratio": 0.05,
        "load_best_model_at_end": "true",
        "early_stopping_patience": 3,
    },
}
"""What each preset types into the form; what only others type is emptied."""
STARTER_TAKES = ("learning_rate", "batch_size", "num_epochs")
"""What of the starter pack's settings suits its model on any rows."""


@dataclass(frozen=True)
class Choice:
    """One thing to choose; `of` names the dataset that it belongs to, or the family of models that it is one of or made
    for; `fill` is what suits it."""

    value: str
    words: str
    of: str = ""
    fill: Mapping[str, Any] = field(default_factory=dict)

    def document(self) -> Document:
        return {"value": self.value, "words": self.words, "of": self.of, "fill": dict(self.fill)}


@dataclass(frozen=True)
class Choices:
    """By the names of the form's fields."""

    datasets: Sequence[Choice]
    models: Sequence[Choice]
    prompts: Sequence[Choice]
    configs: Mapping[str, Sequence[Choice]]
    jobs: Sequence[Choice]
    has_gpu: bool
    initial: Mapping[str, Any]
    clone_of: Document | None = None

    def document(self) -> Document:
        """For the script of the page, which adapts the form to what has come and gone."""
        found = {
            "dataset_id": self.datasets,
            "base_model_id": self.models,
            "prompt_id": self.prompts,
            "depends_on": self.jobs,
            **{f"{CONFIGS}.{kind}": found for kind, found in self.configs.items()},
        }
        return {name: [one.document() for one in choices] for name, choices in found.items()}


async def choices(studio: Studio, arguments: Arguments) -> Choices:
    """Errors: `not_found` for a job to clone that is not there."""
    clone = arguments.get("clone", "")[:200]
    datasets, models, prompts, configs, queue, workers = await asyncio.gather(
        studio.items("ListDatasets"),
        studio.items("ListModels"),
        studio.items("ListPrompts"),
        studio.items("ListConfigs"),
        studio.ask("ListQueue", kind="fine_tuning_job", limit=200),
        studio.ask(ListWorkers.__name__, limit=100),
    )
    trainers = [one for one in workers["items"] if one["kind"] == "fine_tuning_job"]
    has_gpu = any(one["capabilities"].get("gpus") or one["capabilities"].get("devices") for one in trainers)
    recommended = studio.recommended()
    suits = {name: recommended[name] for name in STARTER_TAKES if name in recommended}
    initial: Document = {}
    clone_of = await studio.ask("GetFineTuningJob", id=clone) if clone else None
    if clone_of is not None:
        initial = as_typed(clone_of)
    else:
        dataset, model = chosen(datasets, arguments.get("dataset")), chosen(models, arguments.get("model"))
        initial = {"dataset_id": dataset and dataset["id"], "base_model_id": model and model["id"]}
        if has_gpu:
            initial["num_gpu"] = 1
        if model and model["location"] == STARTER_MODEL:
            initial |= suits
        own = [one for one in prompts if dataset and one["dataset_id"] == dataset["id"]]
        if prompt := chosen(own, arguments.get("prompt")):
            initial["prompt_id"] = prompt["id"]
    return Choices(
        datasets=[Choice(one["id"], _dataset_words(one)) for one in reversed(datasets)],
        models=[
            Choice(
                one["id"],
                _model_words(one),
                of=one["model_family"].lower(),
                fill=suits if one["location"] == STARTER_MODEL else {},
            )
            for one in reversed(models)
        ],
        prompts=[Choice(one["id"], one["name"], of=one["dataset_id"]) for one in reversed(prompts)],
        configs={
            kind: [
                Choice(one["id"], one["description"] or one["id"], of=(one["model_family"] or "").lower())
                for one in configs
                if one["type"] == kind
            ]
            for kind in ("training_arguments", "lora")
        },
        jobs=[Choice(one["id"], f"{one['adapter_name']} ({one['state']})") for one in queue["items"]],
        has_gpu=has_gpu,
        initial=initial,
        clone_of=clone_of,
    )


def chosen(items: Sequence[Document], wanted: str | None) -> Document | None:
    """The one that the address names, else the newest."""
    return next((item for item in items if wanted in (item["id"], item["name"])), items[-1] if items else None)


def _dataset_words(dataset: Document) -> str:
    return say("train.choice.dataset", name=dataset["name"], rows=f"{dataset['rows']:,}")


def _model_words(model: Document) -> str:
    parameters = model.get("parameters")
    if not parameters:
        return str(model["name"])
    for size, unit in ((1e9, "B"), (1e6, "M")):
        if parameters >= size:
            return say("train.choice.model", name=model["name"], parameters=f"{parameters / size:.3g} {unit}")
    return say("train.choice.model", name=model["name"], parameters=f"{parameters:,}")
