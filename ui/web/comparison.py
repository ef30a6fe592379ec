"""Evaluations side by side: what to ask for, and what to make of the figures. It draws nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tunebus.contracts.errors import Code, fail
from tunebus.ui.web.studio import Document, Studio


@dataclass(frozen=True)
class Metric:
    """One figure of an evaluation. `share` ones lie between 0 and 1."""

    name: str
    label: str
    higher_is_better: bool
    share: bool = False

    def show(self, value: float | None) -> str:
        if not isinstance(value, int | float):
            return "–"
        return f"{100 * value:.1f} %" if self.share else f"{value:.4g}"

    def show_change(self, change: float) -> str:
        return f"{100 * change:+.1f} points" if self.share else f"{change:+.4g}"

    def is_gain(self, change: float) -> bool:
        return change > 0 if self.higher_is_better else change < 0


METRICS = (
    Metric("loss", "Held-out loss", higher_is_better=False),
    Metric("perplexity", "Perplexity", higher_is_better=False),
    Metric("exact_match", "Exact match", higher_is_better=True, share=True),
    Metric("rouge_l", "ROUGE-L", higher_is_better=True, share=True),
    Metric("bleu", "BLEU", higher_is_better=True, share=True),
)


def base_first(jobs: Sequence[Document]) -> list[Document]:
    """A comparison's columns: what has no adapter before what has one, else as asked for."""
    return sorted(jobs, key=lambda job: bool(job["adapter_id"]))


def baseline_of(job: Mapping[str, Any], jobs: Sequence[Document]) -> Document | None:
    """The evaluation of the bare model that a job with an adapter is measured against."""
    if not job["adapter_id"]:
        return None
    same = ("base_model_id", "dataset_id", "prompt_id")
    found = [one for one in jobs if not one["adapter_id"]]
    return next((one for one in found if all(one[name] == job[name] for name in same)), None)


async def start_against_base(
    studio: Studio,
    adapter_ids: Sequence[str],
    *,
    dataset_id: str | None = None,
    with_base: bool = True,
    options: Mapping[str, Any] | None = None,
) -> str:
    """Queue an evaluation of adapters and their bases; returns the parent's id.

    What is not given is taken from the job that made the adapter. Errors: `invalid`, and the command's own.
    """
    if not adapter_ids:
        raise fail(Code.INVALID, "choose at least one", param="adapter")
    made: list[dict[str, Any]] = []
    for adapter_id in adapter_ids:
        adapter = await studio.ask("GetAdapter", id=adapter_id)
        made_by = adapter["fine_tuning_job_id"]
        job = await studio.ask("GetFineTuningJob", id=made_by) if made_by else {}
        own = dataset_id in (None, job.get("dataset_id"))
        dataset = dataset_id or job.get("dataset_id")
        if dataset is None:
            hint = f"{adapter['name']} was not made here, so nobody knows what it was trained on"
            raise fail(Code.INVALID, "is required", param="dataset_id", hint=hint)
        prompt = (adapter["prompt_id"] or job.get("prompt_id")) if own else None
        one = {"base_model_id": adapter["model_id"], "dataset_id": dataset, "prompt_id": prompt}
        made.append({**one, "adapter_id": adapter["id"]})
    bases = [{**one, "adapter_id": None} for one in made] if with_base else []
    combinations = [one for number, one in enumerate(bases) if one not in bases[:number]] + made
    given = [{name: value for name, value in one.items() if value is not None} for one in combinations]
    outcome = await studio.send("StartEvaluationJob", {"combinations": given, **(options or {})})
    return str(outcome.id)
