"""Compare: two to ten fine-tunings side by side (`/compare?ids=a,b,…`), by ids or names."""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from starlette.responses import Response
from tunebus.contracts.identifiers import utc_now
from tunebus.ui.web import charting, runs
from tunebus.ui.web.charting import Line, chart, controls, metrics_of
from tunebus.ui.web.job.head import value
from tunebus.ui.web.job.names import job_link, state_badge, subject
from tunebus.ui.web.job.progress import figure, outcome
from tunebus.ui.web.markup import Markup, ago, banner, empty, join, section, table, tag, text
from tunebus.ui.web.page import Arguments, Page, html, part
from tunebus.ui.web.runs import MOST, Run
from tunebus.ui.web.studio import Document, Studio
from tunebus.ui.web.words import catalogue, say

LISTED = 20
ANSWERS = 10
_CURVES: Sequence[tuple[str, str, str]] = (
    ("loss", "loss", ""),
    ("eval_loss", "eval_loss", ""),
    ("token_accuracy", "token_accuracy", "share"),
    ("eval_token_accuracy", "eval_token_accuracy", "share"),
    ("learning_rate", "learning_rate", ""),
    ("grad_norm", "grad_norm", ""),
    ("tokens_per_second", "tokens_per_second", "rate"),
)
_NEEDED = ("loss", "eval_loss", "learning_rate")
"""Curves that are there even before they have a point."""


def build(studio: Studio, blocks: Any) -> None:
    html(tag("h1", say("compare.title")))
    for name in ("compare-runs", "compare-picker", "compare", "compare-answers"):
        part(name)


async def read(studio: Studio, arguments: Arguments) -> Mapping[str, Markup]:
    found = await runs.find(studio, runs.references(arguments))
    there = [run for run in found if run.job is not None]
    parts = {
        "compare-runs": _runs(found, arguments) if found else tag("p", say("compare.lead"), kind="tb-lead"),
        "compare-picker": await _picker(studio, found, arguments),
        "compare": Markup(""),
        "compare-answers": Markup(""),
    }
    if len(there) > 1:
        parts["compare"] = join([_charts(there), _figures(there), _settings(there)])
        parts["compare-answers"] = await _answers(studio, there)
    elif found:
        parts["compare"] = empty(say("compare.one_more"))
    return parts


def _address(ids: Sequence[str], **arguments: str) -> str:
    given = {"ids": ",".join(ids), **arguments}
    query = urlencode({name: found for name, found in given.items() if found}, safe=",")
    return f"/compare?{query}" if query else "/compare"


def _sign(number: int) -> Markup:
    return tag("i", kind="tb-sign", data_curve=str(number))


def _runs(found: Sequence[Run], arguments: Arguments) -> Markup:
    kept = [run.reference for run in found]
    search = arguments.get("search", "")[:200]
    rows: list[Sequence[object]] = []
    number = 0
    for run in found:
        rest = [one for one in kept if one != run.reference]
        remove = tag(
            "a",
            say("compare.remove"),
            href=_address(rest, search=search),
            kind="tb-button tb-quiet",
            data_partial="",
            aria_label=say("compare.remove_of", name=run.label),
        )
        if run.job is None:
            assert run.problem is not None
            rows.append(("", run.label, banner(run.problem.message, "warning"), "", remove))
            continue
        name = tag("a", run.label, href=f"/jobs?{urlencode({'id': run.job['id']})}")
        rows.append((_sign(number), join([name, tag("div", subject(run.job), kind="tb-small")]),
                     state_badge(run.job["state"]), outcome(run.job), remove))  # fmt: skip
        number += 1
    heads = ["", *(say(f"compare.head.{name}") for name in ("run", "state", "result")), ""]
    tools = tag(
        "div",
        tag(
            "a",
            say("compare.csv"),
            href=f"/download/compare?{urlencode({'ids': ','.join(kept)}, safe=',')}",
            kind="tb-button",
            download="",
        ),
        kind="tb-actions",
    )
    return join([table(heads, rows, kind="tb-compare-runs"), tools if number > 1 else Markup("")])


async def _picker(studio: Studio, found: Sequence[Run], arguments: Arguments) -> Markup:
    """The newest fine-tunings, each with a link that adds it; a search finds others."""
    if len(found) >= MOST:
        return tag("p", say("compare.full", most=MOST), kind="tb-small")
    search = arguments.get("search", "")[:200]
    kept = [run.reference for run in found]
    there = {run.job["id"] for run in found if run.job}
    listed = await studio.ask("ListFineTuningJobs", order="newest", search=search or None, limit=LISTED)
    jobs = [job for job in listed["items"] if job["id"] not in there]
    field = tag(
        "input",
        type="search",
        name="search",
        value=search,
        id="tb-compare-search",
        maxlength="200",
        autocomplete="off",
    )
    ids = tag("input", type="hidden", name="ids", value=",".join(kept)) if kept else Markup("")
    form = tag(
        "form",
        ids,
        tag("div", tag("label", say("compare.search"), **{"for": "tb-compare-search"}), field, kind="tb-field tb-grow"),
        kind="tb-filter",
        action="/compare",
        data_partial="",
        role="search",
    )
    if jobs:
        rows = [_candidate(job, _address([*kept, job["id"]], search=search)) for job in jobs]
        heads = [*(say(f"compare.head.{name}") for name in ("run", "state", "result", "asked")), ""]
        shown = table(heads, rows, kind="tb-stack")
    else:
        shown = empty(say("compare.none_found" if search or found else "compare.none"))
    if len(found) < 2:
        return section(say("compare.choose"), form, shown)
    # With runs enough to look at, adding another one is beside the point.
    return tag("details", tag("summary", say("compare.add_another")), form, shown, id="tb-compare-add")


