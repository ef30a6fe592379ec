"""Evaluate: adapters beside their base on held-out rows. One comparison has an address, `/evaluate?id=…`."""

from __future__ import annotations

import contextlib
import math
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from starlette.responses import Response, StreamingResponse
from tunebus.contracts.errors import Code, TunebusError, fail
from tunebus.contracts.identifiers import utc_now
from tunebus.services.platform.rows.split import own_test_split
from tunebus.ui.web.acting import Asking, Done
from tunebus.ui.web.comparison import (
    METRICS,
    MORE_METRICS,
    Contender,
    Metric,
    base_first,
    baseline_of,
    best_of,
    column_names,
    contenders,
    may_have_seen,
    scored_on,
    start_against_base,
)
from tunebus.ui.web.differences import differences
from tunebus.ui.web.forms import control_id, field, number_field, select_field, text_field
from tunebus.ui.web.job.names import ACTIVE, ENDED, FINE_TUNING, WAITING, job_name, state_badge
from tunebus.ui.web.job.progress import outcome
from tunebus.ui.web.listing import address, option, page_of, pager
from tunebus.ui.web.markup import (
    Markup,
    act,
    ago,
    banner,
    empty,
    join,
    link,
    section,
    table,
    tag,
    text,
)
from tunebus.ui.web.page import Arguments, Page, part
from tunebus.ui.web.studio import Document, Studio, digest
from tunebus.ui.web.words import phrase, say

ROWS = 20
LISTED = 20
CHOICES = 200
FEW = 30
"""Below so many rows a figure moves by several points when one answer is another."""
ORDERS = ("original", "best", "worst", "random")
ROW_METRICS = ("rouge_l", "exact_match", "loss", "rouge_1", "rouge_2")
_PARTS = ("comparison", "answers", "evaluate-head", "evaluating", "comparisons")


def build(studio: Studio, blocks: Any) -> None:
    for name in _PARTS:
        part(name)


async def read(studio: Studio, arguments: Arguments) -> Mapping[str, Markup]:
    if arguments.get("id"):
        return await _comparison(studio, arguments)
    return {
        "evaluate-head": join([tag("h1", say("evaluate.title")), tag("p", say("evaluate.lead"), kind="tb-lead")]),
        "evaluating": await _form(studio, arguments),
        "comparisons": await _list(studio, arguments),
    }


# --- asking for one


