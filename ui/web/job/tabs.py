"""The tabs of one job, each with an address of its own: what it measured, answered, kept, printed and was asked for."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from tunebus.contracts.errors import Code, TunebusError
from tunebus.ui.web import charting
from tunebus.ui.web.job import progress
from tunebus.ui.web.job.figures import Measured, against_estimate, resolved_of
from tunebus.ui.web.job.head import differences, value
from tunebus.ui.web.job.names import ENDED, EVALUATION, EXPORT, FINE_TUNING, cause_name, is_imported, state_badge
from tunebus.ui.web.markup import Markup, act, empty, join, link, moment, pairs, section, table, tag, text
from tunebus.ui.web.page import Arguments
from tunebus.ui.web.studio import Document, Studio
from tunebus.ui.web.timeline import happened
from tunebus.ui.web.words import catalogue, say

SHOWN = 200  # checkpoints, and events from either end

Tab = Callable[[Studio, Document, Measured, Arguments], Awaitable[Markup]]


def address(job: Mapping[str, Any], **arguments: object) -> str:
    return f"/jobs?{urlencode({'id': job['id'], **arguments})}"


def chosen(job: Mapping[str, Any], arguments: Arguments) -> str:
    """The tab that an address names. Where it names none, the log of a job that ended before its first step, else the
    first."""
    names = tabs_of(job)
    asked = str(arguments.get("tab", ""))
    if asked in names:
        return asked
    return "logs" if job["state"] in ENDED and job["attempt"] and not job["total_steps"] else next(iter(names))


def nav(job: Document, current: str) -> Markup:
    links = [
        tag(
            "a",
            say(f"jobs.tab.{name}"),
            href=address(job, tab=name),
            data_partial="",
            **({"aria_current": "page"} if name == current else {}),
        )
        for name in tabs_of(job)
    ]
    return tag("nav", *links, kind="tb-tabs", aria_label=say("jobs.tabs"))


async def show(studio: Studio, job: Document, measured: Measured, arguments: Arguments) -> Markup:
    name = chosen(job, arguments)
    try:
        return await tabs_of(job)[name](studio, job, measured, arguments)
    except TunebusError as error:
        if error.problem.code != Code.UNAVAILABLE:
            raise
        return empty(say("jobs.unmeasured"))


async def _charts(studio: Studio, job: Document, measured: Measured, arguments: Arguments) -> Markup:
    return join([tag("h2", say("jobs.tab.charts"), kind="tb-unseen"), charting.training_charts(job["id"])])


async def _samples(studio: Studio, job: Document, measured: Measured, arguments: Arguments) -> Markup:
    """What the base model answered to held-out rows, and what the model answers at a step that the address names."""
    found = await studio.ask("GetSamples", job_id=job["id"])
    if not found["rows"]:
        return empty(say("jobs.samples.none" if job["state"] in ENDED else "jobs.samples.none_yet"))
    steps: Sequence[int] = found["steps"]
    asked = str(arguments.get("step", ""))
    step = int(asked) if asked.isascii() and asked.isdigit() and len(asked) < 12 and int(asked) in steps else None
    shown = step if step is not None else (steps[-1] if steps else None)
    links = [
        tag(
            "a",
            f"{one:,}",
            href=address(job, tab="samples", step=one),
            data_partial="",
            **({"aria_current": "true"} if one == shown else {}),
        )
        for one in steps
    ]
    parts: list[object] = [tag("p", say("jobs.samples.lead"), kind="tb-small")]
    if links:
        parts.append(
            tag("nav", say("jobs.samples.step"), " ", *links, kind="tb-pills", aria_label=say("jobs.samples.steps"))
        )
    for row in found["rows"]:
        now = next((one["answer"] for one in row["answers"] if one["step"] == shown), None)
        parts.append(
            tag(
                "article",
                tag("h3", say("jobs.samples.row", number=row["row"] + 1)),
                _said("prompt", row["prompt"]),
                _said("reference", row["reference"]),
                tag(
                    "div",
                    _said("base", row["base"], row["reference"]),
                    _said("now", now, row["reference"], step=shown),
                    kind="tb-job-two",
                ),
                kind="tb-panel tb-sample",
                data_key=f"row-{row['row']}",
            )
        )
    return join(parts)


def _said(who: str, words: str | None, reference: str | None = None, *, step: int | None = None) -> Markup:
    """A text with whose it is; an answer that is the reference says so."""
    name = say(f"jobs.samples.{who}", step=f"{step:,}" if step is not None else "")
    right = reference is not None and words is not None and words.strip() == reference.strip()
    mark = tag("span", say("jobs.samples.right"), kind="tb-right") if right else Markup("")
    body = tag("pre", words) if words is not None else tag("p", say("jobs.samples.waiting"), kind="tb-small")
    return tag("div", tag("div", name, " ", mark, kind="tb-small"), body, kind="tb-example")


async def _checkpoints(studio: Studio, job: Document, measured: Measured, arguments: Arguments) -> Markup:
    if not job["checkpoints"]:
        return empty(say("jobs.checkpoints.none" if job["state"] in ENDED else "jobs.checkpoints.none_yet"))
    again = job["state"] in ("failed", "stopped")
    best = _best_step(job["checkpoints"])
    gone = await asyncio.to_thread(_gone, studio, job)
    rows = []
    for point in job["checkpoints"][: -SHOWN - 1 : -1]:
        made: list[object] = []
        if point["uri"] in gone:
            rows.append(_checkpoint(point, best, tag("span", say("jobs.checkpoints.gone"), kind="tb-small")))
            continue
        if again:
            made.append(
                act(
                    say("jobs.do.resume_here"),
                    "ResumeFineTuningJob",
                    {"id": job["id"], "step": point["step"]},
                    done=say("jobs.done.again"),
                )
            )
        made.append(
            act(
                say("jobs.do.branch_here"),
                "BranchFineTuningJob",
                {"id": job["id"], "step": point["step"]},
                confirm=say("jobs.branch.sure", step=f"{point['step']:,}"),
                goto="/jobs?id={id}",
            )
        )
        rows.append(_checkpoint(point, best, tag("div", *made, kind="tb-actions")))
    heads = [say(f"jobs.checkpoints.{name}") for name in ("step", "loss", "eval_loss", "attempt", "when", "do")]
    parts: list[object] = [tag("p", say("jobs.checkpoints.lead"), kind="tb-small"), table(heads, rows)]
    left = len(job["checkpoints"]) - SHOWN
    if left > 0:
        parts.append(tag("p", say("jobs.checkpoints.earlier", count=left), kind="tb-small"))
    return join(parts)


def _checkpoint(point: Mapping[str, Any], best: int | None, do: Markup) -> Sequence[object]:
    mark = tag("span", say("jobs.checkpoints.best"), kind="tb-badge tb-succeeded")
    return (
        join([f"{point['step']:,} ", mark if point["step"] == best else Markup("")]),
        progress.figure("loss", point["loss"]),
        progress.figure("eval_loss", point["eval_loss"]),
        str(point["attempt"]),
        moment(point["recorded_at"]),
        do,
    )


def _gone(studio: Studio, job: Document) -> set[str]:
    """The checkpoints whose files are there no more, where this process sees the job's files at all."""
    if not studio.home.path(job["out_dir"]).is_dir():
        return set()
    return {point["uri"] for point in job["checkpoints"] if not studio.home.path(point["uri"]).is_dir()}