def _candidate(job: Document, address: str) -> Sequence[object]:
    add = tag(
        "a",
        say("compare.add"),
        href=address,
        kind="tb-button",
        data_partial="",
        aria_label=say("compare.add_of", name=str(job["adapter_name"])),
    )
    name = join([job_link(job), tag("div", subject(job), kind="tb-small")])
    return (name, state_badge(job["state"]), outcome(job), ago(job["created_at"], utc_now()), add)


def _charts(there: Sequence[Run]) -> Markup:
    charts = []
    for key, name, unit in _CURVES:
        lines = [
            Line(name, run.label, dots=name.startswith("eval_"), src=metrics_of(run.job["id"]), color=number)
            for number, run in enumerate(there)
            if run.job is not None
        ]
        title = say(f"compare.curve.{key}")
        jobs = ",".join(run.job["id"] for run in there if run.job is not None)
        table_of = f"/download/metrics?{urlencode({'job': jobs, 'names': name}, safe=',')}"
        charts.append(
            chart(
                title, lines[0].src, lines, key=f"compare-{key}", unit=unit, optional=name not in _NEEDED, csv=table_of
            )
        )
    return section(say("compare.curves"), controls(), tag("div", *charts, kind="tb-charts"))


def _heads(there: Sequence[Run]) -> list[str]:
    return [tag("span", _sign(number), " ", run.label, kind="tb-run") for number, run in enumerate(there)]


def _figures(there: Sequence[Run]) -> Markup:
    jobs = [run.job for run in there if run.job is not None]
    measured = [runs.figures(job) for job in jobs]
    equal = runs.equally_long(jobs)
    rows = []
    for name in runs.FIGURES:
        values = [one.get(name) for one in measured]
        if all(one is None for one in values):
            continue
        winner = runs.best(name, values, equal=equal)
        shown = [figure(name, one) for one in values]
        best = figure(name, winner) if winner is not None and len(set(shown)) > 1 else None
        rows.append([say(f"compare.figure.{name}"), *(_figure(one, best=one == best) for one in shown)])
    if not rows:
        return section(say("compare.figures"), empty(say("compare.no_figures")))
    return section(say("compare.figures"), table(["", *_heads(there)], rows, kind="tb-compare"))


def _figure(shown: str, *, best: bool) -> Markup:
    if not best:
        return text(shown)
    return tag("strong", shown, " ", tag("span", say("compare.best"), kind="tb-badge tb-succeeded"))


def _settings(there: Sequence[Run]) -> Markup:
    found = [runs.settings(run.job) for run in there if run.job is not None]
    names = runs.differing(found)
    if not names:
        return section(say("compare.settings"), empty(say("compare.same_settings")))
    rows = [[_setting(name), *(value(one.get(name)) for one in found)] for name in names]
    return section(say("compare.settings"), table(["", *_heads(there)], rows, kind="tb-compare"))


def _setting(name: str) -> Markup:
    key = f"compare.setting.{name}"
    return text(say(key)) if key in catalogue() else tag("code", name)


async def _answers(studio: Studio, there: Sequence[Run]) -> Markup:
    samples = await asyncio.gather(
        *(studio.ask("GetSamples", job_id=run.job["id"]) for run in there if run.job is not None)
    )
    rows = runs.answers(samples)
    if not rows:
        return Markup("")
    shown = []
    for row in rows[:ANSWERS]:
        cells: list[object] = [tag("pre", row["prompt"]), tag("pre", row["reference"])]
        for answer in row["answers"]:
            cells.append(_answer(answer, row["reference"]))
        shown.append(cells)
    heads = [say("compare.prompt"), say("compare.reference"), *_heads(there)]
    return section(say("compare.answers"), table(heads, shown, kind="tb-wrap tb-answers"))


def _answer(answer: Mapping[str, Any] | None, reference: str) -> Markup:
    if answer is None:
        return text(None)
    right = answer["answer"].strip() == reference.strip()
    mark = tag("span", say("compare.right"), kind="tb-badge tb-succeeded") if right else Markup("")
    where = tag("div", say("compare.at_step", step=f"{answer['step']:,}"), " ", mark, kind="tb-small")
    return join([tag("pre", answer["answer"]), where])


async def as_csv(studio: Studio, arguments: Arguments) -> Response:
    """Figures and differing settings, a row a run."""
    found = await runs.find(studio, runs.references(arguments))
    written = io.StringIO()
    csv.writer(written).writerows(runs.as_table(found))
    headers = {"content-disposition": 'attachment; filename="comparison.csv"'}
    return Response(written.getvalue(), media_type="text/csv; charset=utf-8", headers=headers)


PAGE = Page(
    "compare",
    "compare.title",
    build,
    read,
    frozenset({"ledger", "telemetry"}),
    data=charting.DATA,
    downloads={**charting.DOWNLOADS, "compare": as_csv},
)