async def _form(studio: Studio, arguments: Arguments) -> Markup:
    """What to score, on what and how. It follows from what there is alone, so that nothing typed is lost."""
    adapters = list(reversed(await studio.items("ListAdapters")))
    models = list(reversed(await studio.items("ListModels")))
    datasets = list(reversed(await studio.items("ListDatasets")))
    trainings = await _trainings(studio)
    prompts = list(reversed(await studio.items("ListPrompts")))
    if not models or not datasets:
        return empty(say("evaluate.needs"))
    wanted = {name for key in ("adapter", "adapters") for name in arguments.get(key, "")[:4000].split(",") if name}
    waited_for = {name for name in arguments.get("trainings", "")[:4000].split(",") if name}
    chosen = {one["id"] for one in adapters if one["id"] in wanted or one["name"] in wanted}
    asked = arguments.get("model", "")
    if not chosen and not asked and not waited_for and adapters:
        chosen = {adapters[0]["id"]}
    boxes = [
        _box(f"adapters.{one['id']}", one["name"], one["model_name"] or "", checked=one["id"] in chosen)
        for one in sorted(adapters, key=lambda one: one["id"] not in chosen)[:CHOICES]
    ]
    coming = [
        _box(
            f"trainings.{one['id']}",
            one["adapter_name"],
            say(f"jobs.state.{one['state']}"),
            checked=one["id"] in waited_for,
        )
        for one in trainings
    ]
    bare = [
        _box(f"models.{one['id']}", one["name"], one["model_family"], checked=asked in (one["id"], one["name"]))
        for one in models[:CHOICES]
    ]
    as_trained = option("", say("evaluate.as_trained"))
    sets = [as_trained, *(option(one["id"], one["name"], arguments.get("dataset", "-")) for one in datasets)]
    laid_out = [as_trained, *(option(one["id"], f"{one['name']} · {one['dataset_name']}") for one in prompts)]
    what = tag(
        "div",
        _group("adapters", boxes) if boxes else Markup(""),
        _group("trainings", coming) if coming else Markup(""),
        _group("models", bare),
        kind="tb-evaluate-what",
    )
    with_base = tag("input", type="checkbox", name="with_base", id="tb-evaluate-with-base", checked="")
    on_what = tag(
        "div",
        select_field("evaluate", "dataset_id", sets),
        select_field("evaluate", "prompt_id", laid_out),
        number_field("evaluate", "max_rows", whole=True, min="1", placeholder=say("evaluate.all_rows")),
        kind="tb-fields",
    )
    split = tag(
        "div",
        number_field("evaluate", "dataset_fraction", min="0", max="1", placeholder=say("evaluate.recorded")),
        number_field("evaluate", "train_test_split", min="0", max="1", placeholder=say("evaluate.recorded")),
        number_field("evaluate", "seed", whole=True, min="0", placeholder=say("evaluate.recorded")),
        select_field(
            "evaluate", "leakage", [option(name, say(f"evaluate.leakage.{name}")) for name in ("warn", "exclude")]
        ),
        text_field("evaluate", "selected_features", data_as="lines"),
        kind="tb-fields",
    )
    making = tag(
        "div",
        number_field("evaluate", "generation.max_new_tokens", whole=True, min="1", placeholder="64"),
        number_field("evaluate", "generation.temperature", min="0", placeholder="0"),
        number_field("evaluate", "generation.top_p", min="0", max="1", placeholder="1"),
        number_field("evaluate", "generation.top_k", whole=True, min="0", placeholder="0"),
        number_field("evaluate", "generation.repetition_penalty", min="0", placeholder="1"),
        number_field("evaluate", "generation.seed", whole=True, min="0"),
        number_field("evaluate", "batch_size", whole=True, min="1", placeholder="16"),
        kind="tb-fields",
    )
    fixed = [f"adapters.{one['id']}" for one in adapters[:CHOICES]] + [
        f"models.{one['id']}" for one in models[:CHOICES]
    ]
    fixed += [f"trainings.{one['id']}" for one in trainings]
    fixed = [*fixed, "dataset_id"] if wanted or asked or waited_for else []
    over = tag("button", say("evaluate.start_over"), type="button", kind="tb-button tb-quiet", data_draft_clear="")
    return tag(
        "form",
        what,
        tag("label", with_base, " ", say("evaluate.with_base"), kind="tb-check"),
        on_what,
        tag("details", tag("summary", say("evaluate.split")), split, kind="tb-fold"),
        tag("details", tag("summary", say("evaluate.making")), making, kind="tb-fold"),
        tag("p", say("evaluate.draft"), " ", over, kind="tb-small", data_draft_note="", hidden=""),
        tag("div", kind="tb-plan", id="tb-evaluate-plan", data_keep="", aria_live="polite"),
        tag(
            "div",
            tag("button", say("evaluate.start"), type="submit", kind="tb-button tb-primary", id="tb-evaluate-start"),
            kind="tb-actions",
        ),
        kind="tb-form tb-panel",
        id="tb-evaluate-form",
        data_act="start_evaluation",
        data_draft="evaluate",
        data_draft_fixed=" ".join(fixed),
        data_done=say("evaluate.started"),
        data_goto="/evaluate?id={id}",
    )


async def _trainings(studio: Studio) -> list[Document]:
    """Those that have not ended and whose adapter or model will have a name to be scored by, the newest first."""
    page = await studio.ask("ListAllJobs", kinds=[FINE_TUNING], states=[*ACTIVE, *WAITING], limit=CHOICES)
    return [job for job in page["items"] if job["register_adapter"]]


def _group(name: str, boxes: Sequence[Markup]) -> Markup:
    """Boxes to tick under one heading, with a way to find one among many."""
    seek = Markup("")
    if len(boxes) > 8:
        seek = tag(
            "input",
            type="search",
            kind="tb-seek",
            placeholder=say("listing.search"),
            aria_label=say(f"evaluate.seek_{name}"),
            data_seek="",
        )
    return tag(
        "fieldset", tag("legend", say(f"evaluate.{name}")), seek, tag("div", *boxes, kind="tb-boxes"), kind="tb-group"
    )


def _box(name: str, words: str, more: str, *, checked: bool) -> Markup:
    ticked = {"checked": ""} if checked else {}
    box = tag("input", type="checkbox", name=name, **ticked)
    return tag("label", box, " ", tag("span", words), " ", tag("span", more, kind="tb-small"), kind="tb-check")


