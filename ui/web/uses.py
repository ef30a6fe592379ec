"""What refers to a dataset, prompt, config, model or adapter: as a table of its page, and before it is removed."""

from __future__ import annotations

import json
from urllib.parse import urlencode

from tunebus.services.platform.home import SCHEME
from tunebus.ui.web.job.names import state_badge
from tunebus.ui.web.markup import Markup, bytes_text, icon, join, link, moment, tag, text
from tunebus.ui.web.page import Arguments
from tunebus.ui.web.studio import Document, Studio
from tunebus.ui.web.words import say

SHOWN = 100
_PLACES = {"prompt": "/prompts", "adapter": "/adapters"}


def room(aggregate: str, id: str) -> Markup:
    """Where the table of uses is loaded into."""
    return tag("div", data_load=f"/fragment/uses?{urlencode({'aggregate': aggregate, 'id': id})}", data_key="uses")


async def listed(studio: Studio, arguments: Arguments) -> Markup:
    found = await _found(studio, arguments)
    if not found["items"]:
        return tag("p", say("uses.none"), kind="tb-empty")
    heads = [say(f"uses.column.{name}") for name in ("name", "kind", "state", "since")]
    lines = [
        tag(
            "tr",
            tag("td", _linked(one)),
            tag("td", say(f"uses.kind.{one['aggregate']}")),
            tag("td", state_badge(one["state"]) if one["state"] else text(None)),
            tag("td", moment(one["at"])),
            data_key=str(one["id"]),
        )
        for one in found["items"]
    ]
    head = tag("tr", *(tag("th", words, scope="col") for words in heads))
    made = tag("div", tag("table", tag("thead", head), tag("tbody", *lines)), kind="tb-table tb-stack")
    more = found["total"] - len(found["items"])
    return join([made, tag("p", say("uses.more", count=more), kind="tb-small") if more else Markup("")])


def remove_dialog(aggregate: str, id: str, name: str, *, cascade: bool = False) -> Markup:
    """Asks before something is removed; what depends on it is looked up when the dialog is there."""
    asked = urlencode({"aggregate": aggregate, "id": id, "cascade": "1" if cascade else ""})
    return tag(
        "dialog",
        tag("h2", say("uses.remove", name=name), id="tb-remove-title"),
        tag("div", data_load=f"/fragment/removal?{asked}"),
        id="tb-remove",
        kind="tb-dialog",
        aria_labelledby="tb-remove-title",
    )


async def removal(studio: Studio, arguments: Arguments) -> Markup:
    """What stands in the way of a removal, what stays, and the button that does it."""
    found = await _found(studio, arguments)
    aggregate = arguments.get("aggregate", "")
    blocks = [one for one in found["items"] if one["blocks"]]
    goes_too = [one for one in blocks if one["aggregate"] == "prompt"] if arguments.get("cascade") else []
    stands = [one for one in blocks if one not in goes_too]
    parts: list[object] = []
    if stands:
        parts += [tag("p", icon("warning"), " ", say("uses.stands")), _names(stands)]
    if goes_too:
        parts += [tag("p", say("uses.goes_too", count=len(goes_too))), _names(goes_too)]
    ended = found["total"] - len(blocks)
    if ended:
        parts.append(tag("p", say("uses.stays", count=ended), kind="tb-small"))
    if not blocks:
        parts.append(tag("p", say("uses.free")))
    parts.append(tag("p", say(f"uses.kept.{aggregate}"), kind="tb-small"))
    values = {"id": arguments.get("id", "")} | ({"cascade": True} if goes_too else {})
    button = tag(
        "button",
        say("uses.do_with" if goes_too else "uses.do"),
        type="submit",
        kind="tb-button tb-danger",
        **({"disabled": ""} if stands else {}),
    )
    cancel = tag("button", say("frame.cancel"), type="button", kind="tb-button", data_close="")
    form = tag(
        "form",
        await _copy(studio, arguments),
        tag("div", button, cancel, kind="tb-actions"),
        data_act=f"Remove{aggregate.title()}",
        data_values=json.dumps(values),
        data_done=say("uses.done"),
        data_goto=f"/{aggregate}s",
    )
    return join([*parts, form])


async def _copy(studio: Studio, arguments: Arguments) -> Markup:
    """Whether the studio's own copy is to go as well, where there is one: that of a dataset which was uploaded."""
    if arguments.get("aggregate") != "dataset":
        return Markup("")
    dataset = await studio.ask("GetDataset", id=arguments.get("id", ""))
    if not str(dataset["location"]).startswith(f"{SCHEME}uploads/"):
        return Markup("")
    box = tag("input", type="checkbox", name="delete_files")
    return tag("label", box, " ", say("uses.delete_copy", size=bytes_text(dataset["bytes"])), kind="tb-check")


def _names(found: list[Document]) -> Markup:
    lines = [tag("li", say(f"uses.kind.{one['aggregate']}"), " ", _linked(one)) for one in found[:10]]
    if len(found) > 10:
        lines.append(tag("li", say("uses.more", count=len(found) - 10)))
    return tag("ul", *lines, kind="tb-places")


def _linked(one: Document) -> Markup:
    return link(one["name"] or one["id"], _PLACES.get(one["aggregate"], "/jobs"), id=str(one["id"]))


async def _found(studio: Studio, arguments: Arguments) -> Document:
    asked = {"aggregate": arguments.get("aggregate", ""), "id": arguments.get("id", "")}
    return await studio.ask("ListUses", limit=SHOWN, **asked)
