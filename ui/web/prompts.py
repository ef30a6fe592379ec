"""Prompts: how rows become texts. A list, one of them (`?id=…`), and an editor (`?new=1&dataset=…&from=…`).

A prompt never changes, so that what was trained with it can be explained: the editor makes a new one.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Mapping, Sequence
from typing import Any

from tunebus.contracts.errors import TunebusError
from tunebus.contracts.identifiers import utc_now
from tunebus.ui.web import uses
from tunebus.ui.web.forms import control_id, labelled, opener, rename_dialog, text_field
from tunebus.ui.web.listing import Choice, Column, Listing, option
from tunebus.ui.web.markup import Markup, ago, banner, empty, icon, join, link, tag, text
from tunebus.ui.web.page import Arguments, Page, part
from tunebus.ui.web.studio import Document, Studio
from tunebus.ui.web.ways import back, to, way
from tunebus.ui.web.words import phrase, say

TEMPLATES = ("input_template", "completion_template", "prompt_template")
SEEDS = 2**32
CHOICES = 500
_PLACEHOLDER = re.compile(r"\{\{|\}\}|\{[^{}]*\}")


def build(studio: Studio, blocks: Any) -> None:
    part("prompts-head")
    part("prompts-chooser")
    part("prompt")
    part("prompts")


async def read(studio: Studio, arguments: Arguments) -> Mapping[str, Markup]:
    nothing = dict.fromkeys(("prompts-head", "prompts-chooser", "prompt", "prompts"), Markup(""))
    if "new" in arguments:
        return nothing | await _editor(studio, arguments)
    if wanted := arguments.get("id", "")[:200]:
        prompt = await studio.ask("GetPrompt", id=wanted)
        return nothing | {"prompts-head": _head(prompt), "prompt": await _shown(studio, prompt, arguments)}
    found = await studio.items("ListPrompts", order="newest")
    listing = _listing()
    add = way(say("prompts.new"), to("/prompts", new="1"), kind="tb-primary")
    none = phrase("prompts.none", add=link(say("prompts.none_add"), "/prompts", new="1"))
    return nothing | {
        "prompts-head": tag("div", tag("h1", say("prompts.title")), add, kind="tb-title-row tb-spread"),
        "prompts-chooser": listing.filters(found, arguments) if found else Markup(""),
        "prompts": listing.table(found, arguments, none),
    }


def _listing() -> Listing:
    now = utc_now()
    titles = {name: say(f"prompts.list.{name}") for name in ("name", "dataset", "template", "added")}
    return Listing(
        "/prompts",
        say("prompts.title"),
        [
            Column("name", titles["name"], _name, lambda one: one["name"].casefold()),
            Column("dataset", titles["dataset"], _dataset_link, lambda one: (one["dataset_name"] or "").casefold()),
            Column("template", titles["template"], lambda one: tag("code", _short(one), kind="tb-line")),
            Column("added", titles["added"], lambda one: ago(one["added_at"], now), lambda one: one["added_at"]),
        ],
        lambda one: " ".join([one["name"], one["dataset_name"] or "", *(one[name] for name in TEMPLATES)]),
        [Choice("dataset", titles["dataset"], lambda one: one["dataset_name"] or "")],
        first="-added",
    )


def _name(one: Document) -> Markup:
    return tag("strong", link(one["name"], "/prompts", id=one["id"]))


def _dataset_link(one: Document) -> Markup:
    if not one["dataset_name"] or "dataset_id" in one.get("removed", ()):
        return text(one["dataset_name"])
    return link(one["dataset_name"], "/datasets", id=one["dataset_id"])


def _short(one: Document) -> str:
    return f"{one['input_template']} → {one['completion_template']}"


def _head(prompt: Document) -> Markup:
    train = to("/train", dataset=prompt["dataset_id"], prompt=prompt["id"])
    ways = [
        way(say("prompts.train"), train, picture="train", kind="tb-primary"),
        way(say("prompts.change"), to("/prompts", new="1", **{"from": prompt["id"]}), picture="copy"),
        opener(say("forms.rename"), "tb-rename"),
        opener(say("forms.remove"), "tb-remove", "tb-danger"),
    ]
    return join(
        [
            back(say("prompts.title"), "/prompts"),
            tag("div", tag("h1", prompt["name"]), tag("div", *ways, kind="tb-actions"), kind="tb-title-row tb-apart"),
            tag("p", phrase("prompts.for", dataset=_dataset_link(prompt)), kind="tb-lead"),
            rename_dialog("RenamePrompt", prompt["id"], prompt["name"]),
            uses.remove_dialog("prompt", prompt["id"], prompt["name"]),
        ]
    )


async def _shown(studio: Studio, prompt: Document, arguments: Arguments) -> Markup:
    templates = [
        join([tag("h3", say(f"prompts.field.{name}")), tag("pre", marked(prompt[name]), kind="tb-text")])
        for name in TEMPLATES
    ]
    seed = _seed(arguments.get("seed", ""))
    kept = {"id": prompt["id"]} | ({"model": arguments["model"]} if arguments.get("model") else {})
    another = to("/prompts", **kept, seed=(seed + 1) % SEEDS)
    models = (await studio.ask("ListModels", limit=CHOICES))["items"]
    at = control_id("prompts", "model")
    layout = tag(
        "form",
        tag("input", type="hidden", name="id", value=prompt["id"]),
        tag("input", type="hidden", name="seed", value=str(seed)),
        labelled(at, say("prompts.layout"), _layouts(at, models, arguments.get("model", ""), name="model")),
        tag("a", say("prompts.another"), href=another, kind="tb-button", data_partial=""),
        kind="tb-filter",
        action="/prompts",
        data_partial="",
    )
    asked = to("/fragment/prompt-example", **kept, seed=seed)
    return join(
        [
            tag(
                "div",
                tag("section", tag("h2", say("prompts.templates")), *templates, kind="tb-panel"),
                tag(
                    "section",
                    tag("h2", say("prompts.example")),
                    layout,
                    tag("div", data_load=asked, kind="tb-loading"),
                    kind="tb-panel",
                ),
                kind="tb-beside",
            ),
            tag("section", tag("h2", say("prompts.uses")), uses.room("prompt", prompt["id"]), kind="tb-section"),
        ]
    )


def marked(template: str) -> Markup:
    """A template with its placeholders marked."""
    parts: list[object] = []
    last = 0
    for found in _PLACEHOLDER.finditer(template):
        parts.append(template[last : found.start()])
        parts.append(tag("strong", found.group(), kind="tb-placeholder"))
        last = found.end()
    return join([*parts, template[last:]])


def _layouts(at: str, models: Sequence[Document], chosen: str, **attributes: str) -> Markup:
    """Plain text, or a model's own chat template."""
    options = [option("", say("prompts.plain"), chosen)]
    options += [
        option(one["name"], say("prompts.chat", model=one["name"]), chosen)
        for one in models
        if one["has_chat_template"]
    ]
    return tag("select", *options, id=at, **attributes)