async def start(asking: Asking) -> Done:
    """Queue an evaluation of what was ticked. Errors: `invalid`, `not_found`, the command's own."""
    data = dict(asking.data)
    adapters, models, trainings = (_ticked(data.pop(name, {}), name) for name in ("adapters", "models", "trainings"))
    dataset, prompt = (_reference(data.pop(name, None), name) for name in ("dataset_id", "prompt_id"))
    with_base = data.pop("with_base", True) is not False
    if "combinations" in data:
        raise fail(Code.UNKNOWN_FIELD, "follows from what is ticked", param="combinations")
    parent = await start_against_base(
        asking,
        adapters,
        model_ids=models,
        training_ids=trainings,
        dataset_id=dataset,
        prompt_id=prompt,
        with_base=with_base,
        options=data,
    )
    return Done(id=parent)


def _ticked(given: object, param: str) -> list[str]:
    if not isinstance(given, dict) or len(given) > 2 * CHOICES:
        raise fail(Code.INVALID, "must be an object of ids and whether they are wanted", param=param)
    return [str(one)[:200] for one, wanted in given.items() if wanted is True]


def _reference(given: object, param: str) -> str | None:
    if given is None or given == "":
        return None
    if not isinstance(given, str) or len(given) > 200:
        raise fail(Code.INVALID, "must be an id or a name", param=param)
    return given


async def plan(studio: Studio, arguments: Arguments) -> Markup:
    """What would be scored: how many jobs, on which split, and where one may have seen another's rows."""

    def listed(name: str) -> list[str]:
        return [one for one in arguments.get(name, "")[:20_000].split(",") if one][:CHOICES]

    adapters, models, trainings = listed("adapters"), listed("models"), listed("trainings")
    if not adapters and not models and not trainings:
        return tag("p", say("evaluate.nothing_chosen"), kind="tb-small")
    try:
        found = await contenders(
            studio,
            adapters,
            models,
            trainings,
            dataset_id=arguments.get("dataset_id") or None,
            prompt_id=arguments.get("prompt_id") or None,
            with_base=arguments.get("with_base") == "true",
        )
        lines = [tag("p", say("evaluate.jobs", count=len(found)))]
        if trainings:
            lines.append(tag("p", say("evaluate.waits", count=len(trainings)), kind="tb-small"))
        return join([*lines, *await _held_out(studio, found, arguments)])
    except TunebusError as error:
        return tag("p", error.problem.hint or error.problem.message, kind="tb-small")


async def _held_out(studio: Studio, found: Sequence[Contender], arguments: Arguments) -> list[Markup]:
    """Which rows of which dataset are scored, and whether one may have learnt some."""
    leave_out = arguments.get("leakage") == "exclude"
    seed = _number(arguments, "seed")
    splits = scored_on(
        found,
        fraction=_number(arguments, "dataset_fraction"),
        train_share=_number(arguments, "train_test_split"),
        seed=None if seed is None else int(seed),
        leave_out=leave_out,
    )
    lines = []
    there = dict.fromkeys((one.combination["dataset_id"], split) for one, split in zip(found, splits, strict=True))
    for dataset_id, split in there:
        dataset = await studio.ask("GetDataset", id=dataset_id)
        learnt = any(one.learnt(dataset_id) for one in found)
        own = own_test_split(list(dataset["splits"]))
        words = say(
            "evaluate.own_split" if own else "evaluate.split_of" if learnt else "evaluate.split_unlearnt",
            dataset=dataset["name"],
            split=own,
            rows=f"{dataset['splits'].get(own, 0):,}",
            fraction=f"{100 * split.fraction:.4g} %",
            held=f"{100 * (1 - split.train_share):.4g} %",
            seed=split.seed,
        )
        lines.append(tag("p", words, kind="tb-small"))
    if most := _number(arguments, "max_rows"):
        lines.append(tag("p", say("evaluate.rows_at_most", count=int(most)), kind="tb-small"))
    if may_have_seen(found, splits):
        words = say("evaluate.left_out" if leave_out else "evaluate.may_leak")
        lines.append(tag("p", words, kind="tb-small") if leave_out else banner(words))
    return lines


