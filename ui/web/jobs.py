"""Jobs: all of them, and one by its address (`/jobs?id=…`), which shows the same to every browser at any time."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

from tunebus.contracts.errors import TunebusError
from tunebus.ui.web.job import figures, head, listing, requests, tabs
from tunebus.ui.web.job.doing import actions
from tunebus.ui.web.job.figures import Measured
from tunebus.ui.web.job.names import EXPORT
from tunebus.ui.web.job.requests import find
from tunebus.ui.web.markup import Markup
from tunebus.ui.web.page import EVERYTHING, Arguments, Page, part
from tunebus.ui.web.studio import Document, Studio

NEWEST_STEPS = 60
"""So many last steps hold the newest point of every curve that is measured at each."""

MEMORY = ("gpu_memory_bytes", "rss_bytes")
"""Readings of the memory that matters, the first that there is."""

PARTS = ("jobs-head", "jobs-bulk", "jobs", "jobs-pages", "job", "actions", "figures", "tabs", "tab")


def build(studio: Studio, blocks: Any) -> None:
    for name in PARTS:
        part(name)


async def read(studio: Studio, arguments: Arguments) -> Mapping[str, Markup]:
    shown = dict.fromkeys(PARTS, Markup(""))
    if not arguments.get("id"):
        return {**shown, **await listing.read(studio, arguments)}
    job = await find(studio, arguments["id"][:200])
    measured = await _measured(studio, job)
    return {
        **shown,
        "job": head.head(job, await _made_from(studio, job)),
        "actions": actions(job),
        "figures": figures.tiles(job, measured),
        "tabs": tabs.nav(job, tabs.chosen(job, arguments)),
        "tab": await tabs.show(studio, job, measured, arguments),
    }


async def _made_from(studio: Studio, job: Document) -> str | None:
    """The name of the job that this one was made from, while that is there."""
    if not job.get("origin"):
        return None
    with contextlib.suppress(TunebusError):
        return str((await studio.ask("GetFineTuningJob", id=job["origin"]["job_id"]))["adapter_name"])
    return None


async def _measured(studio: Studio, job: Document) -> Measured:
    """The newest points and readings; nothing while telemetry cannot be read."""
    curves: dict[str, Any] = {}
    memory = None
    with contextlib.suppress(TunebusError):
        if job["kind"] != EXPORT:
            since = max(-1, ((job["progress"] or {}).get("step") or job["step"]) - NEWEST_STEPS)
            newest = await studio.ask("GetMetrics", job_id=job["id"], since_step=since)
            seldom = await studio.ask("GetMetrics", job_id=job["id"], names=list(figures.SELDOM))
            curves = {**newest["series"], **seldom["series"]}
        readings = await studio.ask("GetSystemMetrics", job_id=job["id"], names=list(MEMORY), points=2)
        memory = next((readings["series"][name]["values"][-1] for name in MEMORY if name in readings["series"]), None)
    return Measured(curves, memory if isinstance(memory, float) else None)


PAGE = Page("jobs", "jobs.title", build, read, EVERYTHING, {"rerun": head.rerun}, actions=requests.ACTIONS)
