"""Try it: prompts that somebody types, answered by base and tuned models side by side, as they are written.

A try is an evaluation of typed prompts, one job a model, under one parent.
"""

from __future__ import annotations

import contextlib
import json
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

from tunebus.contracts.errors import Code, TunebusError, fail
from tunebus.contracts.identifiers import utc_now
from tunebus.contracts.recipes import GenerationSettings
from tunebus.ui.web.acting import Asking, Done
from tunebus.ui.web.comparison import base_first
from tunebus.ui.web.forms import labelled
from tunebus.ui.web.job.names import ENDED, job_name, state_badge
from tunebus.ui.web.job.progress import outcome
from tunebus.ui.web.listing import address, option
from tunebus.ui.web.markup import Markup, act, ago, banner, join, tag
from tunebus.ui.web.page import Arguments
from tunebus.ui.web.studio import Document, Studio
from tunebus.ui.web.words import say

TRIES = 5
KEPT = 256
SEPARATOR = "---"
MOST_TOKENS = str(GenerationSettings().max_new_tokens)
OTHERS = 50
PRIORITY = 100
"""Somebody waits for the answer: before whole evaluations, which have 0 unless somebody said otherwise."""

Answers = Mapping[int, Document]

_kept: OrderedDict[str, Answers] = OrderedDict()  # by job, of those that succeeded: they never change


def form(
    *, adapter: Document | None, model: Document, others: Sequence[Document], again: Document | None = None
) -> Markup:
    """What to ask, and how answers are made. `again` is an earlier try whose words and settings are filled in."""
    generation = (again or {}).get("generation") or {}
    asked = ((again or {}).get("asked") or {}).get("prompts") or []
    turns = [one for one in asked if isinstance(one, list)]
    system = next((turn["content"] for one in turns for turn in one if turn["role"] == "system"), "")
    words = f"\n{SEPARATOR}\n".join(map(_words, asked))
    area = tag(
        "textarea",
        "\n" + words,  # a first line break is the parser's
        name="prompts",
        id="tb-try-prompts",
        rows="4",
        required="",
        placeholder=say("trying.placeholder"),
    )
    fields: list[object] = [_field("prompts", say("trying.prompts"), area, say("trying.prompts_help"))]
    if adapter is not None:
        box = tag("input", type="checkbox", name="with_base", id="tb-try-base", checked="")
        fields.append(tag("label", box, " ", say("trying.with_base", model=model["name"]), kind="tb-check"))
        if others:
            options = [option(one["id"], one["name"]) for one in others[:OTHERS]]
            many = tag(
                "select", *options, name="others", id="tb-try-others", multiple="", size=str(min(4, len(options)))
            )
            fields.append(_field("others", say("trying.others"), many, say("trying.others_help")))
    numbers = [
        _number("generation.max_new_tokens", generation.get("max_new_tokens"), MOST_TOKENS, "1", whole=True),
        _number("generation.temperature", generation.get("temperature"), "0", "0"),
        _number("generation.top_p", generation.get("top_p"), "1", "0"),
        _number("generation.top_k", generation.get("top_k"), "0", "0", whole=True),
        _number("generation.repetition_penalty", generation.get("repetition_penalty"), "1", "0"),
        _number("generation.seed", generation.get("seed"), "", "0", whole=True),
    ]
    more = tag(
        "details",
        tag("summary", say("trying.settings")),
        tag("div", *numbers, kind="tb-fields"),
        tag("p", say("trying.settings_help"), kind="tb-small"),
        _field(
            "system",
            say("trying.system"),
            tag("textarea", system, name="system", id="tb-try-system", rows="2"),
            say("trying.system_help"),
        ),
        kind="tb-fold",
        **({"open": ""} if again else {}),
    )
    values = tag("button", say("trying.ask"), kind="tb-button tb-primary", type="submit", id="tb-try-ask")
    return tag(
        "form",
        *fields,
        more,
        tag("div", values, tag("span", say("trying.keys"), kind="tb-small"), kind="tb-actions"),
        kind="tb-form tb-panel",
        id="tb-try-form",
        data_act="try_it",
        data_values=json.dumps({"adapter_id": adapter["id"]} if adapter else {"model_id": model["id"]}),
        data_done=say("trying.asked"),
        data_submit_keys="",
    )


async def earlier(studio: Studio, arguments: Arguments) -> Document | None:
    """The try that the address wants to be asked again, if there is such a one."""
    with contextlib.suppress(TunebusError):
        if arguments.get("again"):
            return await studio.ask("GetEvaluationJob", id=arguments["again"][:200])
    return None


