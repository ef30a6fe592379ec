"""Home: what runs, what waits and why, what failed and the way out, results and workers; an empty studio teaches."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from tunebus.contracts.errors import Code, TunebusError, fail
from tunebus.contracts.identifiers import utc_now
from tunebus.ui.web.acting import Asking, Done
from tunebus.ui.web.charting import sparkline
from tunebus.ui.web.job import progress
from tunebus.ui.web.job.names import FINE_TUNING, KINDS, WAITING, cause_name, job_link, kind_name, state_badge, subject
from tunebus.ui.web.markup import Markup, act, ago, empty, icon, join, link, section, table, tag
from tunebus.ui.web.page import EVERYTHING, Arguments, Page, part
from tunebus.ui.web.studio import Document, Studio
from tunebus.ui.web.words import phrase, say

PARTS = ("welcome", "counts", "running", "waiting", "failed", "recent", "home-workers")
MODEL, DATASET, PROMPT = "starter", "starter-questions", "starter-prompt"
SHOWN = 5
CURVE_POINTS = 40
COUNTED = ("datasets", "models", "adapters")
JOB_COUNTS = tuple(f"{kind}s" for kind in KINDS)


def build(studio: Studio, blocks: Any) -> None:
    for name in PARTS:
        part(name)


async def start_starter(asking: Asking) -> Done:
    """Queue a fine-tune of what ships with Tunebus. Errors: `unavailable` before it is loaded."""
    studio = asking.studio
    if not await _has_starter(studio):
        raise fail(
            Code.UNAVAILABLE,
            "the starter model and its questions are not there",
            hint="they load within seconds of a start, unless TUNEBUS_LOAD_DEFAULTS is off",
        )
    try:
        await studio.ask("GetPrompt", id=PROMPT)
    except TunebusError:
        templates = {
            "prompt_template": "{input}\n{completion}",
            "input_template": "{question}",
            "completion_template": "{answer}",
        }
        await asking.send("AddPrompt", {"name": PROMPT, "dataset_id": DATASET, **templates})
    job = {"base_model_id": MODEL, "dataset_id": DATASET, "prompt_id": PROMPT, **studio.recommended()}
    outcome = await asking.send("StartFineTuningJob", job)
    return Done(id=outcome.id, goto=f"/jobs?id={outcome.id}")


async def read(studio: Studio, arguments: Arguments) -> Mapping[str, Markup]:
    overview, workers, starter = await asyncio.gather(
        studio.ask("GetOverview"), studio.items("ListWorkers"), _has_starter(studio)
    )
    counts, running = overview["counts"], overview["running"]
    used = any(counts[kind] for kind in JOB_COUNTS)
    curves = await asyncio.gather(*(_curve(studio, job) for job in running))
    waiting, failed = overview["waiting"], overview["failed"]
    recent = [job for job in overview["recent"] if job["state"] != "failed"]
    return {
        "welcome": _head(starter) if used else _lesson(starter, counts),
        "counts": _counts(counts) if used else Markup(""),
        "running": _running(running, curves) if used else Markup(""),
        "waiting": _waiting(waiting, sum(counts[kind].get(state, 0) for kind in JOB_COUNTS for state in WAITING)),
        "failed": _failed(failed),
        "recent": _recent(recent),
        "home-workers": _workers(workers, {job["id"]: job for job in running}),
    }


async def _has_starter(studio: Studio) -> bool:
    try:
        await asyncio.gather(studio.ask("GetModel", id=MODEL), studio.ask("GetDataset", id=DATASET))
    except TunebusError as error:
        if error.problem.code != Code.NOT_FOUND:
            raise
        return False
    return True


async def _curve(studio: Studio, job: Document) -> Markup:
    """The training loss of a running job, small; nothing while there is none."""
    if job["kind"] != FINE_TUNING:
        return Markup("")
    try:
        found = await studio.ask("GetMetrics", job_id=job["id"], names=["loss"], points=CURVE_POINTS)
    except TunebusError:
        return Markup("")  # telemetry that cannot be read takes nothing else away
    series = found["series"].get("loss")
    return sparkline(series["values"], say("home.loss")) if series else Markup("")


def _first(kind: str) -> Markup:
    return act(say("home.first"), "start_starter", {}, kind=kind, id="tb-first")


def _head(starter: bool) -> Markup:
    """Of a studio in use: its name, and the ways to begin something."""
    train = tag("a", icon("train"), say("home.train"), href="/train", kind="tb-button tb-primary")
    ways = tag("div", train, _first("") if starter else "", kind="tb-actions")
    return tag("div", tag("h1", say("home.title")), ways, kind="tb-title-row tb-home-head")


def _lesson(starter: bool, counts: Document) -> Markup:
    """Of a studio in which nothing has run: three steps, and a button that goes all of them."""
    steps = [
        tag(
            "li",
            tag("span", icon(picture), kind="tb-picture"),
            tag("h2", tag("span", number, kind="tb-step-number"), say(f"home.step.{name}")),
            tag("p", say(f"home.step.{name}_help"), kind="tb-small"),
            link(say(f"home.step.{name}_link"), path),
        )
        for number, (name, picture, path) in enumerate(_STEPS, start=1)
    ]
    begin = [_first("tb-primary tb-large"), tag("p", say("home.first_help"), kind="tb-small")] if starter else []
    if not counts["models"]:
        begin.append(tag("p", phrase("home.no_model", link=link(say("home.add_model"), "/models"))))
    return tag(
        "div",
        tag("h1", say("home.welcome")),
        tag("p", say("home.lead"), kind="tb-lead"),
        tag("ol", *steps, kind="tb-lesson"),
        tag("div", *begin, kind="tb-begin"),
        kind="tb-hero",
    )


_STEPS = (("data", "datasets", "/datasets"), ("train", "train", "/train"), ("compare", "evaluate", "/evaluate"))


def _counts(counts: Document) -> Markup:
    jobs = sum(sum(counts[kind].values()) for kind in JOB_COUNTS)
    numbers = [*((name, counts[name], f"/{name}") for name in COUNTED), ("jobs", jobs, "/jobs")]
    tiles = [
        tag(
            "a",
            tag("span", f"{number:,}", kind="tb-number"),
            tag("span", say(f"listing.counted.{name}", count=number)),
            kind="tb-tile",
            href=path,
        )
        for name, number, path in numbers
    ]
    return tag("div", *tiles, kind="tb-tiles")


def _running(jobs: Sequence[Document], curves: Sequence[Markup]) -> Markup:
    title = say("home.running")
    if not jobs:
        return section(title, empty(say("home.idle")))
    cards = [_card(job, curve) for job, curve in zip(jobs, curves, strict=True)]
    return section(title, tag("div", *cards, kind="tb-cards"))


def _card(job: Document, curve: Markup) -> Markup:
    return tag(
        "article",
        tag(
            "div", state_badge(job["state"]), tag("span", kind_name(job["kind"]), kind="tb-small"), kind="tb-card-head"
        ),
        tag("div", tag("h3", job_link(job)), curve, kind="tb-card-line"),
        tag("p", subject(job), kind="tb-small"),
        progress.bar(job),
        kind="tb-card",
        data_key=job["id"],
    )


def _waiting(jobs: Sequence[Document], all_of_them: int) -> Markup:
    if not jobs:
        return Markup("")
    heads = [say(f"home.head.{name}") for name in ("job", "kind", "state", "why")]
    rows = [
        (job_link(job), kind_name(job["kind"]), state_badge(job["state"]), progress.outcome(job))
        for job in jobs[:SHOWN]
    ]
    return _listed("waiting", heads, rows, all_of_them, "/jobs?view=queue")


def _failed(jobs: Sequence[Document]) -> Markup:
    """The newest failures, each with what happened and a button for what it suggests."""
    if not jobs:
        return Markup("")
    now = utc_now()
    rows = [
        (
            join([job_link(job), tag("div", ago(job["finished_at"], now), kind="tb-small")]),
            tag("span", cause_name(job["cause"]), kind="tb-cause-name"),
            join([tag("span", job["message"] or ""), tag("div", job["hint"], kind="tb-small") if job["hint"] else ""]),
            _again(job),
        )
        for job in jobs[:SHOWN]
    ]
    heads = [say(f"home.head.{name}") for name in ("job", "cause", "what", "way_out")]
    return _listed("failed", heads, rows, len(jobs), "/jobs?state=failed")


def _again(job: Document) -> Markup:
    same = {"id": job["id"]}
    if job["kind"] != FINE_TUNING:
        return link(say("home.look"), "/jobs", id=job["id"])
    if job["suggestion"]:
        changes = ", ".join(f"{name} {value}" for name, value in _flat(job["suggestion"]))
        return act(say("home.retry_with", changes=changes), "retry_suggested", same, kind="tb-primary")
    change = link(say("home.change"), "/train", clone=job["id"])
    return tag(
        "div", act(say("home.retry"), "RetryFineTuningJob", same, done=say("home.again")), change, kind="tb-actions"
    )


def _flat(changes: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return [
        pair
        for name, value in changes.items()
        for pair in (list(value.items()) if isinstance(value, Mapping) else [(name, value)])
    ]


def _recent(jobs: Sequence[Document]) -> Markup:
    if not jobs:
        return Markup("")
    now = utc_now()
    rows = [
        (
            job_link(job),
            kind_name(job["kind"]),
            state_badge(job["state"]),
            progress.outcome(job),
            ago(job["finished_at"], now),
        )
        for job in jobs[:SHOWN]
    ]
    heads = [say(f"home.head.{name}") for name in ("job", "kind", "state", "result", "when")]
    return _listed("recent", heads, rows, len(jobs), "/jobs?state=ended")


def _listed(name: str, heads: Sequence[str], rows: Sequence[Sequence[object]], count: int, path: str) -> Markup:
    """A part of the page: its few newest, and the way to all where there are more."""
    more = tag("p", tag("a", say("home.all"), href=path), kind="tb-small") if count > len(rows) else ""
    return section(say(f"home.{name}"), table(heads, rows, kind="tb-stack"), more)


def _workers(workers: Sequence[Document], running: Mapping[str, Document]) -> Markup:
    title = say("home.workers")
    if not workers:
        return section(title, empty(say("home.no_workers")))
    heads = [say(f"home.head.{name}") for name in ("worker", "doing", "gpus", "load")]
    rows = [
        (
            join([tag("strong", say(f"workers.kind.{one['kind']}")), tag("div", one["host"], kind="tb-small")]),
            _doing(one, running),
            _gpus(one["capabilities"]),
            _load(one.get("load")),
        )
        for one in workers
    ]
    return section(title, table(heads, rows, kind="tb-stack"))


def _doing(worker: Document, running: Mapping[str, Document]) -> object:
    job = running.get(worker["job_id"] or "")
    if job is not None:
        return job_link(job)
    return link(say("home.busy"), "/jobs", id=worker["job_id"]) if worker["job_id"] else say("home.free")


def _gpus(capabilities: Document) -> str:
    names = [device["name"] for device in capabilities.get("devices") or ()] or capabilities.get("gpus") or ()
    if names:
        return ", ".join(names)
    return say("home.cpus", count=capabilities.get("cpus", 0), memory=f"{capabilities.get('memory_gb', 0):.0f}")


def _load(load: Document | None) -> str:
    if not load:
        return say("home.no_load")
    found = [say("home.load", cpu=round(load["cpu_percent"]), memory=round(load["memory_percent"]))]
    busy = [gpu["percent"] for gpu in load.get("gpus") or () if gpu.get("percent") is not None]
    if busy:
        found.append(say("home.gpu_load", percent=round(sum(busy) / len(busy))))
    return ", ".join(found)


PAGE = Page("", "home.title", build, read, EVERYTHING, actions={"start_starter": start_starter})
