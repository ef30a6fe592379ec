"""Jobs: all of them, and one by its address (`/jobs?id=…`), which shows the same to every browser at any time."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from tunebus.contracts.errors import Code, TunebusError, fail
from tunebus.contracts.identifiers import utc_now
from tunebus.ui.web.acting import Asking, Done
from tunebus.ui.web.chart import Series, line_chart
from tunebus.ui.web.comparison import start_against_base
from tunebus.ui.web.home import result_of
from tunebus.ui.web.markup import (
    ACTIVE,
    Markup,
    act,
    ago,
    badge,
    banner,
    bytes_text,
    duration,
    empty,
    job_link,
    job_name,
    join,
    link,
    moment,
    pairs,
    progress,
    reason,
    section,
    table,
    tag,
    text,
)
from tunebus.ui.web.page import Arguments, Page, part
from tunebus.ui.web.studio import Document, Studio
from tunebus.ui.web.timeline import happened

ENDED = ("stopped", "succeeded", "failed")
TAIL_CHARACTERS = 16_000
LOG_BYTES = 200_000
_STOPS = {
    "fine_tuning_job": "StopFineTuningJob",
    "evaluation_job": "StopEvaluationJob",
    "export_job": "StopExportJob",
}
_KINDS = {"fine_tuning_job": "Fine-tune", "evaluation_job": "Evaluation", "export_job": "Export"}


def build(studio: Studio, blocks: Any) -> None:
    for name in ("jobs", "job", "actions", "loss", "rate", "timeline", "log", "settings"):
        part(name)


async def compare(asking: Asking) -> Done:
    """Queue an evaluation of a job's adapter beside its base. Errors: `wrong_state` before there is one."""
    job = await find(asking.studio, str(asking.data.get("id", ""))[:200])
    if not job.get("adapter_id"):
        raise fail(Code.WRONG_STATE, "this job has made no adapter")
    parent = await start_against_base(asking.studio, [job["adapter_id"]])
    return Done(id=parent, goto=f"/evaluate?id={parent}")


async def find(studio: Studio, reference: str) -> Document:
    """A job of any kind. Errors: `not_found`."""
    try:
        return await studio.ask("GetFineTuningJob", id=reference)
    except TunebusError as error:
        if error.problem.code != Code.NOT_FOUND:
            raise
        for query in ("GetEvaluationJob", "GetExportJob"):
            with contextlib.suppress(TunebusError):
                return await studio.ask(query, id=reference)
        raise error from None


async def read(studio: Studio, arguments: Arguments) -> Mapping[str, Markup]:
    if not arguments.get("id"):
        return {"jobs": await _all(studio)}
    job = await find(studio, _id(arguments))
    events = await studio.items("ListEvents", entity_id=job["id"], aggregate=job["kind"])
    shown = {"job": _head(job), "actions": _actions(job), "settings": _settings(job), "timeline": _timeline(events)}
    try:
        if job["kind"] == "fine_tuning_job":
            curves = await studio.ask("GetMetrics", job_id=job["id"], names=["loss", "eval_loss", "learning_rate"])
            shown |= _charts(job, curves["series"])
        shown["log"] = _log(await _tail(studio, job), job)
    except TunebusError as error:
        if error.problem.code != Code.UNAVAILABLE:
            raise
        shown["log"] = empty("The log cannot be read: is the projector running?")
    return shown


def _actions(job: Document) -> Markup:
    parts: list[object] = []
    if job["state"] not in ENDED and job["stop"] != "force":
        stops, same = _STOPS[job["kind"]], {"id": job["id"]}
        force = {"force": True} if job["kind"] != "evaluation_job" else {}
        later = "It stops after the step it is at, with a checkpoint."
        choices = tag(
            "div",
            act("Stop gracefully", stops, same, kind="tb-primary", done=later, id="tb-stop-gracefully"),
            act("Stop now", stops, same | force, kind="tb-danger", done="Stopping now.", id="tb-stop-now"),
            tag("button", "Keep it running", id="tb-keep", kind="tb-button", type="button", data_close=""),
            kind="tb-actions",
        )
        words = tag("div", _stop_words(job), id="tb-stop-words")
        parts += [
            tag("button", "Stop…", type="button", kind="tb-button", id="tb-stop", data_dialog="tb-stopping"),
            tag("dialog", words, choices, id="tb-stopping", kind="tb-dialog"),
        ]
    if job["kind"] == "fine_tuning_job" and job.get("adapter_id"):
        asks = act(
            "Evaluate against its base", "compare_with_base", {"id": job["id"]}, kind="tb-primary", id="tb-compare"
        )
        parts.append(asks)
    return tag("div", *parts, kind="tb-actions") if parts else Markup("")


