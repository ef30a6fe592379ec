"""Evaluations side by side: what to ask for, and what to make of the figures. It draws nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tunebus.contracts.errors import Code, fail
from tunebus.ui.web.acting import Asking
from tunebus.ui.web.job.names import is_tuned, job_name
from tunebus.ui.web.lineage import made_by
from tunebus.ui.web.markup import number
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
        return f"{100 * value:.1f} %" if self.share else number(value)

    def show_change(self, change: float) -> str:
        return (
            say("evaluate.points", change=f"{100 * change:+.1f}")
            if self.share
            else f"{'+-'[change < 0]}{number(abs(change))}"
        )

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


@dataclass(frozen=True)
class Split:
    """Which rows of a dataset are held out; the defaults are the registry's own."""

    fraction: float = 1.0
    train_share: float = 0.95
    seed: int = 42

    @classmethod
    def of(cls, source: Mapping[str, Any]) -> Split:
        """That of a training's recipe."""
        return cls(source["dataset_fraction"], source["train_test_split"], source["split_seed"])


@dataclass(frozen=True)
class Contender:
    """A combination as the command takes it, and the split that it was trained with, where it was trained on these
    rows."""

    combination: Document
    split: Split | None = None

    @property
    def is_tuned(self) -> bool:
        return "adapter_id" in self.combination or "job_id" in self.combination

    def learnt(self, dataset_id: str) -> bool:
        return self.split is not None and bool(self.combination["dataset_id"] == dataset_id)


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
    found = await contenders(
        asking.studio,
        adapter_ids,
        model_ids,
        training_ids,
        dataset_id=dataset_id,
        prompt_id=prompt_id,
        with_base=with_base,
    )
    combinations = [one.combination for one in found]
    outcome = await asking.send("StartEvaluationJob", {"combinations": combinations, **(options or {})})
    return str(outcome.id)


async def contenders(
    studio: Studio,
    adapter_ids: Sequence[str],
    model_ids: Sequence[str] = (),
    training_ids: Sequence[str] = (),
    *,
    dataset_id: str | None = None,
    prompt_id: str | None = None,
    with_base: bool = True,
) -> list[Contender]:
    """What is scored on what, bare models first, none of them twice."""
    tuned: list[Contender] = []
    for adapter_id in adapter_ids:
        adapter = await studio.ask("GetAdapter", id=adapter_id)
        job = await made_by(studio, adapter) or {}
        own = {**job, "prompt_id": adapter["prompt_id"] or job.get("prompt_id")}
        tuned.append(_one(adapter["name"], adapter["model_id"], own, dataset_id, prompt_id, adapter_id=adapter["id"]))
    for training_id in training_ids:
        job = await studio.ask("GetFineTuningJob", id=training_id)
        tuned.append(_one(job["adapter_name"], job["base_model_id"], job, dataset_id, prompt_id, job_id=job["id"]))
    bare: list[Contender] = []
    if with_base:
        made = ("adapter_id", "job_id")
        for one in tuned:
            bare.append(Contender({name: value for name, value in one.combination.items() if name not in made}))
    for model_id in model_ids:
        model = await studio.ask("GetModel", id=model_id)
        own = await made_by(studio, model) or {}
        if own.get("dataset_id") is None and tuned:
            first = tuned[0].combination
            own = {"dataset_id": first["dataset_id"], "prompt_id": first.get("prompt_id")}
        bare.append(_one(model["name"], model["id"], own, dataset_id, prompt_id))
    return [*await _once(studio, bare, tuned), *tuned]


def _one(
    name: str, model_id: str, own: Mapping[str, Any], dataset_id: str | None, prompt_id: str | None, **more: str
) -> Contender:
    """`own` is the job that made it, as far as one did. Another dataset than its own comes without its own prompt."""
    dataset = dataset_id or own.get("dataset_id")
    if dataset is None:
        hint = f"{name} was not made here, so nobody knows what it was trained on"
        raise fail(Code.INVALID, "is required", param="dataset_id", hint=hint)
    is_own = dataset == own.get("dataset_id")
    prompt = prompt_id or (own.get("prompt_id") if is_own else None)
    one = {"base_model_id": model_id, "dataset_id": dataset, "prompt_id": prompt, **more}
    recorded = (own.get("recipe") or {}).get("dataset") if is_own else None
    return Contender(
        {key: value for key, value in one.items() if value is not None}, Split.of(recorded) if recorded else None
    )


async def _once(studio: Studio, bare: Sequence[Contender], tuned: Sequence[Contender]) -> list[Contender]:
    """Bare models without those that come to the same: one that names no prompt takes that of the first training on its
    rows, or the only one of its dataset."""
    found: dict[tuple[object, ...], Contender] = {}
    for one in bare:
        dataset, prompt = one.combination["dataset_id"], one.combination.get("prompt_id")
        if prompt is None and len(bare) > 1:
            trained = one if one.split else next((other for other in tuned if other.learnt(dataset)), None)
            prompt = trained.combination.get("prompt_id") if trained else await _only_prompt(studio, dataset)
        found.setdefault((one.combination["base_model_id"], dataset, prompt), one)
    return list(found.values())


async def _only_prompt(studio: Studio, dataset_id: str) -> str | None:
    """The prompt of a dataset of plain columns that has exactly one."""
    if (await studio.ask("GetDataset", id=dataset_id))["format"] != "prompt":
        return None
    prompts = (await studio.ask("ListPrompts", dataset_id=dataset_id, limit=2))["items"]
    return str(prompts[0]["id"]) if len(prompts) == 1 else None


def scored_on(
    found: Sequence[Contender],
    *,
    fraction: float | None = None,
    train_share: float | None = None,
    seed: int | None = None,
    leave_out: bool = False,
) -> list[Split]:
    """The split of its dataset that each is scored on, as the registry decides it: its own training's, for what was not
    trained on these rows the first one's that was; what is given wins. To `leave_out` what another has learnt, all
    are scored on the first one's."""
    splits = []
    for one in found:
        first = next((other.split for other in found if other.learnt(one.combination["dataset_id"])), None)
        own = one.split if one.is_tuned or one.split else first
        recorded = (first if leave_out else own) or Split()
        splits.append(
            Split(
                recorded.fraction if fraction is None else fraction,
                recorded.train_share if train_share is None else train_share,
                recorded.seed if seed is None else seed,
            )
        )
    return splits


def may_have_seen(found: Sequence[Contender], splits: Sequence[Split]) -> bool:
    """Whether one of them was trained on another split of the rows that one is scored on."""
    return any(
        other.split != split
        for one, split in zip(found, splits, strict=True)
        for other in found
        if other.learnt(one.combination["dataset_id"])
    )


def column_names(jobs: Sequence[Document]) -> list[str]:
    """What each column of a comparison is called; those of one name say what tells them apart."""
    names = [job_name(job) for job in jobs]
    for what in ("dataset_name", "prompt_name"):
        details: dict[str, set[object]] = {}
        for name, job in zip(names, jobs, strict=True):
            details.setdefault(name, set()).add(job.get(what))
        names = [
            f"{name} · {job.get(what) or say('evaluate.no_prompt')}" if len(details[name]) > 1 else name
            for name, job in zip(names, jobs, strict=True)
        ]
    return names
