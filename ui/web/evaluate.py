"""Evaluate: adapters beside their base on held-out rows. One comparison has an address, `/evaluate?id=…`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import gradio as gr
from tunebus.contracts.errors import Code, TunebusError, fail
from tunebus.contracts.identifiers import utc_now
from tunebus.ui.web.comparison import METRICS, Metric, base_first, baseline_of, start_against_base
from tunebus.ui.web.markup import (
    Markup,
    ago,
    badge,
    banner,
    empty,
    job_name,
    join,
    link,
    progress,
    reason,
    section,
    table,
    tag,
    text,
)
from tunebus.ui.web.page import Arguments, Page, Pressed, at_load, html, part, press
from tunebus.ui.web.studio import Document, Studio

ROWS, MOST_ROWS = 10, 200
_AS_TRAINED = ""


def build(studio: Studio, blocks: Any) -> None:
    part("comparison")
    part("answers")
    with gr.Column(elem_classes="tb-compare-form"):
        html(
            join(
                [
                    tag("h1", "Evaluate"),
                    tag("p", "Score adapters and their base on rows that were held out.", kind="tb-lead"),
                ]
            )
        )
        notice = html(elem_id="tb-notice")
        with gr.Column(elem_classes="tb-panel"):
            with gr.Row():
                adapters = gr.Dropdown([], label="Adapters", multiselect=True, elem_id="tb-adapters", min_width=260)
                dataset = gr.Dropdown([], label="Dataset", elem_id="tb-eval-dataset", min_width=220)
                rows = gr.Textbox(
                    label="Rows at most",
                    placeholder="all held-out rows",
                    elem_id="tb-max-rows",
                    min_width=150,
                    max_lines=1,
                )
            start = gr.Button("Compare with the base", variant="primary", elem_id="tb-evaluate")
    part("comparisons")

    async def fill(arguments: Arguments) -> Sequence[Any]:
        known = list(reversed(await studio.items("ListAdapters")))
        wanted = [one["id"] for one in known if arguments.get("adapter") in (one["id"], one["name"])]
        newest = [known[0]["id"]] if known else []
        as_trained = ("What each adapter was trained on", _AS_TRAINED)
        sets = [as_trained, *((one["name"], one["id"]) for one in await studio.items("ListDatasets"))]
        return [
            gr.update(choices=[(one["name"], one["id"]) for one in known], value=wanted or newest),
            gr.update(choices=sets, value=_AS_TRAINED),
        ]

    async def starts(arguments: Arguments, chosen: Sequence[str], dataset_id: str, most: str) -> Pressed:
        options = {"max_rows": _whole(most)} if (most or "").strip() else {}
        parent = await start_against_base(studio, chosen, dataset_id=dataset_id or None, options=options)
        return Pressed(goto=f"/evaluate?id={parent}")

    at_load(blocks, fill, [adapters, dataset])
    press(start, starts, notice=notice, inputs=[adapters, dataset, rows])


async def read(studio: Studio, arguments: Arguments) -> Mapping[str, Markup]:
    wanted = arguments.get("id", "")[:200]
    shown = {"comparisons": _list(await studio.items("ListEvaluationJobs"), wanted)}
    if not wanted:
        return shown
    jobs = base_first(await studio.items("ListEvaluationJobs", parent_id=wanted))
    if not jobs:
        raise fail(Code.NOT_FOUND, f"no evaluation {wanted!r}", hint="the list below shows which there are")
    shown["comparison"] = _side_by_side(jobs)
    try:
        shown["answers"] = await _answers(studio, jobs, _rows_wanted(arguments))
    except TunebusError as error:
        shown["answers"] = banner(f"The answers cannot be read: {error.problem.message}")
    return shown


def _side_by_side(jobs: Sequence[Document]) -> Markup:
    first = jobs[0]
    title = tag(
        "p",
        link("Evaluate", "/evaluate"),
        " / ",
        link(first["dataset_name"], "/datasets", id=first["dataset_id"]) if first["dataset_id"] else "typed prompts",
        kind="tb-small",
    )
    heads = ["", *(job_name(job) for job in jobs)]
    rows: list[list[object]] = [["State", *(_state(job) for job in jobs)]]
    for metric in METRICS:
        if any(metric.name in job["metrics"] for job in jobs):
            rows.append([metric.label, *(_figure(metric, job, jobs) for job in jobs)])
    majority = next((m for job in jobs if (m := job["metrics"].get("majority_exact_match")) is not None), None)
    scored = next((m for job in jobs if (m := job["metrics"].get("rows"))), None)
    warnings = dict.fromkeys(words for job in jobs for words in job["warnings"])
    return join(
        [
            title,
            tag("h1", "Side by side"),
            join(banner(words) for words in warnings),
            table(heads, rows, kind="tb-compare"),
            _note(scored, majority),
            _bars(jobs),
        ]
    )


def _note(scored: float | None, majority: float | None) -> Markup:
    words = []
    if scored:
        words.append(f"{scored:.0f} held-out rows.")
    if majority is not None:
        words.append(f"Always giving the most frequent answer would match {100 * majority:.1f} % of them.")
    return tag("p", " ".join(words), kind="tb-small") if words else Markup("")


def _state(job: Document) -> Markup:
    parts = [link(badge(job["state"]), "/jobs", id=job["id"])]
    if job["state"] not in ("succeeded", "stopped", "failed"):
        parts.append(progress(job))
    if words := reason(job):
        parts.append(tag("div", words, kind="tb-small"))
    return join(parts)


def _figure(metric: Metric, job: Document, jobs: Sequence[Document]) -> Markup:
    value = job["metrics"].get(metric.name)
    shown = tag("span", metric.show(value), kind="tb-figure")
    base = baseline_of(job, jobs)
    before = base["metrics"].get(metric.name) if base else None
    if not isinstance(value, int | float) or not isinstance(before, int | float):
        return shown
    change = value - before
    kind = "" if change == 0 else "tb-gain" if metric.is_gain(change) else "tb-loss"
    return join([shown, tag("span", metric.show_change(change), kind=f"tb-delta {kind}")])


def _bars(jobs: Sequence[Document]) -> Markup:
    """A group of bars a metric; each group has its own scale, since losses and shares do not compare."""
    groups = []
    for metric in METRICS:
        values = [(job, job["metrics"].get(metric.name)) for job in jobs]
        known = [(job, float(value)) for job, value in values if isinstance(value, int | float)]
        if len(known) < 2:
            continue
        top = 1.0 if metric.share else max(value for _, value in known) or 1.0
        bars = [
            tag(
                "div",
                tag("span", job_name(job), kind="tb-bar-name"),
                tag(
                    "div",
                    tag(
                        "div",
                        kind=f"tb-bar-fill tb-bar-{'adapter' if job['adapter_id'] else 'base'}",
                        style=f"width:{100 * value / top:.1f}%",
                    ),
                    kind="tb-bar",
                ),
                tag("span", metric.show(value), kind="tb-bar-value"),
                kind="tb-bar-row",
            )
            for job, value in known
        ]
        better = "higher is better" if metric.higher_is_better else "lower is better"
        groups.append(
            tag(
                "figure",
                tag("figcaption", metric.label, " ", tag("span", better, kind="tb-small")),
                *bars,
                kind="tb-bars",
            )
        )
    return tag("div", *groups, kind="tb-bar-groups") if groups else Markup("")


async def _answers(studio: Studio, jobs: Sequence[Document], rows: int) -> Markup:
    """The same held-out rows, answered by each."""
    done = [job for job in jobs if job["state"] == "succeeded"]
    if not done:
        return Markup("")
    found = [(await studio.over_bus("GetEvaluationRows", job_id=job["id"], limit=rows)) for job in done]
    by_row = [{row["index"]: row for row in page["items"]} for page in found]
    known: dict[int, Document] = {}
    for answers in by_row:
        known = {**answers, **known}
    lines = [
        [
            tag("div", row["prompt"], kind="tb-clip"),
            row.get("reference"),
            *(_answer(answers.get(number)) for answers in by_row),
        ]
        for number, row in sorted(known.items())
    ]
    heads = ["Question", "Expected", *(job_name(job) for job in done)]
    more = Markup("")
    if rows < MOST_ROWS and any(page["next"] for page in found):
        more = tag(
            "p", link("Show more rows", "/evaluate", id=jobs[0]["parent_id"], rows=str(min(MOST_ROWS, 5 * rows)))
        )
    return section("Answers to the same held-out rows", table(heads, lines, kind="tb-wrap"), more)


def _answer(row: Document | None) -> Markup:
    if row is None:
        return text(None)
    right = row.get("exact_match")
    kind = "" if right is None else "tb-right" if right else "tb-wrong"
    return tag("span", row["answer"], kind=kind)


def _list(jobs: Sequence[Document], current: str) -> Markup:
    parents: dict[str, list[Document]] = {}
    for job in reversed(jobs):
        parents.setdefault(job["parent_id"], []).append(job)
    if not parents:
        return empty("There are no evaluations yet. Train an adapter, then compare it with its base here.")
    now = utc_now()
    rows = []
    for parent, found in list(parents.items())[:50]:
        group = base_first(found)
        names = join([", ".join(job_name(job) for job in group)])
        states = join(badge(state) for state in dict.fromkeys(job["state"] for job in group))
        rows.append(
            (
                states,
                link(names, "/evaluate", id=parent),
                group[0]["dataset_name"] or "typed prompts",
                ago(group[0]["created_at"], now),
            )
        )
    return section(
        "Other comparisons" if current else "Comparisons",
        table(["State", "Compared", "Dataset", "When"], rows, kind="tb-stack"),
    )


def _rows_wanted(arguments: Arguments) -> int:
    given = arguments.get("rows", "")
    return (
        min(MOST_ROWS, int(given))
        if given.isascii() and given.isdigit() and 0 < len(given) < 6 and int(given)
        else ROWS
    )


def _whole(words: str) -> int:
    try:
        return int(words.strip())
    except ValueError:
        raise fail(Code.INVALID, f"must be a whole number, not {words.strip()[:40]!r}", param="max_rows") from None


PAGE = Page("evaluate", "evaluate.title", build, read, frozenset({"ledger", "telemetry"}))