async def _all(studio: Studio) -> Markup:
    jobs = [*await studio.items("ListFineTuningJobs"), *await studio.items("ListEvaluationJobs")]
    if not jobs:
        words = tag(
            "p", "There are no jobs yet. ", link("Train a model", "/train"), " to see it here.", kind="tb-empty"
        )
        return join([tag("h1", "Jobs"), words])
    jobs.sort(key=lambda job: job["created_at"], reverse=True)
    now = utc_now()
    rows = [
        (
            badge(job["state"]),
            join([job_link(job), tag("div", f"{job['base_model_name']} on {job['dataset_name']}", kind="tb-small")]),
            _KINDS[job["kind"]],
            progress(job) if job["state"] in ACTIVE else reason(job) or result_of(job),
            ago(job["created_at"], now),
        )
        for job in jobs
    ]
    return join(
        [tag("h1", "Jobs"), table(["State", "Job", "Kind", "Progress or result", "Asked for"], rows, kind="tb-stack")]
    )


def _head(job: Document) -> Markup:
    parts: list[object] = [
        tag("p", link("Jobs", "/jobs"), " / ", _KINDS[job["kind"]], kind="tb-small"),
        tag("div", tag("h1", job_name(job)), badge(job["state"]), kind="tb-title-row"),
        tag(
            "p",
            job["base_model_name"],
            " on ",
            link(job["dataset_name"], "/datasets", id=job["dataset_id"]),
            f" · attempt {job['attempt']}" if job["attempt"] > 1 else "",
            kind="tb-lead",
        ),
    ]
    if job["state"] == "failed":
        cause = tag("strong", str(job["cause"]).replace("_", " ").capitalize(), ": ", job["message"])
        parts.append(banner(join([cause, tag("div", job["hint"]) if job["hint"] else Markup("")]), "error"))
    elif job["waiting_reason"]:
        parts.append(banner(job["waiting_reason"].capitalize() + ".", "info"))
    parts += [banner(words) for words in job["warnings"]]
    parts += [progress(job), _figures(job)]
    if job["state"] == "succeeded" and job["kind"] == "evaluation_job":
        parts.append(tag("p", link("See it side by side", "/evaluate", id=job["parent_id"])))
    return tag("div", *parts, kind="tb-job-head")


def _figures(job: Document) -> Markup:
    metrics = job["metrics"]
    found = [
        ("Held-out loss", _change(metrics.get("eval_loss_before"), metrics.get("eval_loss"))),
        ("Training loss", text(metrics["loss"]) if metrics.get("loss") is not None else None),
        ("Exact match", f"{100 * metrics['exact_match']:.1f} %" if metrics.get("exact_match") is not None else None),
        ("Took", duration(_seconds(job["started_at"], job["finished_at"])) if job["finished_at"] else None),
        ("Peak memory", bytes_text(int(metrics["peak_memory_bytes"])) if metrics.get("peak_memory_bytes") else None),
        (
            "Adapter",
            link(job["adapter_name"], "/evaluate", adapter=job["adapter_id"]) if job.get("adapter_id") else None,
        ),
    ]
    tiles = [
        tag(
            "div",
            tag("span", name, kind="tb-small"),
            tag("span", value, kind="tb-figure"),
            kind="tb-fact tb-wide" if name == "Adapter" else "tb-fact",
        )
        for name, value in found
        if value is not None
    ]
    return tag("div", *tiles, kind="tb-facts") if tiles else Markup("")


def _change(before: float | None, after: float | None) -> Markup | None:
    if after is None:
        return None
    return text(after) if before is None else join([text(before), Markup(" → "), text(after)])


def _seconds(begin: str | None, end: str | None) -> float | None:
    if not begin or not end:
        return None
    return (datetime.fromisoformat(end) - datetime.fromisoformat(begin)).total_seconds()


