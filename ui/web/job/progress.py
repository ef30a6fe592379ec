"""How far a job is, as a bar with words, and in the end what it came to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tunebus.ui.web.job.names import ACTIVE, EVALUATION, EXPORT, FINE_TUNING, WAITING, cause_name
from tunebus.ui.web.markup import Markup, duration, join, memory_text, number, tag, text
from tunebus.ui.web.words import catalogue, say

SHARES = frozenset({"exact_match", "majority_exact_match", "finished", "bleu", "rouge_1", "rouge_2", "rouge_l"})
BEFORE_STEPS = ("loading", "preparing")
TIMES = frozenset({"seconds", "seconds_p95", "seconds_per_row", "eval_seconds", "duration_seconds"})


def bar(job: Mapping[str, Any]) -> Markup:
    """Step of total as a bar; beneath it the phase, the rate and the time left."""
    found = job.get("progress") or {}
    step, total = int(found.get("step") or 0), int(found.get("total") or 0)
    phase = str(found.get("phase") or "")
    active = job["state"] in ACTIVE
    words = []
    if phase in BEFORE_STEPS:  # counts rows or files, not steps
        counted = say("jobs.progress.of", step=f"{step:,}", total=f"{total:,}") if total > 1 else ""
        words.append(f"{phase_name(phase)} {counted}".strip())
        step = total = 0
    elif total:
        words.append(say("jobs.progress.of", step=f"{step:,}", total=f"{total:,}"))
    if active and phase and phase not in (*BEFORE_STEPS, *ACTIVE, "training"):
        words.append(phase_name(phase))
    share = 100 * min(1.0, step / total) if total else 0.0
    if active and found.get("rate"):
        words.append(rate(found["rate"]))
    if active and found.get("eta") is not None:
        words.append(say("jobs.progress.left", time=duration(found["eta"])))
    fill = tag("div", kind="tb-bar-fill", style=f"width:{share:.1f}%")
    values = {"aria_valuenow": f"{share:.0f}", "aria_valuemin": "0", "aria_valuemax": "100"}
    name = {"role": "progressbar", "aria_label": say("jobs.progress.name")}
    return join(
        [
            tag("div", fill, kind=f"tb-bar tb-bar-{job['state']}", **name, **values),
            tag("div", " · ".join(words), kind="tb-small tb-job-numbers"),
        ]
    )


def rate(steps_per_second: float) -> str:
    """Steps per second, or seconds per step where one takes longer than a second."""
    if steps_per_second >= 1:
        return say("jobs.progress.rate", rate=number(steps_per_second, 3))
    return say("jobs.progress.pace", seconds=number(1 / steps_per_second, 3))


def phase_name(phase: str) -> str:
    key = f"jobs.phase.{phase}"
    return say(key) if key in catalogue() else phase


def outcome(job: Mapping[str, Any]) -> Markup:
    """What a list shows beside a job: how far it is, why it waits, or what it came to."""
    if job["state"] in ACTIVE:
        return bar(job)
    if job["state"] in WAITING:
        place = job.get("queue_position")
        where = tag("strong", say("jobs.queue.place", place=place), " ") if place else Markup("")
        return join([where, text(job["waiting_reason"] or "")])
    if job["state"] == "failed":
        hint = tag("div", job["hint"], kind="tb-small") if job.get("hint") else Markup("")
        return join([tag("strong", cause_name(job["cause"])), ": ", job["message"] or "", hint])
    if job["state"] == "stopped":
        return text(say("jobs.result.stopped", step=f"{job['step']:,}") if job["step"] else "")
    return _result(job)


def _result(job: Mapping[str, Any]) -> Markup:
    metrics: Mapping[str, Any] = job.get("metrics") or {}
    if job["kind"] == FINE_TUNING:
        before, after = metrics.get("eval_loss_before"), metrics.get("eval_loss")
        if isinstance(after, int | float):
            if isinstance(before, int | float):
                return text(say("jobs.result.loss_change", before=f"{before:.3g}", after=f"{after:.3g}"))
            return text(say("jobs.result.loss", after=f"{after:.3g}"))
        loss = metrics.get("loss")
        return text(say("jobs.result.training_loss", loss=f"{loss:.3g}") if isinstance(loss, int | float) else "")
    if job["kind"] == EXPORT:
        checked = job.get("checked") or {}
        if checked.get("prompts"):
            return text(say("jobs.result.checked", equal=checked["equal"], prompts=checked["prompts"]))
        return text(job.get("destination") or job.get("registered_model") or "")
    assert job["kind"] == EVALUATION
    if not job.get("dataset_id"):
        return text(say("jobs.result.typed"))
    wanted = [name for name in ("loss", "exact_match", "rouge_l") if isinstance(metrics.get(name), int | float)]
    figures = [f"{say(f'jobs.figure.{name}')} {figure(name, metrics[name])}" for name in wanted]
    return join((tag("span", one, kind="tb-numbers") for one in figures), " · ")


def figure(name: str, value: float | None) -> str:
    """A measured value as people read it: shares in percent, sizes in bytes, others with few digits."""
    if value is None:
        return "–"
    if name in SHARES:
        return f"{100 * value:.1f} %"
    if name.endswith("_bytes"):
        return memory_text(int(value))
    if name in TIMES:
        return short_time(value)
    return number(value)


def short_time(seconds: float) -> str:
    """A time that may be far below a second: `12 ms`, `1.4 s`, `3 min 20 s`."""
    if seconds < 1:
        return f"{1000 * seconds:.3g} ms"
    return f"{seconds:.3g} s" if seconds < 60 else duration(seconds)
