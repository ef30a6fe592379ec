"""One dataset: what it is and how good, what may be done with it, and its tabs, each with an address of its own."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping

from tunebus.contracts.errors import Code, fail
from tunebus.ui.web import uses
from tunebus.ui.web.acting import Asking, Done
from tunebus.ui.web.dataset import rows
from tunebus.ui.web.forms import checkbox, control_id, labelled, opener, rename_dialog
from tunebus.ui.web.listing import address, option, tab_of, tabs
from tunebus.ui.web.markup import Markup, banner, bytes_text, icon, join, link, moment, pairs, table, tag, text
from tunebus.ui.web.page import Arguments
from tunebus.ui.web.studio import Document, Studio
from tunebus.ui.web.ways import back, to, way
from tunebus.ui.web.words import phrase, say

KINDS = ("duplicate", "empty_answer", "overlap", "broken")
_ROLES = (
    "prompt",
    "completion",
    "messages",
    "conversations",
    "instruction",
    "input",
    "output",
    "chosen",
    "rejected",
    "text",
)

Tab = Callable[[Studio, Document, Arguments], Awaitable[Markup]]


async def head(studio: Studio, dataset: Document) -> Markup:
    train, prompt = to("/train", dataset=dataset["id"]), to("/prompts", new="1", dataset=dataset["id"])
    ways = [
        way(say("datasets.do.train"), train, picture="train", kind="tb-primary"),
        way(say("datasets.do.prompt"), prompt, picture="prompts"),
    ]
    if not dataset["files"]:
        ways.append(_download(id=dataset["id"]))
    ways += [
        opener(say("forms.rename"), "tb-rename"),
        opener(say("forms.remove"), "tb-remove", "tb-danger"),
    ]
    return join(
        [
            back(say("datasets.title"), "/datasets"),
            tag("div", tag("h1", dataset["name"]), tag("div", *ways, kind="tb-actions"), kind="tb-title-row tb-apart"),
            tag("p", dataset["description"], kind="tb-lead") if dataset["description"] else Markup(""),
            _facts(dataset),
            join(banner(words) for words in dataset["warnings"]),
            rename_dialog("RenameDataset", dataset["id"], dataset["name"]),
            uses.remove_dialog("dataset", dataset["id"], dataset["name"], cascade=True),
        ]
    )


def _download(**arguments: str) -> Markup:
    where = to("/download/dataset", **arguments)
    return way(say("datasets.do.download"), where, picture="download", download="")


def _facts(dataset: Document) -> Markup:
    found = dataset["statistics"] or {}
    facts: list[tuple[str, object]] = [
        ("rows", f"{dataset['rows']:,}"),
        ("size", bytes_text(dataset["bytes"])),
        ("type", dataset["type"].upper() if dataset["type"] != "huggingface" else say("datasets.hub")),
        ("format", say(f"datasets.format.{dataset['format']}")),
    ]
    if dataset["splits"]:
        facts.append(("splits", ", ".join(f"{name} {count:,}" for name, count in dataset["splits"].items())))
    for name, kind in (("duplicate_rows", "duplicate"), ("empty_answers", "empty_answer")):
        if found.get(name) is not None:
            facts.append((name, _counted(dataset, kind, found[name])))
    for split, count in (found.get("overlaps") or {}).items():
        facts.append(("overlap", _counted(dataset, "overlap", count, f" ({split})")))
    if dataset["skip_broken"]:
        facts.append(("skipped", _counted(dataset, "broken", dataset["skipped"])))
    made = [
        tag("div", tag("span", say(f"datasets.fact.{name}")), tag("span", value, kind="tb-figure"), kind="tb-fact")
        for name, value in facts
    ]
    return tag("div", *made, kind="tb-facts tb-dataset-facts")


def _counted(dataset: Document, kind: str, count: int, more: str = "") -> Markup:
    """A number that leads to the rows it counts."""
    if not count:
        return text(f"0{more}")
    where = to("/datasets", id=dataset["id"], tab="findings", kind=kind)
    return tag("a", icon("warning"), f" {count:,}{more}", href=where, data_partial="")


async def body(studio: Studio, dataset: Document, arguments: Arguments) -> Markup:
    names = [(name, say(f"datasets.tab.{name}")) for name in TABS]
    current = tab_of(arguments, list(TABS))
    shown = await TABS[current](studio, dataset, arguments)
    there = {**arguments, "id": dataset["id"]}
    return join(
        [tabs("/datasets", there, names, say("datasets.tabs")), tag("div", shown, data_key=current, kind="tb-tab")]
    )


async def _raw(studio: Studio, dataset: Document, arguments: Arguments) -> Markup:
    return rows.load("dataset-rows", _of(dataset, arguments), "from")


async def _rendered(studio: Studio, dataset: Document, arguments: Arguments) -> Markup:
    there = _of(dataset, arguments)
    return join(
        [
            await rows.chooser(studio, there, "rendered"),
            rows.load("dataset-rendered", there, "from", "prompt", "model"),
        ]
    )


async def _tokens(studio: Studio, dataset: Document, arguments: Arguments) -> Markup:
    there = _of(dataset, arguments)
    if not there.get("model"):
        models = (await studio.ask("ListModels", limit=1))["items"]
        if not models:
            return tag(
                "p", phrase("datasets.lengths.no_model", models=link(say("models.title"), "/models")), kind="tb-empty"
            )
        there["model"] = models[0]["name"]
    return join(
        [
            await rows.chooser(studio, there, "tokens"),
            rows.load("dataset-lengths", there, "prompt", "model", "max"),
            rows.load("dataset-tokens", there, "from", "prompt", "model", "max"),
        ]
    )


async def _columns(studio: Studio, dataset: Document, arguments: Arguments) -> Markup:
    mapped = dataset["column_mapping"]
    own = ("own",) if mapped else ()
    heads = [say(f"datasets.column.{name}") for name in ("name", *own, "nulls", "min", "mean", "max")]
    figures = {one["name"]: one for one in (dataset["statistics"] or {}).get("columns", ())}
    lines = [
        (
            tag("strong", name),
            *([mapped.get(name, "")] if mapped else []),
            *(figures.get(name, {}).get(key) for key in ("nulls", "min_length", "mean_length", "max_length")),
        )
        for name in dataset["features"]
    ]
    return join(
        [
            tag("p", say("datasets.column.help"), kind="tb-small"),
            table(heads, lines, kind="tb-columns"),
            _mapping(dataset),
        ]
    )


def _mapping(dataset: Document) -> Markup:
    """Other roles for its columns: a dataset never changes, so this makes another one of the same rows."""
    own = [dataset["column_mapping"].get(name, name) for name in dataset["features"]]
    fields = []
    for role in _ROLES:
        at = control_id("datasets", f"again-{role}")
        chosen = dataset["column_mapping"].get(role, "")
        options = [option("", say("datasets.again.none"), chosen)]
        options += [option(one, one, chosen) for one in own if one != role]
        select = tag("select", *options, name=f"column_mapping.{role}", id=at)
        fields.append(labelled(at, phrase("datasets.look.role", role=tag("code", role)), select))
    name = control_id("datasets", "again-name")
    words = say("datasets.again.of", name=dataset["name"])
    named = tag("input", type="text", name="name", id=name, required="", maxlength="200", value=words)
    form = tag(
        "form",
        labelled(name, say("datasets.field.name"), named),
        tag("div", *fields, kind="tb-columns-form"),
        checkbox(control_id("datasets", "again-remove"), "remove", say("datasets.again.remove")),
        tag("div", tag("button", say("datasets.again.do"), kind="tb-button tb-primary"), kind="tb-actions"),
        data_act="map_dataset",
        data_values=json.dumps({"id": dataset["id"]}),
        data_goto="/datasets?id={id}",
        data_done=say("datasets.add.done"),
        kind="tb-form",
    )
    return tag(
        "details",
        tag("summary", say("datasets.again.title")),
        tag("p", say("datasets.again.help"), kind="tb-small"),
        form,
        kind="tb-panel tb-again",
    )


async def map_again(asking: Asking) -> Done:
    """The same rows under other roles as a dataset of its own; the one before goes only once this one is there."""
    given = dict(asking.data)
    dataset = await asking.studio.ask("GetDataset", id=str(given.get("id") or "-"))
    mapping = given.get("column_mapping", {})
    if not isinstance(mapping, dict) or not all(isinstance(one, str) for one in mapping.values()):
        raise fail(Code.INVALID, "is no mapping of columns", param="column_mapping")
    wanted = {
        "name": given.get("name"),
        "path": dataset["location"],
        "description": dataset["description"],
        "skip_broken": dataset["skip_broken"],
        "column_mapping": mapping,
        **({"type": "folder"} if dataset["files"] else {}),
    }
    outcome = await asking.send("AddDataset", wanted)
    if given.get("remove") is True:
        await asking.send("RemoveDataset", {"id": dataset["id"]})
    return Done(id=outcome.id)


async def _findings(studio: Studio, dataset: Document, arguments: Arguments) -> Markup:
    kind = arguments["kind"] if arguments.get("kind") in KINDS else KINDS[0]
    links = [
        tag(
            "a",
            say(f"datasets.findings.kind.{one}"),
            href=address("/datasets", {"id": dataset["id"], "tab": "findings", "kind": one}),
            data_partial="",
            kind="tb-button",
            **({"aria_current": "true"} if one == kind else {}),
        )
        for one in KINDS
    ]
    there = {**_of(dataset, arguments), "kind": kind}
    return join(
        [
            tag("nav", *links, kind="tb-actions", aria_label=say("datasets.findings.kinds")),
            rows.load("dataset-findings", there, "kind", "after"),
        ]
    )


async def _files(studio: Studio, dataset: Document, arguments: Arguments) -> Markup:
    facts = [
        (say("datasets.file.location"), tag("code", dataset["location"])),
        (say("datasets.file.sha256"), tag("code", dataset["sha256"])),
        (say("datasets.file.added"), moment(dataset["added_at"])),
        (say("datasets.file.id"), tag("code", dataset["id"])),
    ]
    if dataset["huggingface_name"]:
        facts += [
            (say("datasets.field.huggingface_name"), dataset["huggingface_name"]),
            (say("datasets.field.revision"), tag("code", dataset["revision"])),
            (say("datasets.field.config_name"), text(dataset["config_name"])),
            (say("datasets.field.split"), text(dataset["split"])),
        ]
    if not dataset["files"]:
        return tag("div", pairs(facts), kind="tb-panel")
    heads = [say(f"datasets.file.{name}") for name in ("path", "part", "rows", "size")] + [say("datasets.do.download")]
    lines = [
        (
            one["path"],
            one["split"],
            f"{one['rows']:,}",
            bytes_text(one["bytes"]),
            _download(id=dataset["id"], file=one["path"]),
        )
        for one in dataset["files"]
    ]
    return join([table(heads, lines, kind="tb-stack"), tag("div", pairs(facts), kind="tb-panel tb-section")])


async def _uses(studio: Studio, dataset: Document, arguments: Arguments) -> Markup:
    return uses.room("dataset", dataset["id"])


TABS: Mapping[str, Tab] = {
    "rows": _raw,
    "rendered": _rendered,
    "tokens": _tokens,
    "columns": _columns,
    "findings": _findings,
    "files": _files,
    "uses": _uses,
}


def _of(dataset: Document, arguments: Arguments) -> dict[str, str]:
    return {**arguments, "id": dataset["id"]}