def _number(arguments: Arguments, name: str) -> float | None:
    """What is typed into a field of numbers; nothing for what is none, which the registry refuses."""
    with contextlib.suppress(ValueError):
        found = float(arguments.get(name, "")[:20])
        return found if math.isfinite(found) else None
    return None


# --- one comparison


async def _comparison(studio: Studio, arguments: Arguments) -> Mapping[str, Markup]:
    wanted = arguments["id"][:200]
    jobs = base_first(await studio.items("ListEvaluationJobs", parent_id=wanted))
    if not jobs:
        raise fail(
            Code.NOT_FOUND,
            say("evaluate.unknown", id=wanted[:80]),
            hint=say("evaluate.unknown_hint"),
        )
    return {"comparison": _side_by_side(jobs), "answers": _answers(jobs, arguments)}


def _side_by_side(jobs: Sequence[Document]) -> Markup:
    first = jobs[0]
    dataset = (
        link(first["dataset_name"], "/datasets", id=first["dataset_id"])
        if first["dataset_id"] and "dataset_id" not in first.get("removed", ())
        else text(first["dataset_name"] or say("evaluate.typed"))
    )
    rows: list[list[object]] = [[say("evaluate.state"), *(_state(job) for job in jobs)]]
    rows += [_line(metric, jobs) for metric in METRICS if _measured(metric, jobs)]
    more = [_line(metric, jobs) for metric in MORE_METRICS if _measured(metric, jobs)]
    heads = ["", *column_names(jobs)]
    warnings = dict.fromkeys(words for job in jobs for words in job["warnings"])
    folded = Markup("")
    if more:
        folded = tag(
            "details", tag("summary", say("evaluate.more")), table(heads, more, kind="tb-compare"), kind="tb-fold"
        )
    return join(
        [
            tag("p", link(say("evaluate.title"), "/evaluate"), " / ", dataset, kind="tb-small"),
            tag("div", tag("h1", say("evaluate.side_by_side")), _ways(jobs), kind="tb-title-row tb-apart"),
            tag("p", ago(first["created_at"], utc_now()), kind="tb-small"),
            join(banner(words) for words in warnings),
            table(heads, rows, kind="tb-compare"),
            _note(jobs),
            folded,
            _bars(jobs),
        ]
    )


def _ways(jobs: Sequence[Document]) -> Markup:
    """What can be done with a comparison."""
    parent = jobs[0]["parent_id"]
    ways: list[object] = []
    if any(job["state"] not in ENDED for job in jobs):
        ways.append(act(say("evaluate.stop"), "stop_evaluations", {"id": parent}, done=say("evaluate.stopping")))
    else:
        adapters = ",".join(dict.fromkeys(job["adapter_id"] for job in jobs if job["adapter_id"]))
        again = address("/evaluate", {"adapters": adapters, "dataset": jobs[0]["dataset_id"] or ""})
        ways.append(tag("a", say("evaluate.again"), href=again, kind="tb-button"))
        ways.append(
            act(
                say("evaluate.remove"),
                "remove_evaluations",
                {"id": parent},
                kind="tb-danger",
                confirm=say("evaluate.remove_sure"),
                done=say("evaluate.removed"),
                goto="/evaluate",
            )
        )
    return tag("div", *ways, kind="tb-actions")


async def stop(asking: Asking) -> Done:
    """Stop what still runs or waits of a comparison."""
    for job in await _siblings(asking):
        if job["state"] not in ENDED:
            await asking.send("StopEvaluationJob", {"id": job["id"]}, job["id"])
    return Done()


async def remove(asking: Asking) -> Done:
    """Take a comparison out of the lists, with its files. Errors: `wrong_state` while one of it runs or waits."""
    for job in await _siblings(asking):
        await asking.send("RemoveEvaluationJob", {"id": job["id"], "delete_files": True}, job["id"])
    return Done()


async def _siblings(asking: Asking) -> list[Document]:
    parent = str(asking.data.get("id") or " ")[:200]
    return await asking.studio.items("ListEvaluationJobs", parent_id=parent)


def _measured(metric: Metric, jobs: Sequence[Document]) -> bool:
    return any(job["metrics"].get(metric.name) is not None for job in jobs)


def _line(metric: Metric, jobs: Sequence[Document]) -> list[object]:
    best = best_of(metric, jobs)
    return [metric.label, *(_figure(metric, job, jobs, best) for job in jobs)]


