"""Evaluations side by side: what to ask for, and what to make of the figures. It draws nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tunebus.contracts.errors import Code, fail
from tunebus.ui.web.acting import Asking
from tunebus.ui.web.job.names import is_tuned
from tunebus.ui.web.lineage import made_by
from tunebus.ui.web.studio import Document, Studio
from tunebus.ui.web.words import say


@dataclass(frozen=True)
class Metric:
    """One figure of an evaluation. `share` ones lie between 0 and 1; of counts, neither more nor less is better."""

    name: str
    higher_is_better: bool | None
    share: bool = False

    @property
    def label(self) -> str:
        return say(f"evaluate.metric.{self.name}")

    def show(self, value: float | None) -> str:
        if not isinstance(value, int | float):
            return "–"
        return f"{100 * value:.1f} %" if self.share else f"{value:.4g}"

    def show_change(self, change: float) -> str:
        return say("evaluate.points", change=f"{100 * change:+.1f}") if self.share else f"{change:+.4g}"

    def is_gain(self, change: float) -> bool:
        if self.higher_is_better is None:
            return False
        return change > 0 if self.higher_is_better else change < 0


METRICS = (
    Metric("loss", higher_is_better=False),
    Metric("perplexity", higher_is_better=False),
    Metric("exact_match", higher_is_better=True, share=True),
    Metric("rouge_l", higher_is_better=True, share=True),
    Metric("bleu", higher_is_better=True, share=True),
)

MORE_METRICS = (
    Metric("rouge_1", higher_is_better=True, share=True),
    Metric("rouge_2", higher_is_better=True, share=True),
    Metric("finished", higher_is_better=True, share=True),
    Metric("tokens_per_second", higher_is_better=True),
    Metric("seconds_per_row", higher_is_better=False),
    Metric("seconds_p95", higher_is_better=False),
    Metric("generated_tokens", higher_is_better=None),
    Metric("rows", higher_is_better=None),
)
"""What costs are, and what the others already say in another way."""


def best_of(metric: Metric, jobs: Sequence[Document]) -> float | None:
    """The best value; none where all are the same, or where none is better than another."""
    if metric.higher_is_better is None:
        return None
    values = [job["metrics"].get(metric.name) for job in jobs]
    known = [float(value) for value in values if isinstance(value, int | float)]
    if len(known) < 2 or len(set(known)) == 1:
        return None
    return max(known) if metric.higher_is_better else min(known)


def base_first(jobs: Sequence[Document]) -> list[Document]:
    """A comparison's columns: what has no adapter before what has one, else as asked for."""
    return sorted(jobs, key=is_tuned)


def baseline_of(job: Mapping[str, Any], jobs: Sequence[Document]) -> Document | None:
    """The evaluation of the bare model that a job with an adapter is measured against."""
    if not is_tuned(job):
        return None
    same = ("base_model_id", "dataset_id", "prompt_id")
    found = [one for one in jobs if not is_tuned(one)]
    return next((one for one in found if all(one[name] == job[name] for name in same)), None)


async def start_against_base(
    asking: Asking,
    adapter_ids: Sequence[str],
    *,
    model_ids: Sequence[str] = (),
    training_ids: Sequence[str] = (),
    dataset_id: str | None = None,
    prompt_id: str | None = None,
    with_base: bool = True,
    options: Mapping[str, Any] | None = None,
) -> str:
    """Queue an evaluation of adapters, of what trainings are to make, their bases and other models; returns the
    parent's id.

    What is not given is taken from the job that made the adapter or model; a model that was not made here is scored on
    what the first adapter was trained on. Errors: `invalid`, and the command's own.
    """
    if not adapter_ids and not model_ids and not training_ids:
        raise fail(Code.INVALID, "choose at least one", param="adapters")
    found = await combinations(
        asking.studio,
        adapter_ids,
        model_ids,
        training_ids,
        dataset_id=dataset_id,
        prompt_id=prompt_id,
        with_base=with_base,
    )
    outcome = await asking.send("StartEvaluationJob", {"combinations": found, **(options or {})})
    return str(outcome.id)


async def combinations(
    studio: Studio,
    adapter_ids: Sequence[str],
    model_ids: Sequence[str] = (),
    training_ids: Sequence[str] = (),
    *,
    dataset_id: str | None = None,
    prompt_id: str | None = None,
    with_base: bool = True,
) -> list[Document]:
    """What is scored on what, bare models first, none of them twice."""
    tuned: list[Document] = []
    for adapter_id in adapter_ids:
        adapter = await studio.ask("GetAdapter", id=adapter_id)
        job = await made_by(studio, adapter) or {}
        own = {"prompt_id": adapter["prompt_id"] or job.get("prompt_id"), "dataset_id": job.get("dataset_id")}
        tuned.append(_one(adapter["name"], adapter["model_id"], own, dataset_id, prompt_id, adapter_id=adapter["id"]))
    for training_id in training_ids:
        job = await studio.ask("GetFineTuningJob", id=training_id)
        own = {"prompt_id": job["prompt_id"], "dataset_id": job["dataset_id"]}
        tuned.append(_one(job["adapter_name"], job["base_model_id"], own, dataset_id, prompt_id, job_id=job["id"]))
    bare: list[Document] = []
    if with_base:
        made = ("adapter_id", "job_id")
        bare += [{name: value for name, value in one.items() if name not in made} for one in tuned]
    for model_id in model_ids:
        model = await studio.ask("GetModel", id=model_id)
        job = await made_by(studio, model) or {}
        own = {"prompt_id": job.get("prompt_id"), "dataset_id": job.get("dataset_id")}
        if own["dataset_id"] is None and tuned:
            own = {"dataset_id": tuned[0]["dataset_id"], "prompt_id": tuned[0].get("prompt_id")}
        bare.append(_one(model["name"], model["id"], own, dataset_id, prompt_id))
    return [one for number, one in enumerate(bare) if one not in bare[:number]] + tuned


def _one(
    name: str, model_id: str, own: Document, dataset_id: str | None, prompt_id: str | None, **more: str
) -> Document:
    """Another dataset than its own comes without its own prompt."""
    dataset = dataset_id or own["dataset_id"]
    if dataset is None:
        hint = f"{name} was not made here, so nobody knows what it was trained on"
        raise fail(Code.INVALID, "is required", param="dataset_id", hint=hint)
    prompt = prompt_id or (own["prompt_id"] if dataset == own["dataset_id"] else None)
    one = {"base_model_id": model_id, "dataset_id": dataset, "prompt_id": prompt, **more}
    return {key: value for key, value in one.items() if value is not None}