async def _editor(studio: Studio, arguments: Arguments) -> dict[str, Markup]:
    """The editor for a dataset's columns, with what is there to begin with: another prompt, or a generated one."""
    before: Document | None = None
    if arguments.get("from"):
        before = await studio.ask("GetPrompt", id=arguments["from"][:200])
    wanted = arguments.get("dataset") or (before or {}).get("dataset_id", "")
    datasets = (await studio.ask("ListDatasets", limit=CHOICES, order="newest"))["items"]
    head = join(
        [
            back(say("prompts.title"), "/prompts"),
            tag("h1", say("prompts.new")),
            tag("p", say("prompts.immutable"), kind="tb-lead"),
        ]
    )
    if not datasets:
        none = phrase("prompts.no_dataset", add=link(say("datasets.add.title"), "/datasets", add="upload"))
        return {"prompts-head": head, "prompt": tag("p", none, kind="tb-empty")}
    dataset = await studio.ask("GetDataset", id=wanted[:200]) if wanted else None
    shown = {"prompts-head": head, "prompts-chooser": _dataset_chooser(datasets, dataset, before)}
    if dataset is None:
        return shown | {"prompt": empty(say("prompts.choose"))}
    models = (await studio.ask("ListModels", limit=CHOICES))["items"]
    return shown | {"prompt": _form(dataset, before, await _first(studio, dataset, before), models)}