def _note(jobs: Sequence[Document]) -> Markup:
    majority = next((m for job in jobs if (m := job["metrics"].get("majority_exact_match")) is not None), None)
    scored = next((int(m) for job in jobs if (m := job["metrics"].get("rows"))), None)
    words = []
    if scored:
        words.append(say("evaluate.scored" if jobs[0]["dataset_id"] else "evaluate.answered", count=scored))
        words += [say("evaluate.few")] if jobs[0]["dataset_id"] and scored < FEW else []
    if majority is not None:
        words.append(say("evaluate.majority", share=f"{100 * majority:.1f}"))
    return tag("p", " ".join(words), kind="tb-small") if words else Markup("")


def _state(job: Document) -> Markup:
    state = link(state_badge(job["state"]), "/jobs", id=job["id"])
    return state if job["state"] == "succeeded" else join([state, tag("div", outcome(job), kind="tb-small")])


def _figure(metric: Metric, job: Document, jobs: Sequence[Document], best: float | None) -> Markup:
    value = job["metrics"].get(metric.name)
    first = isinstance(value, int | float) and value == best
    mark = tag("span", "★", tag("span", say("evaluate.best"), kind="tb-unseen"), kind="tb-best-mark") if first else ""
    parts: list[object] = [tag("span", metric.show(value), mark, kind=f"tb-figure{' tb-best' if first else ''}")]
    base = baseline_of(job, jobs)
    before = base["metrics"].get(metric.name) if base else None
    if metric.higher_is_better is not None and isinstance(value, int | float) and isinstance(before, int | float):
        change = value - before
        kind = "" if change == 0 else "tb-gain" if metric.is_gain(change) else "tb-loss"
        parts.append(tag("span", metric.show_change(change), kind=f"tb-delta {kind}"))
    return join(parts)