def _best_step(points: Sequence[Mapping[str, Any]]) -> int | None:
    scored = [point for point in points if point["eval_loss"] is not None]
    return min(scored, key=lambda point: (point["eval_loss"], point["step"]))["step"] if scored else None


async def _logs(studio: Studio, job: Document, measured: Measured, arguments: Arguments) -> Markup:
    if not job["attempt"]:
        return empty(say("jobs.log.none_yet" if job["state"] not in ENDED else "jobs.log.none"))
    return charting.log_view(job["id"])


async def _system(studio: Studio, job: Document, measured: Measured, arguments: Arguments) -> Markup:
    resolved = resolved_of(job)
    rows = [
        (
            str(attempt["attempt"]),
            state_badge(attempt["state"]),
            attempt["host"],
            attempt["worker_id"],
            moment(attempt["started_at"]),
            moment(attempt["ended_at"]),
            cause_name(attempt["cause"]) if attempt["cause"] else "",
        )
        for attempt in job["attempts_made"]
    ]
    facts = [
        (say("jobs.system.device"), resolved.get("gpu") or resolved.get("device")),
        (say("jobs.system.precision"), resolved.get("precision")),
        (say("jobs.system.threads"), resolved.get("threads")),
        (say("jobs.system.gpus"), ", ".join(job["gpus"]) or None),
        (say("jobs.system.memory_limit"), f"{job['num_memory']:g} GiB" if job["num_memory"] else None),
    ]
    heads = [say(f"jobs.system.{name}") for name in ("attempt", "state", "host", "worker", "from", "to", "cause")]
    use = section(say("jobs.system.use"), charting.system_charts(job["id"])) if job["attempt"] else Markup("")
    parts = [
        use,
        section(say("jobs.system.machine"), pairs((name, found) for name, found in facts if found is not None)),
    ]
    estimate = against_estimate(job, measured)
    if estimate:
        parts.append(section(say("jobs.system.estimate"), estimate))
    if rows:
        parts.append(section(say("jobs.system.attempts"), table(heads, rows)))
    return join(parts)


