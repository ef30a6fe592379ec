"""What people call jobs, their kinds and states; a state is an icon and a word, so that no colour has to say it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from tunebus.ui.web.markup import Markup, icon, link, tag, text
from tunebus.ui.web.words import catalogue, phrase, say

FINE_TUNING, EVALUATION, EXPORT = KINDS = ("fine_tuning_job", "evaluation_job", "export_job")
ACTIVE = ("starting", "running", "stopping")
WAITING = ("queued", "held", "interrupted")
ENDED = ("stopped", "succeeded", "failed")
STATES = (*ACTIVE, *WAITING, *ENDED)
COMMANDS = {FINE_TUNING: "FineTuningJob", EVALUATION: "EvaluationJob", EXPORT: "ExportJob"}
"""What the commands and queries of a kind end in."""
_AS_JOBS = {"lost": "interrupted", "finished": "succeeded"}  # states of attempts that look as those of jobs


def state_badge(state: str) -> Markup:
    """The state of a job, or of one of its attempts."""
    shown = _AS_JOBS.get(state, state)
    return tag("span", icon(shown), say(f"jobs.state.{state}"), kind=f"tb-badge tb-{shown}")


def kind_name(kind: str) -> str:
    return say(f"jobs.kind.{kind}")


def cause_name(cause: str | None) -> str:
    """A cause as words; one that nobody has words for yet is shown as it is spelled."""
    key = f"jobs.cause.{cause}"
    return say(key) if key in catalogue() else str(cause or "").replace("_", " ")


def job_name(job: Mapping[str, Any]) -> str:
    """The adapter or model that it makes, or what it scores or exports."""
    if job["kind"] == FINE_TUNING:
        return str(job["adapter_name"])
    model = str(job.get("base_model_name") or job["base_model_id"])
    tuned = job.get("adapter_name") or job.get("fine_tuning_job_name")
    return f"{model} + {tuned}" if tuned else model


def is_tuned(job: Mapping[str, Any]) -> bool:
    """Whether an evaluation is of more than a bare model: of an adapter, or of what a training has still to make."""
    return bool(job["adapter_id"] or job.get("fine_tuning_job_id"))


def job_link(job: Mapping[str, Any]) -> Markup:
    return link(job_name(job), "/jobs", id=str(job["id"]))


def subject(job: Mapping[str, Any], *, linked: bool = False) -> Markup:
    """What it works with: a model on a dataset."""
    if job["kind"] == EXPORT:
        return text(say(f"jobs.export.{job['type']}"))
    model, dataset = (job.get(f"{part}_name") or job.get(f"{part}_id") for part in ("base_model", "dataset"))
    if linked:
        model = link(model, "/models", id=str(job["base_model_id"])) if model else None
        dataset = link(dataset, "/datasets", id=str(job["dataset_id"])) if dataset else None
    if model and dataset:
        return phrase("jobs.on", model=model, dataset=dataset)
    return text(model or dataset or (say("jobs.imported") if is_imported(job) else ""))


def sender(actor: str | None) -> str | None:
    """Who sent something; a worker that claims a job is named `worker …` in the record, and plainly by all it sends
    itself."""
    return actor and actor.removeprefix("worker ")


def is_imported(job: Mapping[str, Any]) -> bool:
    """Whether it ran elsewhere: only its curves are here."""
    return bool(job.get("imported"))


def sentence(words: object) -> str:
    """Words as a sentence of their own."""
    said = str(words or "").strip().rstrip(".")
    return f"{said[:1].upper()}{said[1:]}." if said else ""


def seconds_between(begin: str | None, end: str | None) -> float | None:
    if not begin or not end:
        return None
    return (datetime.fromisoformat(end) - datetime.fromisoformat(begin)).total_seconds()
