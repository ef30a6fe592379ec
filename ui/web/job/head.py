"""The head of one job: its name and state, how far it is, why it waits, and of a failure the cause and the way out."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from tunebus.ui.web.job import progress
from tunebus.ui.web.job.listing import labels
from tunebus.ui.web.job.names import (
    ENDED,
    EXPORT,
    FINE_TUNING,
    WAITING,
    cause_name,
    job_name,
    kind_name,
    sentence,
    state_badge,
    subject,
)
from tunebus.ui.web.markup import Markup, act, banner, join, link, tag, text
from tunebus.ui.web.page import Arguments
from tunebus.ui.web.studio import Document, Studio
from tunebus.ui.web.words import phrase, say

_SHORTCUTS = {"batch_size": "per_device_train_batch_size", "num_epochs": "num_train_epochs"}
"""Fields of a command that the recipe calls otherwise."""


def head(job: Document, origin: str | None = None) -> Markup:
    """`origin` is what the job is called that it was made from."""
    parts: list[object] = [
        tag("p", link(say("jobs.title"), "/jobs"), " / ", kind_name(job["kind"]), kind="tb-small"),
        tag("div", tag("h1", job_name(job)), state_badge(job["state"]), labels(job), kind="tb-title-row"),
        tag("p", _about(job, origin), kind="tb-lead"),
    ]
    parts += [_card(job)] if job["state"] == "failed" else []
    difference = (job.get("origin") or {}).get("difference")
    if difference:
        parts.append(differences(difference))
    if (job.get("origin") or {}).get("kind") == "rerun" and job["state"] in ENDED:
        parts.append(
            tag("div", data_load=f"/fragment/rerun?{urlencode({'id': job['id']})}", id="tb-rerun", data_keep="")
        )
    if job["notes"]:
        parts.append(tag("p", job["notes"], kind="tb-notes"))
    if job["state"] in WAITING:
        parts.append(_waiting(job))
    if job["state"] == "stopping":
        parts.append(banner(say(f"jobs.stopping.{job['stop']}"), "info"))
    if job["state"] == "succeeded" and job["message"]:
        parts.append(banner(job["message"], "info"))
    if worse := _worse(job):
        parts.append(banner(worse))
    if job["attempt"] > 1 and job["state"] != "failed":
        parts += [_interruptions(job)]
    parts += [banner(words) for words in job["warnings"]]
    parts.append(progress.bar(job))
    return tag("div", *parts, kind="tb-job-head")


async def rerun(studio: Studio, arguments: Arguments) -> Markup:
    """Whether a training that repeats another came to the same."""
    job = await studio.ask("GetFineTuningJob", id=arguments.get("id", "")[:200] or " ")
    origin = job.get("origin") or {}
    if origin.get("kind") != "rerun":
        return Markup("")
    found = await studio.ask("CompareRuns", job_id=origin["job_id"], other_id=job["id"])
    words = say(
        f"jobs.rerun.{found['verdict']}",
        step=found["step"],
        name=found["name"],
        difference=f"{found['max_difference'] or 0:.2g}",
    )
    return banner(words, "success" if found["verdict"] == "equal" else "info")


def _worse(job: Document) -> str:
    """Words about a training that succeeded and made its model worse on held-out rows."""
    metrics: Mapping[str, Any] = job["metrics"] or {}
    before, after = (metrics.get(name) for name in ("eval_loss_before", "eval_loss"))
    if job["kind"] != FINE_TUNING or job["state"] != "succeeded":
        return ""
    if not isinstance(before, int | float) or not isinstance(after, int | float) or after <= before:
        return ""
    figures = {"before": progress.figure("eval_loss", before), "after": progress.figure("eval_loss", after)}
    return say("jobs.worse", **figures)


def _about(job: Document, made_from: str | None) -> Markup:
    words: list[object] = [subject(job, linked=True)]
    if job["kind"] == FINE_TUNING:
        words.append(say(f"jobs.method.{job['method']}"))
    if job["kind"] == EXPORT and job.get("adapter_id"):
        words.append(link(job.get("adapter_name") or job["adapter_id"], "/adapters", id=str(job["adapter_id"])))
    if job["attempt"] > 1:
        words.append(say("jobs.attempt", number=job["attempt"]))
    if job.get("host"):
        words.append(say("jobs.on_host", host=job["host"]))
    if job.get("adapter_id") and job["kind"] == FINE_TUNING:
        made = link(say("jobs.made_adapter"), "/adapters", id=str(job["adapter_id"]))
        words.append(made)
    elif job.get("model_id") and job["kind"] == FINE_TUNING:
        words.append(link(say("jobs.made_model"), "/models", id=str(job["model_id"])))
    origin = job.get("origin")
    if origin:
        step = f"{origin['step']:,}" if origin.get("step") is not None else ""
        other = link(made_from or say("jobs.origin.job"), "/jobs", id=str(origin["job_id"]))
        words.append(phrase(f"jobs.origin.{origin['kind']}", step=step, job=other))
    return join(words, " · ")


def _waiting(job: Document) -> Markup:
    parts: list[object] = [tag("strong", sentence(job["waiting_reason"]))]
    if job["queue_position"]:
        parts.append(tag("div", say("jobs.queue.position", place=job["queue_position"])))
    others = [
        join([link(other["name"], "/jobs", id=str(other["id"])), " ", state_badge(other["state"])])
        if other["state"] != "removed"
        else text(other["name"])
        for other in job.get("dependencies") or ()
    ]
    if others:
        parts.append(tag("div", phrase("jobs.queue.depends", jobs=join(others, ", "))))
    return banner(join(parts), "info")


def _interruptions(job: Document) -> Markup:
    """What ended the attempts before the present one, in a line each."""
    lines = [
        tag(
            "li",
            phrase(
                "jobs.interrupted",
                number=str(attempt["attempt"]),
                why=sentence(attempt["message"] or cause_name(attempt["cause"])),
            ),
        )
        for attempt in job["attempts_made"][:-1]
        if attempt["cause"] and attempt["cause"] not in ("finished", "requested")
    ]
    if not lines:
        return Markup("")
    return banner(tag("ul", *lines), "warning")


def _card(job: Document) -> Markup:
    """Why it failed, what may be done about it, and the last words of its output."""
    parts: list[object] = [
        tag("h2", say("jobs.failed", cause=cause_name(job["cause"]))),
        tag("p", sentence(job["message"])),
    ]
    if job["hint"]:
        parts.append(tag("p", tag("strong", say("jobs.hint")), " ", sentence(job["hint"])))
    if job["suggestion"] and job["kind"] == FINE_TUNING:
        changes = {name: [before, after] for name, before, after in suggested(job)}
        words = say("jobs.do.retry_suggested")
        button = act(words, "retry_suggested", {"id": job["id"]}, kind="tb-primary", id="tb-retry-suggested")
        parts += [differences(changes), tag("div", button, kind="tb-actions")]
    detail = (job["attempts_made"] or [{}])[-1].get("detail")
    if detail:
        parts.append(
            tag("details", tag("summary", say("jobs.detail")), tag("pre", detail, kind="tb-log", tabindex="0"))
        )
    return tag("section", *parts, kind="tb-banner tb-banner-error tb-failure", id="tb-cause")


def suggested(job: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    """The changes that a failure suggests: (field, what it was, what it would be)."""
    recipe: Mapping[str, Any] = job["recipe"]
    arguments: Mapping[str, Any] = recipe.get("training_arguments") or {}
    for name, after in (job["suggestion"] or {}).items():
        if name == "training_arguments" and isinstance(after, Mapping):
            yield from ((key, arguments.get(key), one) for key, one in after.items())
        else:
            known = {"num_memory": recipe.get("num_memory_gb")}
            before = known.get(name, arguments.get(_SHORTCUTS.get(name, name), recipe.get(name)))
            yield name, before, after


def differences(changes: Mapping[str, Sequence[Any]]) -> Markup:
    """Settings that are another: `{name: [before, now]}`."""
    lines = [
        tag("li", tag("code", name), " ", value(before), " → ", tag("strong", value(after)))
        for name, (before, after) in changes.items()
    ]
    return tag("ul", *lines, kind="tb-differences")


def value(found: Any) -> Markup:
    """A setting's value: short, and exact."""
    if isinstance(found, float):
        return Markup(f"{found:g}")
    if isinstance(found, list | dict):
        return text(json.dumps(found) if isinstance(found, dict) else ", ".join(map(str, found)))
    return text(found)