async def _data(studio: Studio, job: Document, measured: Measured, arguments: Arguments) -> Markup:
    source: Mapping[str, Any] | None = job["recipe"].get("dataset")
    if not source:
        prompts = job["recipe"].get("prompts") or ()
        if not prompts:
            return empty(say("jobs.data.none"))
        return tag("ol", *(tag("li", tag("pre", one if isinstance(one, str) else value(one))) for one in prompts))
    resolved = resolved_of(job)
    name = link(job["dataset_name"] or source["dataset_id"], "/datasets", id=str(source["dataset_id"]))
    facts: list[tuple[str, object]] = [
        (say("jobs.data.dataset"), name),
        (say("jobs.data.format"), say(f"datasets.format.{source['format']}")),
        (say("jobs.data.columns"), ", ".join(source["features"])),
        (say("jobs.data.share"), f"{100 * source['dataset_fraction']:g} %"),
        (say("jobs.data.held_out"), f"{100 * (1 - source['train_test_split']):.3g} %"),
        (say("jobs.data.seed"), str(source["split_seed"])),
        (say("jobs.data.text_format"), resolved.get("text_format")),
        (say("jobs.data.max_length"), resolved.get("max_length")),
        (say("jobs.data.length_median"), resolved.get("length_median")),
        (say("jobs.data.length_p99"), resolved.get("length_p99")),
        (say("jobs.data.sha256"), tag("code", source["sha256"])),
    ]
    parts = [pairs((words, found) for words, found in facts if found is not None)]
    counted = [(part, resolved[part]) for part in ("train", "held_out") if isinstance(resolved.get(part), Mapping)]
    if counted:
        names = list(counted[0][1])
        rows = [
            (
                say("jobs.data.train" if part == "train" else "jobs.data.held_out_rows"),
                *(f"{counts[name]:,}" if counts[name] is not None else "–" for name in names),
            )
            for part, counts in counted
        ]
        parts.append(table(["", *(_counted(name) for name in names)], rows))
    templates = source.get("prompt")
    if templates:
        shown = [
            tag(
                "div",
                tag("div", say(f"jobs.template.{name}"), kind="tb-small"),
                tag("pre", templates[name]),
                kind="tb-example",
            )
            for name in ("prompt_template", "input_template", "completion_template")
        ]
        parts.append(section(say("jobs.data.prompt"), *shown))
    return join(parts)


def _counted(name: str) -> str:
    key = f"jobs.counts.{name}"
    return say(key) if key in catalogue() else name


async def _settings(studio: Studio, job: Document, measured: Measured, arguments: Arguments) -> Markup:
    """Every setting as it was asked for and as it ran, where it came from, and why it is what it is."""
    recipe = job["recipe"]
    sources, reasons = recipe.get("sources") or {}, recipe.get("reasons") or {}
    resolved = resolved_of(job)
    ran = {**resolved, **(resolved.get("lora") or {}), **(resolved.get("generation") or {})}
    asked = {
        **(recipe.get("training_arguments") or {}),
        **(recipe.get("lora") or {}),
        **(recipe.get("generation") or {}),
        **{name: recipe[name] for name in _OWN if recipe.get(name) is not None},
    }
    rows = [
        (
            tag("code", name),
            _asked(name, wanted),
            value(ran[name]) if name in ran else say(_NOTHING[name]) if name in _NOTHING and wanted is None else "",
            say(f"jobs.settings.from_{sources.get(name, 'default')}"),
            reasons.get(name) or _why(name, wanted, ran.get(name)),
        )
        for name, wanted in sorted(asked.items(), key=lambda one: (sources.get(one[0], "default") == "default", one[0]))
    ]
    heads = [say(f"jobs.settings.{name}") for name in ("name", "asked", "ran", "source", "why")]
    parts: list[object] = []
    if job.get("changes"):
        parts.append(section(say("jobs.settings.changed"), differences(job["changes"])))
    if rows:
        parts.append(table(heads, rows, kind="tb-job-settings"))
    versions = (job["attempts_made"] or [{}])[-1].get("versions") or {}
    if versions:
        parts.append(section(say("jobs.settings.versions"), pairs(sorted(versions.items()))))
    facts = [
        (say("jobs.settings.id"), tag("code", job["id"])),
        (say("jobs.settings.folder"), tag("code", job["out_dir"])),
    ]
    if recipe.get("model"):
        facts.append((say("jobs.settings.model"), tag("code", recipe["model"]["sha256"])))
    if is_imported(job):
        facts.append((say("jobs.settings.origin"), tag("code", job["imported"]["source"])))
        facts.append((say("jobs.settings.run"), tag("code", job["imported"]["sha256"])))
    parts.append(section(say("jobs.settings.identity"), pairs(facts)))
    return join(parts)


