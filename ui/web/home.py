"""Home: what runs, what waits, what failed, and one button for a first fine-tune."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import gradio as gr
from tunebus.contracts.errors import Code, TunebusError, fail
from tunebus.contracts.identifiers import utc_now
from tunebus.ui.web.acting import Asking, Done
from tunebus.ui.web.markup import (
    Markup,
    ago,
    badge,
    empty,
    job_link,
    join,
    link,
    progress,
    reason,
    section,
    table,
    tag,
    text,
)
from tunebus.ui.web.page import EVERYTHING, Arguments, Page, html, part
from tunebus.ui.web.studio import Document, Studio

PARTS = ("counts", "running", "waiting", "failed", "recent")
MODEL, DATASET, PROMPT = "starter", "starter-questions", "starter-prompt"
_KINDS = {"fine_tuning_job": "Fine-tune", "evaluation_job": "Evaluation", "export_job": "Export"}


def build(studio: Studio, blocks: Any) -> None:
    with gr.Row(elem_classes="tb-hero", equal_height=True):
        with gr.Column(scale=3, min_width=280):
            html(
                join(
                    [
                        tag("h1", "Teach a model from your data"),
                        tag(
                            "p",
                            "Every run is kept, explained and resumable: close the browser, pull the plug, come back.",
                            kind="tb-lead",
                        ),
                    ]
                )
            )
        with gr.Column(scale=2, min_width=280):
            html(
                tag(
                    "button",
                    "Fine-tune the starter model",
                    type="button",
                    kind="tb-button tb-primary tb-large",
                    id="tb-first",
                    data_act="start_starter",
                )
            )
            html(
                tag(
                    "p",
                    "A small model and 2,000 questions ship with Tunebus; it takes a few minutes on a laptop. Or ",
                    link("train on your own data", "/train"),
                    ".",
                    kind="tb-small",
                )
            )
    for name in PARTS:
        part(name)


async def start_starter(asking: Asking) -> Done:
    """Queue a fine-tune of what ships with Tunebus. Errors: `unavailable` before it is loaded."""
    studio = asking.studio
    try:
        await studio.ask("GetModel", id=MODEL)
        await studio.ask("GetDataset", id=DATASET)
    except TunebusError as error:
        if error.problem.code != Code.NOT_FOUND:
            raise
        raise fail(
            Code.UNAVAILABLE,
            "the starter model and its questions are not there",
            hint="they load within seconds of a start, unless TUNEBUS_LOAD_DEFAULTS is off",
        ) from None
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
    overview = await studio.ask("GetOverview")
    counts = overview["counts"]
    jobs = sum(sum(counts[kind].values()) for kind in ("fine_tuning_jobs", "evaluation_jobs", "export_jobs"))
    return {
        "counts": _counts(counts, jobs),
        "running": _running(overview["running"], bool(jobs)),
        "waiting": _listed("Waits", overview["waiting"], "Why"),
        "failed": _failed(overview["failed"]),
        "recent": _recent([job for job in overview["recent"] if job["state"] != "failed"]),
    }


def _counts(counts: Document, jobs: int) -> Markup:
    numbers = [
        ("Datasets", counts["datasets"], "/datasets"),
        ("Models", counts["models"], "/train"),
        ("Adapters", counts["adapters"], "/evaluate"),
        ("Jobs", jobs, "/jobs"),
    ]
    tiles = [
        tag("a", tag("span", number, kind="tb-number"), tag("span", name), kind="tb-tile", href=path)
        for name, number, path in numbers
    ]
    return tag("div", *tiles, kind="tb-tiles")


def _running(jobs: Sequence[Document], any_job: bool) -> Markup:
    if not jobs:
        words = (
            "Nothing runs right now." if any_job else "Nothing has run yet. The button above starts a first fine-tune."
        )
        return section("Runs now", empty(words))
    return section("Runs now", tag("div", *(_card(job) for job in jobs), kind="tb-cards"))


def _card(job: Document) -> Markup:
    return tag(
        "article",
        tag("div", badge(job["state"]), tag("span", _KINDS[job["kind"]], kind="tb-small"), kind="tb-card-head"),
        tag("h3", job_link(job)),
        tag("p", f"{job.get('base_model_name')} on {job.get('dataset_name')}", kind="tb-small"),
        progress(job),
        kind="tb-card",
    )


def _listed(title: str, jobs: Sequence[Document], why: str) -> Markup:
    if not jobs:
        return Markup("")
    rows = [(badge(job["state"]), job_link(job), _KINDS[job["kind"]], reason(job)) for job in jobs]
    return section(title, table(["State", "Job", "Kind", why], rows, kind="tb-stack"))


def _failed(jobs: Sequence[Document]) -> Markup:
    if not jobs:
        return Markup("")
    now = utc_now()
    rows = [(job_link(job), job["cause"].replace("_", " "), reason(job), ago(job["finished_at"], now)) for job in jobs]
    return section("Failed", table(["Job", "Cause", "What happened", "When"], rows, kind="tb-stack"))


def _recent(jobs: Sequence[Document]) -> Markup:
    if not jobs:
        return Markup("")
    now = utc_now()
    rows = [
        (badge(job["state"]), job_link(job), _KINDS[job["kind"]], result_of(job), ago(job["finished_at"], now))
        for job in jobs[:10]
    ]
    return section("Recent results", table(["State", "Job", "Kind", "Result", "When"], rows, kind="tb-stack"))


def result_of(job: Document) -> Markup:
    """The few figures that say what a job came to."""
    metrics = job.get("metrics") or {}
    if job["state"] == "stopped":
        return text(f"at step {job['step']}" if job["step"] else "")
    if job["kind"] == "evaluation_job":
        wanted = (("loss", "loss"), ("exact_match", "exact match"))
    else:
        wanted = (("eval_loss_before", "held-out loss before"), ("eval_loss", "after"))
    words = [
        f"{name} {_figure(key, metrics[key])}" for key, name in wanted if isinstance(metrics.get(key), int | float)
    ]
    return text((" → " if job["kind"] == "fine_tuning_job" else ", ").join(words))


def _figure(name: str, value: float) -> str:
    return f"{100 * value:.0f} %" if name == "exact_match" else f"{value:.3g}"


PAGE = Page("", "home.title", build, read, EVERYTHING, actions={"start_starter": start_starter})
