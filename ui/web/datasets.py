"""Datasets: what there is, adding one (`?add=upload`), and a look inside one by its address (`?id=…&tab=…`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from tunebus.contracts.identifiers import utc_now
from tunebus.ui.web import uses
from tunebus.ui.web.acting import progress
from tunebus.ui.web.dataset import adding, files, rows, showing
from tunebus.ui.web.dataset.adding import format_badge
from tunebus.ui.web.listing import Choice, Column, Listing
from tunebus.ui.web.markup import Markup, ago, bytes_text, icon, join, link, tag
from tunebus.ui.web.page import Arguments, Page, part
from tunebus.ui.web.studio import Document, Studio
from tunebus.ui.web.words import phrase, say

_MANY_COLUMNS = 8


def build(studio: Studio, blocks: Any) -> None:
    part("datasets-head")
    part("dataset")
    part("datasets")


async def read(studio: Studio, arguments: Arguments) -> Mapping[str, Markup]:
    if wanted := arguments.get("id", "")[:200]:
        dataset = await studio.ask("GetDataset", id=wanted)
        return {
            "datasets-head": await showing.head(studio, dataset),
            "dataset": await showing.body(studio, dataset, arguments),
            "datasets": Markup(""),
        }
    if "add" in arguments:
        back = tag("a", say("datasets.title"), href="/datasets", kind="tb-small")
        head = join([tag("div", back), tag("h1", say("datasets.add.title"))])
        return {"datasets-head": head, "dataset": Markup(""), "datasets": adding.page(studio, arguments)}
    found = await studio.items("ListDatasets", order="newest")
    add = tag("a", say("datasets.add.title"), href="/datasets?add=upload", kind="tb-button tb-primary")
    listing = _listing()
    return {
        "datasets-head": tag("div", tag("h1", say("datasets.title")), add, kind="tb-title-row tb-spread"),
        "dataset": listing.filters(found, arguments) if found else Markup(""),
        "datasets": listing.table(
            found, arguments, phrase("datasets.none", add=link(say("datasets.none_add"), "/datasets", add="upload"))
        ),
    }


def _listing() -> Listing:
    now = utc_now()
    titles = {
        name: say(f"datasets.list.{name}") for name in ("name", "type", "format", "rows", "size", "columns", "added")
    }
    return Listing(
        "/datasets",
        say("datasets.title"),
        [
            Column("name", titles["name"], _name, lambda one: one["name"].casefold()),
            Column("format", titles["format"], lambda one: format_badge(one["format"]), lambda one: one["format"]),
            Column("rows", titles["rows"], lambda one: f"{one['rows']:,}", lambda one: one["rows"], "tb-numbers"),
            Column(
                "size", titles["size"], lambda one: bytes_text(one["bytes"]), lambda one: one["bytes"], "tb-numbers"
            ),
            Column("columns", titles["columns"], _columns),
            Column("added", titles["added"], lambda one: ago(one["added_at"], now), lambda one: one["added_at"]),
            Column("train", "", lambda one: _train(one)),
        ],
        lambda one: f"{one['name']} {one['description']} {' '.join(one['features'])}",
        [
            Choice("type", titles["type"], lambda one: one["type"]),
            Choice("format", titles["format"], lambda one: one["format"]),
        ],
        first="-added",
    )


def _name(one: Document) -> Markup:
    said = one["type"] if not one["description"] else f"{one['type']} · {one['description']}"
    return join(
        [tag("strong", link(one["name"], "/datasets", id=one["id"])), tag("div", said, kind="tb-small tb-line")]
    )


def _columns(one: Document) -> str:
    shown = ", ".join(one["features"][:_MANY_COLUMNS])
    more = len(one["features"]) - _MANY_COLUMNS
    return f"{shown} {say('datasets.list.more', count=more)}" if more > 0 else shown


def _train(one: Document) -> Markup:
    label = say("datasets.list.train_on", name=one["name"])
    to = f"/train?{urlencode({'dataset': one['id']})}"
    return tag("a", icon("train"), say("datasets.do.train"), href=to, aria_label=label, kind="tb-button tb-quiet")


PAGE = Page(
    "datasets",
    "datasets.title",
    build,
    read,
    group="library",
    fragments={
        "dataset-look": adding.look,
        "dataset-rows": rows.raw,
        "dataset-rendered": rows.rendered,
        "dataset-tokens": rows.tokens,
        "dataset-lengths": rows.lengths,
        "dataset-findings": rows.findings,
        "uses": uses.listed,
        "removal": uses.removal,
    },
    data={"progress": progress},
    downloads={"dataset": files.download},
    actions={"keep_dataset_upload": adding.keep_upload, "map_dataset": showing.map_again},
)