async def _first(studio: Studio, dataset: Document, before: Document | None) -> Mapping[str, str]:
    if before is not None:
        return {name: before[name] for name in TEMPLATES}
    try:
        made = await studio.over_bus("GeneratePrompt", dataset_id=dataset["id"])
    except TunebusError:
        return dict.fromkeys(TEMPLATES, "")
    return {name: made[name] for name in TEMPLATES}


def _dataset_chooser(datasets: Sequence[Document], dataset: Document | None, before: Document | None) -> Markup:
    at = control_id("prompts", "dataset")
    chosen = dataset["id"] if dataset else ""
    options = [option("", say("prompts.choose_dataset"), chosen)]
    options += [option(one["id"], one["name"], chosen) for one in datasets]
    if dataset and chosen not in [one["id"] for one in datasets]:
        options.append(option(chosen, dataset["name"], chosen))
    hidden = [tag("input", type="hidden", name="new", value="1")]
    if before is not None:
        hidden.append(tag("input", type="hidden", name="from", value=before["id"]))
    return tag(
        "form",
        *hidden,
        labelled(at, say("prompts.field.dataset"), tag("select", *options, name="dataset", id=at)),
        kind="tb-filter",
        action="/prompts",
        data_partial="",
    )


def _form(dataset: Document, before: Document | None, first: Mapping[str, str], models: Sequence[Document]) -> Markup:
    columns = [
        tag(
            "button",
            "{" + name + "}",
            type="button",
            kind="tb-button tb-column",
            data_insert="{" + name + "}",
            **({"disabled": "", "title": say("prompts.brace")} if "{" in name or "}" in name else {}),
        )
        for name in dataset["features"]
    ]
    answer = control_id("prompts", "output")
    choices = [option("", say("prompts.guess")), *(option(one, one) for one in dataset["features"])]
    generate = tag(
        "div",
        labelled(answer, say("prompts.output"), tag("select", *choices, id=answer, data_output="")),
        tag("button", say("prompts.generate"), type="button", kind="tb-button", data_generate=dataset["id"]),
        kind="tb-filter",
    )
    name = say("prompts.copy_of", name=before["name"]) if before else ""
    fields = [_template(one, first[one]) for one in TEMPLATES]
    form = tag(
        "form",
        text_field("prompts", "name", value=name, required="", maxlength="200"),
        tag("fieldset", tag("legend", say("prompts.columns")), *columns, kind="tb-inserts"),
        generate,
        *fields,
        tag("p", say("prompts.braces"), kind="tb-small"),
        tag("p", say("prompts.draft"), " ", _start_over(), data_draft_note="", hidden="", kind="tb-small"),
        tag("div", tag("button", say("prompts.save"), kind="tb-button tb-primary"), kind="tb-actions"),
        data_act="AddPrompt",
        data_values=json.dumps({"dataset_id": dataset["id"]}),
        data_example=dataset["id"],
        data_draft=f"prompt-{dataset['id']}-{before['id'] if before else ''}",
        data_done=say("prompts.saved"),
        data_goto="/prompts?id={id}",
        kind="tb-form",
        id="tb-prompt-form",
    )
    at = control_id("prompts", "model")
    example = tag(
        "section",
        tag("h2", say("prompts.example")),
        tag(
            "div",
            labelled(at, say("prompts.layout"), _layouts(at, models, "", data_layout="")),
            tag("button", say("prompts.another"), type="button", kind="tb-button", data_another=""),
            kind="tb-filter",
        ),
        tag("div", data_keep="", data_example_place="", aria_live="polite", kind="tb-loading"),
        kind="tb-panel tb-example-panel",
    )
    return tag("div", tag("section", form, kind="tb-panel"), example, kind="tb-beside")


