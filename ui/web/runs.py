"""Fine-tunings beside one another: their settings that differ, their figures and which is best. It draws nothing."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tunebus.contracts.errors import Code, Problem, TunebusError, fail
from tunebus.ui.web.job.names import FINE_TUNING, seconds_between
from tunebus.ui.web.studio import Document, Studio

MOST = 10
LOWER, HIGHER = "lower", "higher"
FIGURES: Mapping[str, str | None] = {
    "eval_loss": LOWER,
    "eval_loss_before": None,
    "eval_perplexity": LOWER,
    "best_eval_loss": LOWER,
    "best_step": None,
    "loss": LOWER,
    "eval_token_accuracy": HIGHER,
    "steps_per_second": HIGHER,
    "tokens_per_second": HIGHER,
    "tokens": None,
    "parameters": None,
    "trainable_parameters": None,
    "peak_memory_bytes": LOWER,
    "peak_gpu_memory_bytes": LOWER,
    "duration_seconds": LOWER,
}
"""What trainings are compared by, and which end is better."""
COSTS = frozenset(
    {"steps_per_second", "tokens_per_second", "peak_memory_bytes", "peak_gpu_memory_bytes", "duration_seconds"}
)
"""Those in which a run is good for being short."""

_FIRST = ("base_model", "dataset", "prompt", "method")
_NO_SETTINGS = frozenset({"model", "dataset", "prompt_id", "adapter_name", "sources", "reasons", "initial_weights"})
_OF_DATASET = ("dataset_fraction", "train_test_split", "split_seed", "row_format")
_SPREADSHEET = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True)
class Run:
    """One run of a comparison; `problem` where it is none that can be compared. `label` is its own among the runs."""

    reference: str
    label: str
    job: Document | None = None
    problem: Problem | None = None


def references(arguments: Mapping[str, str]) -> list[str]:
    """The runs that an address names, each once; of more than ten the first."""
    given = (one.strip()[:200] for one in arguments.get("ids", "")[:4000].split(","))
    return list(dict.fromkeys(one for one in given if one))[:MOST]


async def find(studio: Studio, named: Sequence[str]) -> list[Run]:
    """The runs in the order named; a run that is named twice, by id and by name, is there once."""
    found = await asyncio.gather(*(_find(studio, reference) for reference in named))
    once = {run.job["id"] if run.job else run.reference: run for run in reversed(found)}
    runs = [run for run in found if once.get(run.job["id"] if run.job else run.reference) is run]
    names = Counter(run.label for run in runs)
    return [
        Run(run.reference, f"{run.label} {run.job['id'][-6:]}", run.job) if run.job and names[run.label] > 1 else run
        for run in runs
    ]


async def _find(studio: Studio, reference: str) -> Run:
    try:
        job = await studio.ask("GetFineTuningJob", id=reference)
    except TunebusError as error:
        return Run(reference, reference[:60], problem=error.problem)
    if job.get("kind") != FINE_TUNING:
        other = fail(Code.INVALID, f"{reference!r} is no fine-tuning")
        return Run(reference, reference[:60], problem=other.problem)
    return Run(reference, str(job["adapter_name"]), job)


def settings(job: Document) -> dict[str, Any]:
    """What a run was asked for and resolved to, by the names of the settings, as one flat mapping."""
    recipe: Mapping[str, Any] = job["recipe"] or {}
    attempts = [attempt for attempt in job["attempts_made"] if attempt.get("resolved")]
    ran: Mapping[str, Any] = attempts[-1]["resolved"] if attempts else {}
    found: dict[str, Any] = {
        "base_model": job.get("base_model_name") or job["base_model_id"],
        "dataset": job.get("dataset_name") or job["dataset_id"],
        "prompt": job.get("prompt_name") or job.get("prompt_id"),
    }
    dataset = recipe.get("dataset") or {}
    found |= {name: dataset.get(name) for name in _OF_DATASET}
    for name, value in recipe.items():
        if name in _NO_SETTINGS:
            continue
        if isinstance(value, Mapping):
            found |= {key: one for key, one in value.items() if not isinstance(one, Mapping)}
        else:
            found[name] = value
    # What was left to the start of the attempt is as it was decided there; before that nobody knows it.
    left = {name for name, value in found.items() if value in (None, "auto") and name not in _FIRST}
    decided = {name: ran.get(name) for name in left} if ran else {}
    return {name: value for name, value in found.items() if name not in left} | decided


def differing(found: Sequence[Mapping[str, Any]]) -> list[str]:
    """The names of settings that are not the same in all runs that have them, those of the data first."""
    names = dict.fromkeys(name for one in found for name in one)
    differ = [name for name in names if len({_spelled(one[name]) for one in found if name in one}) > 1]
    return sorted(differ, key=lambda name: (name not in _FIRST, _FIRST.index(name) if name in _FIRST else 0))


def figures(job: Document) -> dict[str, float]:
    """The figures that a run came to, or has come to so far."""
    metrics: Mapping[str, Any] = job["metrics"] or {}
    found = {name: float(metrics[name]) for name in FIGURES if isinstance(metrics.get(name), int | float)}
    seconds = seconds_between(job["started_at"], job["finished_at"]) if job["finished_at"] else None
    return found if seconds is None else found | {"duration_seconds": seconds}


def equally_long(jobs: Iterable[Document]) -> bool:
    """Whether all did as many steps on as many rows a time, so that one may be called quicker than another."""
    lengths = {(job["step"], (job["metrics"] or {}).get("tokens")) for job in jobs}
    return len(lengths) == 1


def best(name: str, values: Iterable[float | None], *, equal: bool = True) -> float | None:
    """The best of a figure's values; None where no end is better, or all are the same, or it is a cost of runs that
    are not `equal` in length."""
    known = [value for value in values if value is not None]
    wanted = FIGURES[name]
    if name in COSTS and not equal:
        return None
    if wanted is None or len(known) < 2 or min(known) == max(known):
        return None
    return min(known) if wanted == LOWER else max(known)


def answers(samples: Sequence[Document]) -> list[dict[str, Any]]:
    """Of each run's samples the last answers, matched by prompt:
    `[{"prompt", "reference", "answers": [{"step", "answer"} or None, …]}]`."""
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for number, document in enumerate(samples):
        for row in document["rows"]:
            known = rows.setdefault(
                (row["prompt"], row["reference"]),
                {"prompt": row["prompt"], "reference": row["reference"], "answers": [None] * len(samples)},
            )
            if row["answers"]:
                known["answers"][number] = row["answers"][-1]
    return [row for row in rows.values() if any(row["answers"])]


def as_table(runs: Sequence[Run]) -> list[list[Any]]:
    """A row a run: its name, state, figures and the settings that differ; safe for spreadsheets."""
    jobs = [run.job for run in runs if run.job is not None]
    found = [settings(job) for job in jobs]
    differ = differing(found) if len(jobs) > 1 else []
    measured = [figures(job) for job in jobs]
    names = [name for name in FIGURES if any(name in one for one in measured)]
    rows: list[list[Any]] = [["run", "id", "state", *names, *differ]]
    for run, one, values in zip((run for run in runs if run.job), found, measured, strict=True):
        assert run.job is not None
        row = [run.label, run.job["id"], run.job["state"], *(values.get(name, "") for name in names)]
        rows.append([harmless(cell) for cell in [*row, *(_cell(one.get(name)) for name in differ)]])
    return rows


def harmless(cell: Any) -> Any:
    """A text that a spreadsheet would take for a formula gets an apostrophe before it."""
    return "'" + cell if isinstance(cell, str) and cell.startswith(_SPREADSHEET) else cell


def _spelled(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=str)


def _cell(value: Any) -> Any:
    return "" if value is None else value if isinstance(value, str | int | float | bool) else _spelled(value)
