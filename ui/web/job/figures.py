"""The figures of one job: what it has measured so far or, once it is over, in the end; and its estimate beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tunebus.ui.web.job.names import ACTIVE, EVALUATION, EXPORT, FINE_TUNING, seconds_between
from tunebus.ui.web.job.progress import figure, rate, short_time
from tunebus.ui.web.markup import Markup, duration, memory_text, number, table, tag, text
from tunebus.ui.web.studio import Document
from tunebus.ui.web.words import say

Series = Mapping[str, Any]
SELDOM = ("eval_loss", "eval_seconds")
"""Curves of few points, whose beginning matters too."""


@dataclass(frozen=True)
class Measured:
    """What is known of a job beside its own document: the newest points of its curves and of its machine."""

    curves: Mapping[str, Series]
    memory_bytes: float | None = None

    def newest(self, name: str, step: int | None = None) -> Any:
        """The newest value of a curve, up to a step: after a resume there may be later ones, of the attempt before."""
        series = self.curves.get(name)
        if not series:
            return None
        known = [
            value for at, value in zip(series["steps"], series["values"], strict=True) if step is None or at <= step
        ]
        return known[-1] if known else None

    def mean(self, name: str) -> float | None:
        series = self.curves.get(name)
        values = [value for value in series["values"] if isinstance(value, float)] if series else []
        return sum(values) / len(values) if values else None


def tiles(job: Document, measured: Measured) -> Markup:
    found = {FINE_TUNING: _training, EVALUATION: _evaluation, EXPORT: _export}[job["kind"]](job, measured)
    shown = [
        tag(
            "div",
            tag("dt", say(f"jobs.figure.{name}")),
            tag("dd", value, kind="tb-figure"),
            tag("dd", beside, kind="tb-small") if beside else Markup(""),
            kind="tb-kpi",
            data_key=name,
        )
        for name, value, beside in found
    ]
    return tag("dl", *shown, kind="tb-kpis")


Tile = tuple[str, object, object]


def _training(job: Document, measured: Measured) -> list[Tile]:
    metrics: Mapping[str, Any] = job["metrics"] or {}
    resolved = resolved_of(job)
    estimate: Mapping[str, Any] = job.get("estimate") or {}
    now = job["progress"] or {}
    training = now.get("phase") in ("training", "evaluating", "saving")
    step = int(now.get("step") or 0) if training else job["step"]
    total = job["total_steps"] or estimate.get("steps")
    parameters = metrics.get("parameters") or resolved.get("parameters")
    trained = metrics.get("trainable_parameters") or resolved.get("trainable_parameters")
    guessed = estimate.get("trainable_parameters")
    share = f"{100 * trained / parameters:.2f} %" if trained and parameters else ""
    active = job["state"] in ACTIVE
    speed = (now.get("rate") if active else None) or metrics.get("steps_per_second")
    tokens = measured.newest("tokens_per_second", step) if active else None
    if tokens is None:
        tokens = metrics.get("tokens_per_second")
    if not isinstance(tokens, int | float) and speed and estimate.get("steps"):
        tokens = speed * estimate["tokens"] / estimate["steps"]
    held_out = metrics.get("eval_loss") or measured.newest("eval_loss", step)
    before = metrics.get("eval_loss_before") or measured.newest("eval_loss", 0)
    evaluation = metrics.get("eval_seconds") or measured.mean("eval_seconds")
    seconds = (estimate.get("time") or {}).get("seconds")
    epoch = measured.newest("epoch", step)
    return [
        ("step", _step(step, total), say("jobs.figure.epochs", epoch=f"{epoch:.2f}") if _number(epoch) else ""),
        ("loss", _value("loss", metrics.get("loss"), measured.newest("loss", step)), ""),
        (
            "eval_loss",
            _shown("eval_loss", held_out),
            say("jobs.figure.before", value=figure("eval_loss", before)) if _number(before) else "",
        ),
        ("learning_rate", _shown("learning_rate", measured.newest("learning_rate", step)), ""),
        ("grad_norm", _shown("grad_norm", measured.newest("grad_norm", step)), ""),
        ("speed", rate(speed) if speed else "–", ""),
        ("tokens_per_second", _shown("tokens_per_second", tokens), _of_estimate(estimate, "tokens_per_second")),
        (
            "elapsed",
            elapsed(job),
            say("jobs.figure.estimated", value=duration(seconds)) if seconds else "",
        ),
        ("eta", duration(now["eta"]) if active and now.get("eta") is not None else "–", ""),
        ("step_seconds", short_time(1 / speed) if speed else "–", ""),
        ("eval_seconds", short_time(evaluation) if evaluation else "–", ""),
        ("parameters", _count(parameters), ""),
        (
            "trainable_parameters",
            _count(trained),
            share or (say("jobs.figure.estimated", value=_count(guessed)) if guessed else ""),
        ),
        ("layers", _count(resolved.get("layers")), ""),
        _memory(job, measured),
    ]


def _evaluation(job: Document, measured: Measured) -> list[Tile]:
    metrics: Mapping[str, Any] = job["metrics"] or {}
    now = job["progress"] or {}
    active = job["state"] in ACTIVE
    total = job["total_steps"]
    done = job["step"] if not active else int(now.get("step") or 0) if now.get("phase") == "evaluating" else 0
    names = ("loss", "perplexity", "exact_match", "rouge_l", "bleu")
    scores: list[Tile] = [
        (name, _value(name, metrics.get(name), measured.newest(name)), "")
        for name in names
        if name in metrics or measured.newest(name) is not None or name in ("loss", "exact_match")
    ]
    speed = (now.get("rate") if active else None) or metrics.get("rows_per_second")
    took = seconds_between(job["started_at"], job["finished_at"])
    if not speed and took and total:
        speed = total / took
    return [
        ("rows", _step(done, total), ""),
        *scores,
        ("speed_rows", number(speed, 3) if speed else "–", ""),
        ("tokens_per_second", _shown("tokens_per_second", metrics.get("tokens_per_second")), ""),
        ("elapsed", elapsed(job), ""),
        ("eta", duration(now["eta"]) if active and now.get("eta") is not None else "–", ""),
        _memory(job, measured),
    ]


def _export(job: Document, measured: Measured) -> list[Tile]:
    checked = job.get("checked") or {}
    same = say("jobs.figure.of", some=checked["equal"], all=checked["prompts"]) if checked.get("prompts") else "–"
    return [
        ("answers_equal", same, ""),
        ("max_difference", _shown("max_difference", checked.get("max_difference")), ""),
        ("dtype", checked.get("dtype") or job["recipe"].get("dtype") or "–", ""),
        ("elapsed", elapsed(job), ""),
        _memory(job, measured),
    ]


def against_estimate(job: Document, measured: Measured) -> Markup:
    """What was estimated beside what was measured; nothing for a job without an estimate."""
    estimate: Mapping[str, Any] | None = job.get("estimate")
    if not estimate:
        return Markup("")
    metrics: Mapping[str, Any] = job["metrics"] or {}
    resolved = resolved_of(job)
    speed = metrics.get("steps_per_second") or (job["progress"] or {}).get("rate")
    tokens = metrics.get("tokens_per_second") or (
        speed * estimate["tokens"] / estimate["steps"] if speed and estimate["steps"] else None
    )
    memory = estimate["memory"]
    rows: list[Sequence[object]] = [
        (say("jobs.figure.memory"), memory_text(memory["total"]), _memory_value(job, measured)),
        (
            say("jobs.figure.trainable_parameters"),
            _count(estimate["trainable_parameters"]),
            _count(metrics.get("trainable_parameters") or resolved.get("trainable_parameters")),
        ),
        (say("jobs.figure.step"), _count(estimate["steps"]), _count(job["total_steps"])),
        (
            say("jobs.figure.tokens_per_second"),
            _count(estimate["time"]["tokens_per_second"]),
            _count(tokens),
        ),
        (
            say("jobs.figure.steps_take"),
            duration(estimate["time"]["seconds"]),
            duration(estimate["steps"] / speed if speed else None),
        ),
    ]
    heads = ["", say("jobs.estimated"), say("jobs.measured")]
    return table(heads, rows)


def resolved_of(job: Mapping[str, Any]) -> Mapping[str, Any]:
    """What the newest attempt that got so far really ran with."""
    for attempt in reversed(job.get("attempts_made") or []):
        if attempt.get("resolved"):
            found: Mapping[str, Any] = attempt["resolved"]
            return found
    return {}


def elapsed(job: Mapping[str, Any]) -> Markup:
    """From the first attempt's start to the end, or till now, by the reader's own clock."""
    if not job["started_at"]:
        return text(None)
    if job["finished_at"]:
        return text(duration(seconds_between(job["started_at"], job["finished_at"])))
    return tag("span", data_since=str(job["started_at"]))


def _memory(job: Document, measured: Measured) -> Tile:
    total = ((job.get("estimate") or {}).get("memory") or {}).get("total")
    beside = say("jobs.figure.estimated", value=memory_text(total)) if total else ""
    return "memory", _memory_value(job, measured), beside


def _memory_value(job: Document, measured: Measured) -> str:
    metrics: Mapping[str, Any] = job["metrics"] or {}
    peak = metrics.get("peak_gpu_memory_bytes") or metrics.get("peak_memory_bytes") or measured.memory_bytes
    return memory_text(int(peak)) if peak else "–"


def _of_estimate(estimate: Mapping[str, Any], name: str) -> str:
    guessed = (estimate.get("time") or {}).get(name)
    return say("jobs.figure.estimated", value=_count(guessed)) if guessed else ""


def _step(step: int, total: int | None) -> str:
    return say("jobs.figure.of", some=f"{step:,}", all=f"{total:,}") if total else f"{step:,}"


def _value(name: str, final: Any, newest: Any) -> str:
    return _shown(name, final if final is not None else newest)


def _shown(name: str, value: Any) -> str:
    if isinstance(value, str):  # NaN, Infinity
        return value
    return figure(name, value)


def _count(value: float | None) -> str:
    return f"{value:,.0f}" if value else "–"


def _number(value: Any) -> bool:
    return isinstance(value, int | float)