async def try_it(asking: Asking) -> Done:
    """Ask an adapter, and its base if wanted, or a model, what somebody typed. Errors: `invalid`, the command's own."""
    data, studio = asking.data, asking.studio
    prompts = _prompts(data.get("prompts"), data.get("system"))
    others = data.get("others") or []
    if not isinstance(others, list) or len(others) > OTHERS:
        raise fail(Code.INVALID, f"must be a list of at most {OTHERS}", param="others")
    if data.get("adapter_id"):
        wanted = [str(one)[:200] for one in dict.fromkeys([data["adapter_id"], *map(str, others)])]
        adapters = [await studio.ask("GetAdapter", id=one) for one in wanted]
        tuned = [{"base_model_id": one["model_id"], "adapter_id": one["id"]} for one in adapters]
        bases = [{"base_model_id": one} for one in dict.fromkeys(one["model_id"] for one in adapters)]
        combinations = [*(bases if data.get("with_base", True) else []), *tuned]
    else:
        model = await studio.ask("GetModel", id=str(data.get("model_id") or " ")[:200])
        combinations = [{"base_model_id": model["id"]}]
    command = {"combinations": combinations, "prompts": prompts, "priority": PRIORITY}
    if generation := data.get("generation"):
        command["generation"] = generation
    outcome = await asking.send("StartEvaluationJob", command)
    return Done(id=outcome.id)


async def remove_try(asking: Asking) -> Done:
    """Take a try out of the list, with its files; what runs is stopped first and stays until it has ended."""
    jobs = await asking.studio.items("ListEvaluationJobs", parent_id=str(asking.data.get("parent_id") or " ")[:200])
    for job in jobs:
        if job["state"] not in ENDED:
            await asking.send("StopEvaluationJob", {"id": job["id"]}, job["id"])
        else:
            await asking.send("RemoveEvaluationJob", {"id": job["id"], "delete_files": True}, job["id"])
    return Done()


async def tries(studio: Studio, path: str, arguments: Arguments, **of: str) -> Markup:
    """What was asked before, the newest first, with answers as far as they are written."""
    after = arguments.get("tries", "")[:200]
    page = await studio.ask(
        "ListEvaluationJobs", typed=True, order="newest", limit=3 * TRIES, after=after or None, **of
    )
    parents = list(dict.fromkeys(job["parent_id"] for job in page["items"]))
    shown = []
    first = 0
    for parent in parents[:TRIES]:
        jobs = base_first(await studio.items("ListEvaluationJobs", parent_id=parent))
        first = min(job["position"] for job in jobs)
        shown.append(await _try(studio, path, arguments, jobs))
    if not shown:
        return tag("p", say("trying.nothing"), kind="tb-empty")
    kept = {"id": arguments.get("id", "")[:200], "tab": "try"}
    ways = []
    if after:
        ways.append(tag("a", say("trying.newest"), href=address(path, kept), kind="tb-button", data_partial=""))
    if page["next"] or len(parents) > TRIES:
        older = address(path, kept, tries=str(first))
        ways.append(tag("a", say("trying.older"), href=older, kind="tb-button", data_partial=""))
    return join([*shown, tag("div", *ways, kind="tb-actions")])


async def _try(studio: Studio, path: str, arguments: Arguments, listed: Sequence[Document]) -> Markup:
    jobs = [await studio.ask("GetEvaluationJob", id=job["id"]) for job in listed]
    answers = [await answers_of(studio, job) for job in jobs]
    parent = jobs[0]["parent_id"]
    asked = jobs[0]["asked"].get("prompts") or []
    blocks = []
    for number, prompt in enumerate(asked):
        told = [_answer(job, found.get(number)) for job, found in zip(jobs, answers, strict=True)]
        blocks.append(
            tag(
                "div",
                tag("p", _words(prompt), kind="tb-try-prompt"),
                tag("div", *told, kind="tb-try-answers"),
                kind="tb-try-block",
            )
        )
    live = any(job["state"] not in ENDED for job in jobs)
    kept = {"id": arguments.get("id", "")[:200], "tab": "try"}
    ways = [
        tag("a", say("trying.again"), href=address(path, kept, again=jobs[-1]["id"]), kind="tb-button tb-quiet"),
        act(
            say("trying.stop") if live else say("trying.remove"),
            "remove_try",
            {"parent_id": parent},
            kind="tb-quiet",
            confirm="" if live else say("trying.remove_sure"),
            done=say("trying.stopping") if live else say("trying.removed"),
        ),
    ]
    head = tag(
        "div",
        ago(jobs[0]["created_at"], utc_now()),
        tag("span", _settings(jobs[0].get("generation") or {}), kind="tb-small"),
        tag("span", *ways, kind="tb-actions tb-end"),
        kind="tb-try-head",
    )
    return tag("article", head, *blocks, kind="tb-panel tb-try", data_key=parent)