def _asked(name: str, wanted: object) -> Markup:
    if wanted is not None:
        return text(value(wanted))
    return (
        text(say(_NOTHING[name])) if name in _NOTHING else tag("span", say("jobs.settings.automatic"), kind="tb-small")
    )


def _why(name: str, wanted: object, ran: object) -> str:
    """Why something ran otherwise than it was asked for, where the recipe gives no reason."""
    if name == "max_length" and isinstance(wanted, int) and isinstance(ran, int) and ran < wanted:
        return say("jobs.settings.shortened")
    return ""


_NOTHING = {
    "early_stopping_patience": "train.field.early_stopping_patience.default",
    "max_steps": "train.field.max_steps.default",
}
"""What is meant by settings that nobody decides where nobody asked for them."""

_OWN = (
    "text_format",
    "batch_size",
    "max_rows",
    "max_length",
    "seed",
    "type",
    "dtype",
    "num_cpu",
    "num_gpu",
    "num_memory_gb",
)


async def _events(studio: Studio, job: Document, measured: Measured, arguments: Arguments) -> Markup:
    events = await studio.items("ListEvents", entity_id=job["id"], aggregate=job["kind"])
    left = max(0, len(events) - 2 * SHOWN)
    rows = [
        tag(
            "li",
            tag(
                "time",
                event["recorded_at"][11:19],
                datetime=event["recorded_at"],
                title=str(moment(event["recorded_at"])),
            ),
            tag("div", tag("strong", event["type"]), tag("span", happened(event["type"], event["data"])), _by(event)),
            data_key=str(event["position"]),
        )
        for event in (events if not left else [*events[:SHOWN], *events[-SHOWN:]])
    ]
    if left:
        rows.insert(SHOWN, tag("li", tag("span", say("jobs.events.left_out", count=left))))
    return tag("div", tag("ol", *rows, kind="tb-timeline"), id="tb-timeline")


def _by(event: Mapping[str, Any]) -> Markup:
    """Who asked for what made it happen, and the way to all that the same command did."""
    parts: list[object] = [say("jobs.events.by", actor=event["actor"])] if event["actor"] else []
    if event["causation_id"]:
        parts.append(link(say("jobs.events.cause"), "/activity", causation=str(event["causation_id"])))
    return tag("div", join(parts, " · "), kind="tb-small") if parts else Markup("")


async def _results(studio: Studio, job: Document, measured: Measured, arguments: Arguments) -> Markup:
    metrics: Mapping[str, Any] = job["metrics"] or {}
    if not metrics:
        return empty(say("jobs.results.none" if job["state"] in ENDED else "jobs.results.none_yet"))
    rows = [
        (say(key) if (key := f"jobs.metric.{name}") in catalogue() else name, progress.figure(name, found))
        for name, found in sorted(metrics.items())
    ]
    return table([say("jobs.results.metric"), say("jobs.results.value")], rows)


async def _check(studio: Studio, job: Document, measured: Measured, arguments: Arguments) -> Markup:
    checked = job.get("checked") or {}
    facts: list[tuple[str, object]] = [
        (say("jobs.export.type"), say(f"jobs.export.{job['type']}")),
        (say("jobs.export.where"), tag("code", job["destination"]) if job.get("destination") else None),
        (say("jobs.export.registered"), job.get("registered_model")),
        (say("jobs.figure.dtype"), checked.get("dtype")),
    ]
    words = (
        say("jobs.export.checked", equal=checked["equal"], prompts=checked["prompts"])
        if checked.get("prompts")
        else say("jobs.export.unchecked")
    )
    return join([tag("p", text(words)), pairs((name, found) for name, found in facts if found is not None)])


def tabs_of(job: Mapping[str, Any]) -> dict[str, Tab]:
    """The tabs that a job has, by name."""
    return _IMPORTED if is_imported(job) else TABS[job["kind"]]


_IMPORTED: dict[str, Tab] = {"charts": _charts, "settings": _settings, "events": _events}
_SAME: dict[str, Tab] = {"logs": _logs, "system": _system, "data": _data, "settings": _settings, "events": _events}
TABS: dict[str, dict[str, Tab]] = {
    FINE_TUNING: {"charts": _charts, "samples": _samples, "checkpoints": _checkpoints, **_SAME},
    EVALUATION: {"results": _results, **_SAME},
    EXPORT: {"check": _check, **{name: tab for name, tab in _SAME.items() if name != "data"}},
}