def _start_over() -> Markup:
    return tag("button", say("prompts.start_over"), type="button", kind="tb-button tb-quiet", data_draft_clear="")


def _template(name: str, value: str) -> Markup:
    at = control_id("prompts", name)
    lines = str(min(10, max(2, value.count("\n") + 2)))
    given = tag(
        "textarea", value, name=name, id=at, rows=lines, maxlength="20000", spellcheck="false", data_keep_empty=""
    )
    help = tag("span", say(f"prompts.help.{name}"), kind="tb-small")
    return labelled(at, say(f"prompts.field.{name}"), given, help)


def _seed(given: str) -> int:
    return int(given) % SEEDS if given.isascii() and given.isdigit() and len(given) < 12 else 0


async def example(studio: Studio, arguments: Arguments) -> Markup:
    """A row through a prompt that is there."""
    asked: dict[str, Any] = {"prompt_id": arguments.get("id", ""), "seed": _seed(arguments.get("seed", ""))}
    if arguments.get("model"):
        asked["model_id"] = arguments["model"]
    return rendered(await studio.over_bus("RenderPrompt", **asked))


async def check(studio: Studio, typed: Mapping[str, Any]) -> Mapping[str, Any]:
    """A row through the templates as they are typed. Errors: `invalid`, naming each wrong field."""
    seed = typed.get("seed")
    asked = {name: typed.get(name, "") for name in ("dataset_id", *TEMPLATES)}
    asked["seed"] = seed % SEEDS if isinstance(seed, int) else random.randrange(SEEDS)  # noqa: S311  which row
    if typed.get("model_id"):
        asked["model_id"] = typed["model_id"]
    return {"html": rendered(await studio.over_bus("RenderPrompt", **asked))}


async def generated(studio: Studio, arguments: Arguments) -> Mapping[str, Any]:
    asked = {"dataset_id": arguments.get("dataset", "")}
    if arguments.get("output"):
        asked["output_column"] = arguments["output"]
    made = await studio.over_bus("GeneratePrompt", **asked)
    return {name: made[name] for name in TEMPLATES}


def rendered(found: Document) -> Markup:
    """What a model is given, and what it should answer, marked."""
    legend = phrase("datasets.rows.legend", learnt=tag("mark", say("datasets.rows.so"), kind="tb-learnt"))
    number = tag("p", say("datasets.rows.number", number=f"{found['row_number']:,}"), " · ", legend, kind="tb-small")
    if found["chat"] is None:
        shown = join([found["prompt"], tag("mark", found["completion"], kind="tb-learnt")])
    else:
        before, answer, after = found["chat"].rpartition(found["completion"].strip())
        shown = join([before, tag("mark", answer, kind="tb-learnt"), after]) if answer else text(found["chat"])
    parts: list[object] = [number, tag("pre", shown, kind="tb-text", tabindex="0")]
    if not found["completion"].strip():
        parts.append(banner(join([icon("warning"), " ", say("prompts.no_answer")])))
    columns = [
        join(
            [
                tag("dt", name),
                tag("dd", text(value if isinstance(value, str | int | float | bool) else json.dumps(value))),
            ]
        )
        for name, value in found["row"].items()
    ]
    row = tag("details", tag("summary", say("prompts.row")), tag("dl", *columns, kind="tb-pairs"), kind="tb-again")
    return join([*parts, row])


PAGE = Page(
    "prompts",
    "prompts.title",
    build,
    read,
    group="library",
    fragments={"prompt-example": example},
    data={"prompt-generated": generated},
    checks={"prompt": check},
)