def _bars(jobs: Sequence[Document]) -> Markup:
    """A group of bars a metric; each group has its own scale, since losses and shares do not compare."""
    groups = []
    names = dict(zip([job["id"] for job in jobs], column_names(jobs), strict=True))
    for metric in METRICS:
        values = [(job, job["metrics"].get(metric.name)) for job in jobs]
        known = [(job, float(value)) for job, value in values if isinstance(value, int | float)]
        if len(known) < 2:
            continue
        top = 1.0 if metric.share else max(value for _, value in known) or 1.0
        bars = [
            tag(
                "div",
                tag("span", names[job["id"]], kind="tb-bar-name", title=names[job["id"]]),
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
        better = say("evaluate.higher" if metric.higher_is_better else "evaluate.lower")
        caption = tag("figcaption", metric.label, " ", tag("span", better, kind="tb-small"))
        groups.append(tag("figure", caption, *bars, kind="tb-bars"))
    return tag("div", *groups, kind="tb-bar-groups") if groups else Markup("")


# --- its rows


def _answers(jobs: Sequence[Document], arguments: Arguments) -> Markup:
    """How rows are put in order, ways to take them along, and the rows, which have an address of their own."""
    done = [job for job in jobs if job["state"] == "succeeded"]
    if not done:
        return Markup("")
    parent = jobs[0]["parent_id"]
    names = zip([job["id"] for job in done], column_names(done), strict=True)
    wanted = _rows_wanted(arguments)
    chosen = tag(
        "form",
        tag("input", type="hidden", name="id", value=parent),
        _labelled("order", [option(name, say(f"evaluate.order.{name}"), wanted["order"]) for name in ORDERS]),
        _labelled("metric", [option(name, say(f"evaluate.metric.{name}"), wanted["metric"]) for name in ROW_METRICS]),
        _labelled("by", [option(id, name, wanted["by"] or done[-1]["id"]) for id, name in names]),
        kind="tb-filter",
        action="/evaluate",
        data_partial="",
    )
    ways = [
        tag("a", say(f"evaluate.take.{name}_{kind}"), href=href, kind="tb-button tb-quiet", download="")
        for name in ("rows", "metrics")
        for kind in ("csv", "json")
        for href in [address("/download/evaluation", {"id": parent, "part": name, "format": kind})]
    ]
    if wanted["order"] == "random":
        anew = address("/evaluate", {**wanted, "id": parent}, seed=str((int(wanted["seed"]) + 1) % 1000), page="")
        ways.insert(0, tag("a", say("evaluate.shuffle"), href=anew, kind="tb-button", data_partial=""))
    mark = digest(*(job["result_sha256"] for job in done))
    source = address("/fragment/evaluation-rows", {**wanted, "id": parent}, v=mark)
    title = say("evaluate.rows" if jobs[0]["dataset_id"] else "evaluate.prompts")
    return section(title, chosen, tag("div", *ways, kind="tb-actions"), tag("div", data_load=source))


def _labelled(name: str, options: Sequence[Markup]) -> Markup:
    control = tag("select", *options, name=name, id=control_id("evaluate", name))
    return field("evaluate", name, control)


def _rows_wanted(arguments: Arguments) -> dict[str, str]:
    """Which rows the address asks for; what nobody understands is as if it were not there."""
    order, metric, seed = (arguments.get(name, "") for name in ("order", "metric", "seed"))
    return {
        "order": order if order in ORDERS else ORDERS[0],
        "metric": metric if metric in ROW_METRICS else ROW_METRICS[0],
        "seed": seed if seed.isascii() and seed.isdigit() and len(seed) < 9 else "0",
        "by": arguments.get("by", "")[:100],
        "page": str(page_of(arguments) or ""),
    }


async def rows(studio: Studio, arguments: Arguments) -> Markup:
    """One page of the rows that all were scored on, with where each answer differs from what was expected."""
    wanted = _rows_wanted(arguments)
    parent, page = arguments.get("id", "")[:200], page_of(arguments)
    asked: Document = {"parent_id": parent, "order": wanted["order"], "seed": int(wanted["seed"]), "limit": ROWS}
    if wanted["order"] in ("best", "worst"):
        asked["metric"] = wanted["metric"]
    if page:
        asked["after"] = str(page * ROWS)
    if wanted["by"]:
        asked["job_id"] = wanted["by"]
    found = await studio.over_bus("CompareEvaluations", **asked)
    jobs = [{**job, "id": job["job_id"], "kind": "evaluation_job"} for job in found["combinations"]]
    order = sorted(range(len(jobs)), key=lambda at: (bool(jobs[at]["adapter_id"]), at))
    order = [at for at in order if jobs[at]["state"] == "succeeded"]
    if not found["items"]:
        return empty(say("evaluate.no_rows"))
    scored = any("reference" in row for row in found["items"])
    heads = ["#", say("evaluate.question")]
    heads += [say("evaluate.expected")] if scored else []
    heads += column_names([jobs[at] for at in order])
    lines = [_row(row, order, scored=scored) for row in found["items"]]
    total = _total(found["metrics"])
    pages = -(-total // ROWS) if total else page + (2 if found["next"] else 1)

    def to(number: int) -> str:
        return address("/evaluate", {**wanted, "id": parent}, page=str(number) if number else "")

    first = page * ROWS + 1
    words = say("evaluate.range", first=first, last=first + len(lines) - 1, count=total or "?")
    legend = (
        tag(
            "p",
            phrase(
                "evaluate.legend",
                more=tag("mark", say("evaluate.more_words")),
                missing=tag("del", say("evaluate.missing_words")),
            ),
            kind="tb-small",
        )
        if scored
        else Markup("")
    )
    return join([legend, table(heads, lines, kind="tb-wrap tb-rows"), pager(page, pages, to, words)])


def _row(row: Document, order: Sequence[int], *, scored: bool) -> list[object]:
    question: list[object] = [tag("div", row["prompt"], kind="tb-clip", tabindex="0")]
    for name, value in (row.get("features") or {}).items():
        question.append(tag("div", f"{name}: {value}", kind="tb-small"))
    cells: list[object] = [str(row["index"] + 1), join(question)]
    if scored:
        cells.append(tag("div", row.get("reference"), kind="tb-clip", tabindex="0"))
    return [*cells, *(_answer(row["answers"][at], row.get("reference")) for at in order)]


def _answer(answer: Document | None, expected: str | None) -> Markup:
    """What one said, with marks on what was not expected, and how good that was found to be."""
    if answer is None:
        return text(None)
    said = str(answer["answer"])
    pieces: list[object] = []
    for kind, words in differences(expected, said) if expected is not None else [("same", said)]:
        pieces.append(words if kind == "same" else tag("mark" if kind == "more" else "del", words))
    parts: list[object] = [tag("div", *pieces, kind="tb-clip", tabindex="0", dir="auto")]
    right = answer.get("exact_match")
    if right is not None:
        mark, words = ("✓", say("evaluate.right")) if right else ("≠", say("evaluate.wrong"))
        figures = [
            f"{say(f'evaluate.metric.{name}')} {answer[name]:.2f}"
            for name in ("rouge_l", "loss")
            if isinstance(answer.get(name), int | float)
        ]
        seen = tag("span", mark, tag("span", words, kind="tb-unseen"), kind="tb-right" if right else "tb-wrong")
        parts.append(tag("div", seen, " ", " · ".join(figures), kind="tb-small"))
    return join(parts)


def _total(metrics: Sequence[Document]) -> int:
    counts: Sequence[float | None] = next((metric["values"] for metric in metrics if metric["name"] == "rows"), [])
    return int(max((value for value in counts if value is not None), default=0))


async def download(studio: Studio, arguments: Arguments) -> Response:
    """A comparison's rows or metrics as CSV or JSON, sent as they are read. Errors: `invalid`, the query's own."""
    part, format = arguments.get("part", "rows"), arguments.get("format", "csv")
    if part not in ("rows", "metrics") or format not in ("csv", "json"):
        raise fail(Code.INVALID, "must be rows or metrics, as csv or json", param="part")
    asked = {"parent_id": arguments.get("id", "")[:200], "part": part, "format": format}
    first = await studio.over_bus("ExportEvaluations", **asked)

    async def pieces() -> AsyncIterator[str]:
        piece = first
        yield piece["text"]
        while piece["next"] is not None:
            piece = await studio.over_bus("ExportEvaluations", **asked, after=piece["next"])
            yield piece["text"]

    headers = {"content-disposition": f'attachment; filename="evaluation-{part}.{format}"'}
    media = "text/csv; charset=utf-8" if format == "csv" else "application/json"
    return StreamingResponse(pieces(), media_type=media, headers=headers)


# --- all of them


async def _list(studio: Studio, arguments: Arguments) -> Markup:
    """The newest comparisons; typed prompts are listed where they were tried."""
    search, after = arguments.get("search", "")[:200], arguments.get("after", "")[:30]
    page = await studio.ask(
        "ListEvaluationJobs", typed=False, order="newest", limit=5 * LISTED, search=search or None, after=after or None
    )
    parents = list(dict.fromkeys(job["parent_id"] for job in page["items"]))
    if not parents and not search and not after:
        return empty(say("evaluate.nothing"))
    rows = []
    last = 0
    for parent in parents[:LISTED]:
        jobs = base_first(await studio.items("ListEvaluationJobs", parent_id=parent))
        last = min(job["position"] for job in jobs)
        names = ", ".join(job_name(job) for job in jobs)
        states = join((state_badge(state) for state in dict.fromkeys(job["state"] for job in jobs)), " ")
        rows.append(
            (
                states,
                link(names, "/evaluate", id=parent),
                jobs[0]["dataset_name"],
                ago(jobs[0]["created_at"], utc_now()),
            )
        )
    seek = tag(
        "input",
        type="search",
        name="search",
        value=search,
        placeholder=say("listing.search"),
        aria_label=say("listing.search"),
    )
    filter = tag(
        "form", tag("div", seek, kind="tb-grow"), kind="tb-filter", action="/evaluate", data_partial="", role="search"
    )
    kept = {"search": search}
    ways = []
    if after:
        ways.append(
            tag("a", say("evaluate.newest"), href=address("/evaluate", kept), kind="tb-button", data_partial="")
        )
    if page["next"] or len(parents) > LISTED:
        older = address("/evaluate", kept, after=str(last))
        ways.append(tag("a", say("evaluate.older"), href=older, kind="tb-button", data_partial=""))
    heads = [say(f"evaluate.{name}") for name in ("state", "compared", "dataset", "when")]
    shown = table(heads, rows, kind="tb-stack") if rows else tag("p", say("listing.none"), kind="tb-empty")
    return section(say("evaluate.comparisons"), filter, shown, tag("div", *ways, kind="tb-actions"))


PAGE = Page(
    "evaluate",
    "evaluate.title",
    build,
    read,
    frozenset({"ledger", "telemetry"}),
    fragments={"evaluation-rows": rows, "evaluation-plan": plan},
    downloads={"evaluation": download},
    actions={"start_evaluation": start, "stop_evaluations": stop, "remove_evaluations": remove},
)
