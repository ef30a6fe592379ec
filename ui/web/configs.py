"""Configs: kept settings. A list, one of them (`?id=A`), two side by side (`&with=B`), an editor (`?new=1&type=…`).

A config is found by what it says, so it never changes: the editor keeps another one. What it is for can be said anew.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from tunebus.contracts.identifiers import utc_now
from tunebus.ui.web import uses
from tunebus.ui.web.config import settings
from tunebus.ui.web.config.settings import Setting, shown
from tunebus.ui.web.forms import checkbox, control_id, dialog, labelled, opener
from tunebus.ui.web.listing import Choice, Column, Listing, option
from tunebus.ui.web.markup import Markup, ago, icon, join, link, moment, pairs, tag, text
from tunebus.ui.web.page import Arguments, Page, part
from tunebus.ui.web.studio import Document, Studio
from tunebus.ui.web.ways import back, to, way
from tunebus.ui.web.words import phrase, say

_SHORT = 90
_CHOICES = 500


def build(studio: Studio, blocks: Any) -> None:
    part("configs-head")
    part("configs-filter")
    part("config")
    part("configs")


async def read(studio: Studio, arguments: Arguments) -> Mapping[str, Markup]:
    nothing = dict.fromkeys(("configs-head", "configs-filter", "config", "configs"), Markup(""))
    if "new" in arguments:
        return nothing | await _editor(studio, arguments)
    if wanted := arguments.get("id", "")[:200]:
        config = await studio.ask("GetConfig", id=wanted)
        other = await studio.ask("GetConfig", id=arguments["with"][:200]) if arguments.get("with") else None
        return nothing | {"configs-head": _head(config), "config": await _shown(studio, config, other)}
    models = [one["name"] for one in (await studio.ask("ListModels", limit=_CHOICES))["items"]]
    suits = {"model_id": arguments["model"]} if arguments.get("model") in models else {}
    found = await studio.items("ListConfigs", order="newest", **suits)
    listing = _listing(models)
    add = way(say("configs.new"), to("/configs", new="1"), kind="tb-primary")
    none = phrase("configs.none", add=link(say("configs.none_add"), "/configs", new="1"))
    return nothing | {
        "configs-head": tag("div", tag("h1", say("configs.title")), add, kind="tb-title-row tb-spread"),
        "configs-filter": listing.filters(found, arguments) if found or suits else Markup(""),
        "configs": listing.table(found, arguments, none),
    }


def name_of(config: Document) -> str:
    """What a person calls a config: what it is for, else its type and what it says."""
    return config["description"] or f"{_type(config)}: {_summary(config)}"


def _type(config: Document) -> str:
    return say(f"configs.type.{config['type']}")


def _summary(config: Document) -> str:
    said = ", ".join(f"{name} {shown(value)}" for name, value in config["config"].items())
    return said if len(said) <= _SHORT else said[: _SHORT - 1] + "…"


def _family(config: Document) -> str:
    return config["model_family"] or say("configs.every_family")


def _listing(models: Sequence[str]) -> Listing:
    now = utc_now()
    titles = {name: say(f"configs.list.{name}") for name in ("name", "type", "family", "settings", "added")}
    return Listing(
        "/configs",
        say("configs.title"),
        [
            Column("name", titles["name"], _named, lambda one: name_of(one).casefold()),
            Column("type", titles["type"], _type, _type),
            Column("family", titles["family"], _family, _family),
            Column("settings", titles["settings"], lambda one: tag("span", _summary(one), kind="tb-small")),
            Column("added", titles["added"], lambda one: ago(one["added_at"], now), lambda one: one["added_at"]),
        ],
        lambda one: f"{one['description']} {one['model_family'] or ''} {json.dumps(one['config'])}",
        [
            Choice("type", titles["type"], _type),
            Choice("family", titles["family"], _family),
            Choice("model", say("configs.list.model"), values=models),
        ],
        first="-added",
    )


def _named(config: Document) -> Markup:
    mark = tag("span", say("configs.default"), kind="tb-badge") if config["is_default"] else Markup("")
    return join([tag("strong", link(name_of(config), "/configs", id=config["id"])), " ", mark])


def _head(config: Document) -> Markup:
    ways = [
        way(
            say("configs.change"), to("/configs", new="1", **{"from": config["id"]}), picture="copy", kind="tb-primary"
        ),
        opener(say("configs.describe"), "tb-describe"),
        opener(say("forms.remove"), "tb-remove", "tb-danger"),
    ]
    facts = pairs(
        [
            (say("configs.list.type"), _type(config)),
            (say("configs.list.family"), _family(config)),
            (say("configs.about.is_default"), config["is_default"]),
            (say("configs.list.added"), moment(config["added_at"])),
            (say("configs.id"), tag("code", config["id"])),
        ]
    )
    return join(
        [
            back(say("configs.title"), "/configs"),
            tag("h1", name_of(config)),
            tag("p", say("configs.immutable"), kind="tb-small"),
            tag("div", *ways, kind="tb-actions"),
            facts,
            _describe(config),
            uses.remove_dialog("config", config["id"], name_of(config)),
        ]
    )


def _describe(config: Document) -> Markup:
    given = {"id": config["id"]}
    return dialog(
        "tb-describe",
        say("configs.describe_title"),
        _about("describe", config, keep_empty=True),
        "DescribeConfig",
        given,
        say("configs.describe_do"),
        done=say("configs.described"),
    )


def _about(page: str, config: Document | None, *, keep_empty: bool = False) -> list[Markup]:
    """What a config is for: its description, its family, and whether it is a default."""
    kept = {"data_keep_empty": ""} if keep_empty else {}
    said = config or {"description": "", "model_family": "", "is_default": False}
    fields = []
    for name, longest in (("description", "10000"), ("model_family", "100")):
        at = control_id(page, name)
        value = said[name] or ""
        given = tag("input", type="text", name=name, id=at, value=value, maxlength=longest, **kept)
        help = tag("span", say(f"configs.help.{name}"), kind="tb-small")
        fields.append(labelled(at, say(f"configs.about.{name}"), given, help))
    marked = {"checked": ""} if said["is_default"] else {}
    at = control_id(page, "is_default")
    return [
        *fields,
        checkbox(at, "is_default", say("configs.about.is_default"), say("configs.help.is_default"), **marked),
    ]


async def _shown(studio: Studio, config: Document, other: Document | None) -> Markup:
    document = json.dumps(config["config"], indent=2, ensure_ascii=False)
    copy = tag(
        "button", icon("copy"), say("configs.copy"), type="button", kind="tb-button tb-quiet", data_copy=document
    )
    written = tag("pre", document, kind="tb-text", tabindex="0")
    both = tag(
        "div",
        tag("section", tag("h2", say("configs.settings")), _table(config), kind="tb-panel"),
        tag("section", tag("h2", say("configs.json")), copy, written, kind="tb-panel"),
        kind="tb-beside",
    )
    same = [one for one in await studio.items("ListConfigs", type=config["type"]) if one["id"] != config["id"]]
    return join(
        [
            both if other is None else Markup(""),
            tag("section", tag("h2", say("configs.compare")), _chooser(config, same, other), kind="tb-section"),
            _difference(config, other) if other else Markup(""),
            tag("section", tag("h2", say("configs.uses")), uses.room("config", config["id"]), kind="tb-section"),
        ]
    )


def _table(config: Document) -> Markup:
    known = settings.of(config["type"])
    rows = [
        tag(
            "tr",
            tag("th", _label(known.get(name), name), scope="row"),
            tag("td", shown(value), kind="tb-figure"),
            tag("td", known[name].default_words if name in known else "", kind="tb-small"),
        )
        for name, value in config["config"].items()
    ]
    if not rows:
        return tag("p", say("configs.says_nothing"), kind="tb-empty")
    heads = (say("configs.setting"), say("configs.value"), say("configs.usual"))
    head = tag("tr", *(tag("th", words, scope="col") for words in heads))
    return tag("div", tag("table", tag("thead", head), tag("tbody", *rows)), kind="tb-table")


def _label(setting: Setting | None, name: str) -> Markup:
    if setting is None or setting.label == name:
        return tag("code", name)
    return join([setting.label, tag("div", tag("code", name), kind="tb-small")])


def _chooser(config: Document, others: Sequence[Document], other: Document | None) -> Markup:
    if not others:
        return tag("p", say("configs.no_other"), kind="tb-small")
    at = control_id("configs", "with")
    chosen = other["id"] if other else ""
    options = [option("", say("configs.choose_other"), chosen)]
    options += [option(one["id"], name_of(one), chosen) for one in others]
    if other and chosen not in [one["id"] for one in others]:
        options.append(option(chosen, name_of(other), chosen))
    return tag(
        "form",
        tag("input", type="hidden", name="id", value=config["id"]),
        labelled(at, say("configs.with"), tag("select", *options, name="with", id=at)),
        kind="tb-filter",
        action="/configs",
        data_partial="",
    )


def difference(kind: str, one: Mapping[str, Any], other: Mapping[str, Any]) -> list[tuple[str, bool]]:
    """Every setting of two bodies, those that differ first, and whether it does. What a body does not say is as usual;
    where nothing is usual, it differs."""
    nothing = object()
    usual = {setting.name: setting.default for setting in settings.of(kind).values()}
    whole = [{**dict.fromkeys([*one, *other], nothing), **usual, **body} for body in (one, other)]
    found = [(name, whole[0][name] != whole[1][name]) for name in dict.fromkeys([*one, *other])]
    return sorted(found, key=lambda pair: not pair[1])


def _difference(config: Document, other: Document) -> Markup:
    known = settings.of(config["type"]) if config["type"] == other["type"] else {}
    rows = []
    found = difference(config["type"], config["config"], other["config"])
    for name, differs in found:
        mark = join([icon("compare"), " ", say("configs.differs")]) if differs else say("configs.same")
        rows.append(
            tag(
                "tr",
                tag("th", _label(known.get(name), name), scope="row"),
                *(tag("td", _value(one, name, known), kind="tb-figure" if differs else "") for one in (config, other)),
                tag("td", mark, kind="tb-small"),
                kind="tb-differs" if differs else "",
            )
        )
    heads = [say("configs.setting"), name_of(config), link(name_of(other), "/configs", id=other["id"]), ""]
    head = tag("tr", *(tag("th", words, scope="col") for words in heads))
    count = sum(differs for _, differs in found)
    return join(
        [
            tag("p", say("configs.difference", count=count), kind="tb-small"),
            tag("div", tag("table", tag("thead", head), tag("tbody", *rows)), kind="tb-table", id="tb-difference"),
        ]
    )


def _value(config: Document, name: str, known: Mapping[str, Setting]) -> Markup:
    if name in config["config"]:
        return text(shown(config["config"][name]))
    usual = known[name].default_words if name in known else "–"
    return tag("span", say("configs.not_said", default=usual), kind="tb-small")


async def _editor(studio: Studio, arguments: Arguments) -> dict[str, Markup]:
    before = await studio.ask("GetConfig", id=arguments["from"][:200]) if arguments.get("from") else None
    kind = before["type"] if before else arguments.get("type", "")
    kind = kind if kind in settings.TYPES else settings.TYPES[0]
    head = join(
        [
            back(say("configs.title"), "/configs"),
            tag("h1", say("configs.new")),
            tag("p", say("configs.immutable"), kind="tb-lead"),
        ]
    )
    return {
        "configs-head": head,
        "configs-filter": Markup("") if before else _types(kind),
        "config": _form(kind, before),
    }


def _types(kind: str) -> Markup:
    at = control_id("configs", "type")
    options = [option(one, say(f"configs.type.{one}"), kind) for one in settings.TYPES]
    return tag(
        "form",
        tag("input", type="hidden", name="new", value="1"),
        labelled(at, say("configs.list.type"), tag("select", *options, name="type", id=at)),
        kind="tb-filter",
        action="/configs",
        data_partial="",
    )


def _form(kind: str, before: Document | None) -> Markup:
    """The same settings twice, as fields and as JSON; `configs.js` keeps them in step."""
    body = before["config"] if before else {}
    known = settings.of(kind)
    fields = [_field(one, body.get(one.name)) for one in known.values()]
    at = control_id("configs", "config")
    document = json.dumps(body, indent=2, ensure_ascii=False)
    rows = str(max(8, min(24, len(body) + 4)))
    given = tag("textarea", document, name="config", id=at, rows=rows, spellcheck="false", required="")
    help = tag("span", say("configs.help.config"), kind="tb-small")
    left = tag(
        "section",
        tag("h2", say("configs.settings")),
        tag("p", say("configs.help.fields"), kind="tb-small"),
        tag("div", *fields, kind="tb-columns-form") if fields else tag("p", say("configs.free"), kind="tb-empty"),
        kind="tb-panel",
    )
    right = tag(
        "section",
        tag("h2", say("configs.json")),
        labelled(at, say("configs.document"), given, help),
        *_about("configs", before),
        tag("p", say("configs.draft"), " ", _start_over(), data_draft_note="", hidden="", kind="tb-small"),
        tag("div", tag("button", say("configs.save"), kind="tb-button tb-primary"), kind="tb-actions"),
        kind="tb-panel tb-form tb-example-panel",
    )
    return tag(
        "form",
        left,
        right,
        data_act="AddConfig",
        data_values=json.dumps({"type": kind}),
        data_config=kind,
        data_draft=f"config-{kind}-{before['id'] if before else ''}",
        data_done=say("configs.saved"),
        data_goto="/configs?id={id}",
        kind="tb-beside",
        id="tb-config-form",
        data_key=f"config-{kind}",
        novalidate="",
    )


def _start_over() -> Markup:
    return tag("button", say("configs.start_over"), type="button", kind="tb-button tb-quiet", data_draft_clear="")


def _field(setting: Setting, value: Any) -> Markup:
    """A field without a name: what it holds is part of the document."""
    at = control_id("configs-setting", setting.name)
    own = {"id": at, "data_setting": setting.name, "data_kind": setting.kind}
    usual = setting.default_words
    empty = usual if setting.default is None else say("configs.default_is", default=usual)
    if setting.kind in ("choice", "flag"):
        choices = setting.choices if setting.kind == "choice" else ("true", "false")
        chosen = "" if value is None else (str(value).lower() if setting.kind == "flag" else str(value))
        words = {"true": say("configs.yes"), "false": say("configs.no")}
        options = [option("", empty, chosen), *(option(one, words.get(one, one), chosen) for one in choices)]
        control = tag("select", *options, **own)
    elif setting.kind == "names":
        written = ", ".join(value) if isinstance(value, list) else value or ""
        control = tag("input", type="text", value=written, placeholder=empty, **own)
    else:
        limits = {
            name: f"{limit:g}" for name, limit in (("min", setting.least), ("max", setting.most)) if limit is not None
        }
        step = "1" if setting.kind == "integer" else "any"
        written = "" if value is None else shown(value)
        control = tag("input", type="number", step=step, value=written, placeholder=empty, **limits, **own)
    help = tag("span", setting.help, kind="tb-small") if setting.help else Markup("")
    return labelled(at, setting.label, control, help)


async def check(studio: Studio, typed: Mapping[str, Any]) -> Mapping[str, Any]:
    """Whether a document would be kept. Errors: all that is wrong with it, by key."""
    kind, document = typed.get("type"), typed.get("config")
    return {"config": settings.check(kind if kind in settings.TYPES else "custom", str(document or "")[:100_000])}


PAGE = Page("configs", "configs.title", build, read, group="library", checks={"config": check})