def _charts(job: Document, series: Mapping[str, Document]) -> dict[str, Markup]:
    def line(name: str, label: str, *, dots: bool = False) -> list[Series]:
        found = series.get(name)
        return [Series(label, found["steps"], found["values"], dots=dots)] if found else []

    last = job["total_steps"]
    resumed = {
        attempt["resumed_from_step"]: f"attempt {attempt['attempt']} resumed"
        for attempt in job["attempts_made"]
        if attempt["resumed_from_step"]
    }
    loss = line("loss", "training") + line("eval_loss", "held out", dots=True)
    return {
        "loss": line_chart("Loss", loss, last_step=last, marks=resumed),
        "rate": line_chart("Learning rate", line("learning_rate", "learning rate"), last_step=last, marks=resumed),
    }


async def _tail(studio: Studio, job: Document) -> str:
    """The last part of the newest attempt's output."""
    offset, tail = 0, ""
    while job["attempt"]:
        found = await studio.ask("GetLog", job_id=job["id"], attempt=job["attempt"], offset=offset, limit=LOG_BYTES)
        tail = (tail + found["text"])[-TAIL_CHARACTERS:]
        offset = found["next_offset"]
        if len(found["text"].encode()) < LOG_BYTES // 2:
            break
    return tail


def _log(tail: str, job: Document) -> Markup:
    lines = [line.rsplit("\r", 1)[-1] for line in tail.replace("\r\n", "\n").split("\n")]
    shown = "\n".join(lines).strip("\n")
    if not shown:
        return section(
            "Log", empty("Nothing was printed yet." if job["state"] not in ENDED else "Nothing was printed.")
        )
    return section("Log", tag("pre", shown, kind="tb-log", tabindex="0", role="log", aria_label="the end of the log"))


def _timeline(events: Sequence[Document]) -> Markup:
    rows = [
        tag(
            "li",
            tag(
                "time",
                event["recorded_at"][11:19],
                datetime=event["recorded_at"],
                title=str(moment(event["recorded_at"])),
            ),
            tag("div", tag("strong", event["type"]), tag("span", happened(event["type"], event["data"]))),
        )
        for event in events
    ]
    return section("What happened", tag("ol", *rows, kind="tb-timeline"))


def _settings(job: Document) -> Markup:
    """Every resolved setting with where it came from, and what the attempt really ran with."""
    recipe = job["recipe"]
    sources = recipe.get("sources", {})
    resolved = (job["attempts_made"] or [{}])[-1].get("resolved") or {}
    ran = {**resolved, **(resolved.get("lora") or {})}
    asked = {**recipe.get("training_arguments", {}), **recipe.get("lora", {}), **(recipe.get("generation") or {})}
    if "text_format" in recipe:
        asked["text_format"] = recipe["text_format"]
    rows = [
        (tag("code", name), _value(ran.get(name, value), value), sources.get(name, "default"))
        for name, value in sorted(asked.items(), key=lambda one: (sources.get(one[0], "default") == "default", one[0]))
    ]
    versions = (job["attempts_made"] or [{}])[-1].get("versions") or {}
    body: list[object] = [table(["Setting", "Value", "From"], rows)]
    if versions:
        body += [tag("h3", "Versions"), pairs(sorted(versions.items()))]
    facts = pairs([("Job", tag("code", job["id"])), ("Seed", recipe.get("seed", asked.get("seed")))])
    return tag("details", tag("summary", "Settings, and where each came from"), facts, *body, kind="tb-section")


def _value(ran: Any, asked: Any) -> Markup:
    """A setting; one that was decided when the attempt started says so."""
    if asked is None and ran is not None:
        return join([text(ran), tag("span", " chosen at the start", kind="tb-small")])
    if isinstance(ran, float):
        return Markup(f"{ran:g}")
    return text(", ".join(map(str, ran)) if isinstance(ran, list) else ran)


def _stop_words(job: Document) -> Markup:
    if job["kind"] == "evaluation_job":
        return tag("p", "Stop this evaluation? Its rows so far are discarded.")
    if job["kind"] == "export_job":
        return tag("p", "Stop this export? Nothing of it stays at its destination.")
    lost = max(0, (job["progress"] or {}).get("step", 0) - (job["checkpoint_step"] or 0))
    return join(
        [
            tag("p", tag("strong", "Stop this job?")),
            tag(
                "p",
                "Gracefully: it finishes the step it is at and saves a checkpoint. ",
                f"Now: what came after its last checkpoint, {lost} steps, is lost.",
            ),
        ]
    )


def _id(arguments: Arguments) -> str:
    return arguments["id"][:200]


PAGE = Page(
    "jobs",
    "jobs.title",
    build,
    read,
    frozenset({"ledger", "telemetry", "workers"}),
    actions={"compare_with_base": compare},
)