async def answers_of(studio: Studio, job: Document) -> Answers:
    """Answers by the place of their prompt: all of a job that succeeded, of another what is written so far."""
    if job["id"] in _kept:
        return _kept[job["id"]]
    if job["state"] == "succeeded":
        try:
            page = await studio.over_bus("GetEvaluationRows", job_id=job["id"], limit=64)
        except TunebusError:
            return await _so_far(studio, job)
        found = {row["index"]: row for row in page["items"]}
        _kept[job["id"]] = found
        while len(_kept) > KEPT:
            _kept.popitem(last=False)
        return found
    return await _so_far(studio, job)


async def _so_far(studio: Studio, job: Document) -> Answers:
    try:
        page = await studio.ask("GetSamples", job_id=job["id"])
    except TunebusError:
        return {}
    return {row["row"]: {"answer": row["answers"][-1]["answer"]} for row in page["rows"] if row["answers"]}


def _time(seconds: float) -> str:
    """How long an answer took; no page needs the thousandths."""
    return f"{max(seconds, 0.1):.1f} s"


def _answer(job: Document, row: Document | None) -> Markup:
    """One model's answer to one prompt, or why there is none yet."""
    name = tag("h3", job_name(job) if job["adapter_id"] else say("trying.base", model=job_name(job)))
    state = Markup("") if job["state"] == "succeeded" else state_badge(job["state"])
    parts: list[object] = [tag("div", name, state, kind="tb-try-who")]
    if row is not None:
        writing = job["state"] not in ENDED
        parts.append(
            tag("div", row["answer"], kind=f"tb-try-text{' tb-writing' if writing else ''}", dir="auto")
            if row["answer"] or writing
            else tag("p", say("trying.silent"), kind="tb-small")
        )
        if "tokens" in row:
            said = say("trying.cost", count=row["tokens"], time=_time(row["seconds"]))
            cut = "" if row.get("finished", True) else " " + say("trying.cut")
            parts.append(tag("p", said, cut, kind="tb-small"))
    elif job["state"] == "failed":
        parts.append(banner(outcome(job), "error"))
    elif job["state"] not in ENDED:
        words = job["waiting_reason"] or say("trying.loading")
        parts.append(tag("p", words, kind="tb-small", aria_busy="true"))
    return tag("section", *parts, kind="tb-try-answer", data_key=job["id"])


def _settings(generation: Mapping[str, Any]) -> str:
    if not generation.get("temperature"):
        return say("trying.greedy", tokens=generation.get("max_new_tokens", "–"))
    words = say(
        "trying.sampled",
        temperature=f"{generation['temperature']:g}",
        top_p=f"{generation.get('top_p', 1):g}",
        tokens=generation.get("max_new_tokens", "–"),
    )
    return words if generation.get("seed") is None else f"{words} · {say('trying.seeded', seed=generation['seed'])}"


def _prompts(given: object, system: object) -> list[Any]:
    """What was typed as prompts: texts, or conversations where a system message stands before them."""
    if not isinstance(given, str) or not given.strip():
        raise fail(Code.INVALID, say("trying.missing"), param="prompts")
    if system is not None and not isinstance(system, str):
        raise fail(Code.INVALID, "must be a text", param="system")
    found: list[str] = [""]
    for line in given.replace("\r\n", "\n").split("\n"):
        if line.strip() == SEPARATOR:
            found.append("")
        else:
            found[-1] += ("\n" if found[-1] else "") + line
    texts = [text.strip() for text in found if text.strip()]
    if system and system.strip():
        lead = {"role": "system", "content": system.strip()}
        return [[lead, {"role": "user", "content": text}] for text in texts]
    return texts


def _words(prompt: object) -> str:
    """A prompt as somebody typed it: a text, or the last turn of a conversation."""
    if isinstance(prompt, str):
        return prompt
    turns = prompt if isinstance(prompt, list) else []
    return str(turns[-1]["content"]) if turns else ""


def _field(name: str, label: str, field: Markup, help: str = "") -> Markup:
    words = tag("span", help, kind="tb-small") if help else Markup("")
    return labelled(f"tb-try-{name}", label, field, words)


def _number(name: str, value: object, placeholder: str, least: str, *, whole: bool = False) -> Markup:
    short = name.rpartition(".")[2]
    field = tag(
        "input",
        type="number",
        name=name,
        id=f"tb-try-{short}",
        value="" if value is None else f"{value}",
        placeholder=placeholder,
        min=least,
        step="1" if whole else "any",
        data_as="integer" if whole else "number",
    )
    return _field(short, say(f"trying.setting.{short}"), field)
