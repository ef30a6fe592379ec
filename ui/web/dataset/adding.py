"""Adding a dataset: an upload, a path or the Hub. A file is looked at first, so that columns can be given their roles.

Its address says which file and which roles, so that nothing is lost by a reload; nothing is added before the last step.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import urlencode

from tunebus.contracts.errors import Code, Problem, TunebusError, fail
from tunebus.ui.web.acting import Asking, Done
from tunebus.ui.web.dataset.rows import raw_table
from tunebus.ui.web.forms import checkbox, control_id, labelled, text_field
from tunebus.ui.web.listing import address, option
from tunebus.ui.web.markup import Markup, icon, join, tag
from tunebus.ui.web.page import Arguments
from tunebus.ui.web.studio import DATASET_SUFFIXES, Document, Studio
from tunebus.ui.web.words import phrase, say

WAYS = ("upload", "path", "hub")
_ROLE = "map."
_ARGUMENTS = ("path", "upload", "type", "format")
_LONGEST = 4096
_KEPT_UNDER = re.compile(r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}-")
"""What the name of an upload begins with."""


def way_of(arguments: Arguments) -> str:
    """Which way of adding the address asks for."""
    return arguments["add"] if arguments.get("add") in WAYS else WAYS[0]


def page(studio: Studio, arguments: Arguments) -> Markup:
    way = way_of(arguments)
    links = [
        tag(
            "a",
            say(f"datasets.add.{one}"),
            href=address("/datasets", {"add": one}),
            data_partial="",
            **({"aria_current": "true"} if one == way else {}),
        )
        for one in WAYS
    ]
    ways = tag("nav", *links, kind="tb-tabs", aria_label=say("datasets.add.ways"))
    made = {"upload": _upload, "path": _path, "hub": _hub}[way](studio, arguments)
    parts = [ways, tag("div", made, kind="tb-panel", data_key=f"way-{way}")]
    if way != "hub" and (looked := look_address(arguments)):
        parts.append(tag("div", data_load=looked, data_key="look", id="tb-look"))
    return join(parts)


def look_address(arguments: Arguments) -> str:
    """Where the look at the file that an address names is."""
    wanted = {name: arguments[name][:_LONGEST] for name in _ARGUMENTS if arguments.get(name)}
    if not wanted.keys() & {"path", "upload"}:
        return ""
    wanted |= {name: value for name, value in arguments.items() if name.startswith(_ROLE) and value}
    return f"/fragment/dataset-look?{urlencode(wanted)}"


def _upload(studio: Studio, arguments: Arguments) -> Markup:
    limit = studio.settings.ui_upload_limit_mb
    name = control_id("datasets", "file")
    given = tag("input", type="file", id=name, name="file", accept=",".join(DATASET_SUFFIXES))
    label = tag("label", say("datasets.add.choose"), **{"for": name})
    help = say("datasets.add.kinds", kinds=", ".join(DATASET_SUFFIXES), limit=limit)
    bar = tag("div", data_keep="", kind="tb-uploading", aria_live="polite")
    return tag(
        "form",
        tag("div", label, given, tag("span", help, kind="tb-small"), kind="tb-field tb-drop"),
        bar,
        data_upload="/datasets?add=upload",
        data_limit=str(limit * 1_000_000),
        data_suffixes=json.dumps(DATASET_SUFFIXES),
        kind="tb-form",
    )


def _path(studio: Studio, arguments: Arguments) -> Markup:
    roots = join([tag("code", str(root)) for root in studio.settings.roots], ", ")
    name = control_id("datasets", "path")
    given = tag(
        "input",
        type="text",
        id=name,
        name="path",
        value=arguments.get("path", "")[:_LONGEST],
        required="",
        data_on_submit="",
        autocomplete="off",
        spellcheck="false",
    )
    return tag(
        "form",
        tag("input", type="hidden", name="add", value="path"),
        tag(
            "div",
            tag("label", say("datasets.add.path_label"), **{"for": name}),
            given,
            tag("span", phrase("datasets.add.roots", roots=roots), kind="tb-small"),
            kind="tb-field",
        ),
        tag("div", tag("button", say("datasets.add.look"), kind="tb-button tb-primary"), kind="tb-actions"),
        action="/datasets",
        data_partial="",
        kind="tb-form",
    )


def _hub(studio: Studio, arguments: Arguments) -> Markup:
    fields = [
        text_field("datasets", "huggingface_name", required="", maxlength="200", placeholder="owner/name"),
        text_field("datasets", "config_name", maxlength="200"),
        text_field("datasets", "split", maxlength="200", placeholder="train"),
        text_field("datasets", "revision", maxlength="200", placeholder="main"),
        text_field("datasets", "name", required="", maxlength="200"),
        text_field("datasets", "description", maxlength="10000"),
    ]
    roles = [_typed_role(name) for name in ("prompt", "completion", "messages", "instruction", "output", "input")]
    more = tag(
        "details",
        tag("summary", say("datasets.add.hub_columns")),
        tag("p", say("datasets.add.hub_columns_help"), kind="tb-small"),
        tag("div", *roles, kind="tb-columns-form"),
    )
    return tag(
        "form",
        tag("div", *fields, kind="tb-columns-form"),
        _skip_broken(),
        more,
        tag("p", say("datasets.add.hub_help"), kind="tb-small"),
        tag("div", tag("button", say("datasets.add.do"), kind="tb-button tb-primary"), kind="tb-actions"),
        data_act="AddDataset",
        data_done=say("datasets.add.done"),
        data_goto="/datasets?id={id}",
        data_draft="dataset-hub",
        kind="tb-form",
        id="tb-add-hub",
    )


def _typed_role(name: str) -> Markup:
    at = control_id("datasets", f"role-{name}")
    given = tag("input", type="text", name=f"column_mapping.{name}", id=at, maxlength="200", autocomplete="off")
    return labelled(at, phrase("datasets.look.role", role=tag("code", name)), given)


def _skip_broken() -> Markup:
    at = control_id("datasets", "skip_broken")
    return checkbox(at, "skip_broken", say("datasets.field.skip_broken"), say("datasets.help.skip_broken"))


async def keep_upload(asking: Asking) -> Done:
    """Take over what a browser has just uploaded; the id is the name to look at it and to add it by."""
    given = {name: asking.data.get(name) for name in ("path", "name")}
    if not all(isinstance(value, str) and 0 < len(value) <= _LONGEST for value in given.values()):
        raise fail(Code.INVALID, "choose a file first", param="file")
    return Done(id=await asking.studio.keep_upload(given["path"], str(given["name"])))


async def look(studio: Studio, arguments: Arguments) -> Markup:
    """What a file would be recognised as, the roles of its columns, its first rows, and the form that adds it."""
    asked = _asked(arguments)
    try:
        found = await studio.over_bus("InspectDataset", limit=5, **asked)
    except TunebusError as error:
        raise TunebusError(in_words(error.problem)) from None
    return tag(
        "div",
        tag("h2", say("datasets.look.title")),
        _recognised(found, _name_of(asked)),
        _findings(found),
        _roles(found, asked, arguments),
        *([tag("h3", say("datasets.look.rows")), raw_table(found["features"], found["rows"])] if found["rows"] else []),
        tag("h2", say("datasets.look.add")),
        _form(found, asked),
        kind="tb-panel",
    )


def in_words(problem: Problem) -> Problem:
    """A refusal to look at a file, as who chose the file knows it: by its own name, not by the one it is kept under,
    and without the name of the only field there is."""
    return problem.model_copy(
        update={
            "message": _KEPT_UNDER.sub("", problem.message),
            "param": None if problem.param in ("path", "upload") else problem.param,
            "details": [in_words(one) for one in problem.details] if problem.details else None,
        }
    )


def _asked(arguments: Arguments) -> dict[str, Any]:
    """The query's arguments, which are the command's as well."""
    asked: dict[str, Any] = {}
    asked |= {name: arguments[name] for name in _ARGUMENTS if arguments.get(name)}
    mapping = {name.removeprefix(_ROLE): value for name, value in arguments.items() if name.startswith(_ROLE) and value}
    return asked | ({"column_mapping": mapping} if mapping else {})


def format_badge(name: str) -> Markup:
    return tag("span", say(f"datasets.format.{name}"), kind="tb-badge tb-format")


def _recognised(found: Document, name: str) -> Markup:
    rows = say(
        "datasets.look.all_rows" if found["complete"] else "datasets.look.first_rows",
        count=found["looked_at"],
        shown=f"{found['looked_at']:,}",
    )
    said = phrase(
        "datasets.look.recognised",
        name=tag("strong", name),
        type=found["type"].upper(),
        format=format_badge(found["format"]),
    )
    parts: list[object] = [
        tag("p", icon("succeeded"), " ", said, kind="tb-recognised"),
        tag("p", rows, kind="tb-small"),
    ]
    if found["files"]:
        parts.append(
            tag("p", ", ".join(f"{one['path']} ({one['split']})" for one in found["files"][:20]), kind="tb-small")
        )
    if found["lacks"]:
        names = join([tag("code", name) for name in found["lacks"]], ", ")
        title = say(f"datasets.format.{found['format']}")
        words = phrase("datasets.look.lacks", format=title, names=names)
        parts.append(tag("div", icon("warning"), " ", words, kind="tb-banner tb-banner-warning", role="status"))
    elif found["format"] == "prompt":
        parts.append(tag("div", say("datasets.look.plain"), kind="tb-banner tb-banner-info", role="status"))
    return join(parts)


def _findings(found: Document) -> Markup:
    if not found["broken"]:
        return Markup("")
    lines = [tag("li", tag("strong", one["place"]), ": ", one["error"]) for one in found["findings"]]
    words = say("datasets.look.broken", count=found["broken"])
    return tag(
        "div",
        tag("p", icon("warning"), " ", words),
        tag("ul", *lines, kind="tb-places"),
        kind="tb-banner tb-banner-warning",
        role="status",
    )


def _roles(found: Document, asked: Mapping[str, Any], arguments: Arguments) -> Markup:
    """A format, and which column plays which of its roles; a change looks again."""
    way = "upload" if arguments.get("upload") else "path"
    hidden = {"add": way, way: arguments[way]} | ({"type": arguments["type"]} if arguments.get("type") else {})
    chosen = asked.get("format", "")
    formats = {one["name"]: one for one in found["formats"]}
    options = [option("", say("datasets.look.by_itself"), chosen)]
    for name, one in formats.items():
        missing = "" if not one["lacks"] else say("datasets.look.missing", names=", ".join(one["lacks"]))
        options.append(option(name, say(f"datasets.format.{name}") + missing, chosen))
    at = control_id("datasets", "format")
    fields = [
        tag(
            "div",
            tag("label", say("datasets.look.format"), **{"for": at}),
            tag("select", *options, name="format", id=at),
            kind="tb-field",
        )
    ]
    mapping: Mapping[str, str] = asked.get("column_mapping", {})
    shown = formats.get(chosen or found["format"], formats["prompt"])
    names = dict.fromkeys([*shown["needs"], *shown["knows"], *mapping])
    fields += [_role(name, mapping.get(name, ""), found, shown) for name in names]
    return tag(
        "form",
        *(tag("input", type="hidden", name=name, value=value) for name, value in hidden.items()),
        tag("h3", say("datasets.look.columns")),
        tag("p", say("datasets.look.columns_help"), kind="tb-small"),
        tag("div", *fields, kind="tb-columns-form"),
        action="/datasets",
        data_partial="",
        kind="tb-form tb-roles",
        aria_label=say("datasets.look.columns"),
    )


def _role(name: str, column: str, found: Document, format: Document) -> Markup:
    at = control_id("datasets", f"role-{name}")
    own = say("datasets.look.own" if name in found["features"] else "datasets.look.no_column")
    options = [option("", own, column), *(option(one, one, column) for one in found["features"] if one != name)]
    needed = say("datasets.look.needed" if name in format["needs"] else "datasets.look.known")
    label = join([phrase("datasets.look.role", role=tag("code", name)), " ", tag("span", needed, kind="tb-small")])
    missing = name in format["lacks"]
    marked = {"aria_invalid": "true"} if missing else {}
    words = tag("span", say("datasets.look.needs_column"), kind="tb-field-error") if missing else Markup("")
    return labelled(at, label, tag("select", *options, name=f"{_ROLE}{name}", id=at, **marked), words)


def _form(found: Document, asked: Mapping[str, Any]) -> Markup:
    source = _source(asked)
    given = {name: value for name, value in asked.items() if name in ("type", "format", "column_mapping")}
    origin = "upload" if "upload" in asked else "path"
    # A refusal names `path`, `upload` or `format`; its words have their place beside these.
    places = [
        tag("input", type="hidden", name=name, value=source if name == origin else "", data_key=name)
        for name in ("path", "upload")
    ]
    form = tag(
        "form",
        tag(
            "div",
            text_field("datasets", "name", required="", maxlength="200", value=PurePosixPath(_name_of(asked)).stem),
            text_field("datasets", "description", maxlength="10000"),
            kind="tb-columns-form",
        ),
        _skip_broken() if found["broken"] or not found["complete"] else Markup(""),
        tag("div", *places, kind="tb-field tb-places"),
        tag("div", tag("button", say("datasets.add.do"), kind="tb-button tb-primary"), kind="tb-actions"),
        data_act="AddDataset",
        data_values=json.dumps(given),
        data_done=say("datasets.add.done"),
        data_goto="/datasets?id={id}",
        data_draft=f"dataset-{source}",
        kind="tb-form",
        id="tb-add-form",
    )
    return tag("div", form, data_key=f"add-{source}")  # another file has a form of its own


def _source(asked: Mapping[str, Any]) -> str:
    return str(asked.get("path") or asked.get("upload") or "")


def _name_of(asked: Mapping[str, Any]) -> str:
    """What the file is called where it came from; the names of uploads begin with an id."""
    name = PurePosixPath(_source(asked)).name
    return name[37:] if "upload" in asked and len(name) > 37 and name[36] == "-" else name
