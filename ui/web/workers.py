"""Workers: who takes jobs, what their machines offer, what they do now, and which waiting jobs none can take."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tunebus.contracts.identifiers import utc_now
from tunebus.projections.waiting import WORKERS, misfit
from tunebus.ui.web.job.names import job_link
from tunebus.ui.web.markup import Markup, ago, empty, icon, join, link, pairs, section, short_id, table, tag, text
from tunebus.ui.web.page import Arguments, Page, html, part
from tunebus.ui.web.studio import Document, Studio
from tunebus.ui.web.words import say

WAITING = 500  # of the jobs that wait, those next in line


def build(studio: Studio, blocks: Any) -> None:
    html(join([tag("h1", say("workers.title")), tag("p", say("workers.lead"), kind="tb-lead")]))
    part("workers")
    part("stuck")


async def read(studio: Studio, arguments: Arguments) -> Mapping[str, Markup]:
    workers = await studio.items("ListWorkers")
    queue = (await studio.ask("ListQueue", limit=WAITING))["items"]
    running = {job["id"]: job for job in queue}
    cards = [_worker(worker, running.get(worker["job_id"])) for worker in workers]
    shown = tag("div", *cards, kind="tb-cards") if cards else _nobody()
    stuck = section(say("workers.stuck.title"), _stuck(unfitting(queue, workers)))
    return {"workers": shown, "stuck": stuck}


def unfitting(jobs: Iterable[Document], workers: Sequence[Document]) -> list[tuple[Document, str]]:
    """The waiting jobs that no worker here can ever take, each with why."""
    found = []
    for job in jobs:
        if job["state"] not in ("queued", "interrupted"):
            continue
        able = [worker for worker in workers if WORKERS.get(worker["kind"]) == WORKERS[job["kind"]]]
        reasons = [misfit(job, worker["capabilities"]) for worker in able]
        if all(reasons):
            found.append((job, "; ".join(sorted({one for one in reasons if one})) or say("workers.stuck.nobody")))
    return found


def _nobody() -> Markup:
    command = say("workers.start")
    copy = tag("button", icon("copy"), say("workers.copy"), type="button", kind="tb-button", data_copy=command)
    words = tag("p", say("workers.none"))
    return tag(
        "div", words, tag("p", say("workers.none_hint")), tag("p", tag("code", command), " ", copy), kind="tb-empty"
    )


def _worker(worker: Document, job: Document | None) -> Markup:
    offers, load = worker["capabilities"], worker.get("load")
    now = utc_now()
    gpus = [device["name"] for device in offers.get("devices") or ()] or list(offers.get("gpus") or ())
    doing: object = say("workers.idle")
    if job is not None:
        doing = job_link(job)
    elif worker["job_id"]:
        doing = link(short_id(worker["job_id"]), "/jobs", id=worker["job_id"])
    facts = [
        (say("workers.job"), doing),
        (say("workers.host"), worker["host"]),
        (say("workers.processors"), offers["cpus"]),
        (say("workers.memory"), f"{offers['memory_gb']:.1f} GiB"),
        (say("workers.gpus"), join([tag("div", name) for name in gpus]) if gpus else say("workers.no_gpus")),
        (say("workers.load"), _load(offers, load) if load else say("workers.no_load")),
        (say("workers.seen"), ago(worker["last_seen"], now)),
        (say("workers.since"), ago(worker["first_seen"], now)),
    ]
    head = tag(
        "div",
        tag("h2", say(f"workers.kind.{worker['kind']}")),
        tag("code", worker["worker_id"], kind="tb-small"),
        kind="tb-card-head",
    )
    return tag("article", head, pairs(facts), kind="tb-card tb-worker", data_key=worker["worker_id"])


def _load(offers: Document, load: Document) -> Markup:
    """Bars with their words: of the machine, then of each GPU."""
    bars = [
        _bar(say("workers.processors_busy", percent=round(load["cpu_percent"])), load["cpu_percent"]),
        _bar(say("workers.memory_used", percent=round(load["memory_percent"])), load["memory_percent"]),
    ]
    devices = {device["id"]: device for device in offers.get("devices") or ()}
    for gpu in load.get("gpus") or ():
        device = devices.get(gpu["id"], {})
        name = device.get("name") or gpu["id"]
        if gpu.get("percent") is not None:
            bars.append(_bar(say("workers.gpu_busy", name=name, percent=round(gpu["percent"])), gpu["percent"]))
        total = device.get("memory_gb")
        if gpu.get("memory_gb") is not None and total:
            used = gpu["memory_gb"]
            words = say("workers.gpu_memory", name=name, used=f"{used:.1f}", total=f"{total:.0f}")
            bars.append(_bar(words, 100 * used / total))
    return join(bars)


def _bar(words: str, percent: float) -> Markup:
    share = min(100.0, max(0.0, percent))
    fill = tag("div", kind="tb-bar-fill", style=f"width:{share:.0f}%")
    meter = {"role": "meter", "aria_valuenow": f"{share:.0f}", "aria_valuemin": "0", "aria_valuemax": "100"}
    return tag("div", tag("span", words), tag("div", fill, kind="tb-bar", aria_label=words, **meter), kind="tb-load")


def _stuck(found: Sequence[tuple[Document, str]]) -> Markup:
    if not found:
        return empty(say("workers.stuck.none"))
    heads = [say(f"workers.stuck.{name}") for name in ("job", "kind", "reason")]
    rows = [(job_link(job), say(f"workers.job_kind.{job['kind']}"), text(reason)) for job, reason in found]
    return table(heads, rows, kind="tb-stack")


PAGE = Page("workers", "workers.title", build, read, watches=frozenset({"ledger", "workers"}), group="studio")
