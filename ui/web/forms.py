"""Fields and dialogs as HTML, whose requests `static/acting.js` sends."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from tunebus.ui.web.markup import Markup, tag
from tunebus.ui.web.words import catalogue, say


def field(page: str, name: str, control: Markup) -> Markup:
    """A control with its label, and its line of help where there are words for one. The control's id ends in `name`."""
    words = f"{page}.help.{name}"
    help = tag("span", say(words), kind="tb-small") if words in catalogue() else Markup("")
    label = tag("label", say(f"{page}.field.{name}"), **{"for": control_id(page, name)})
    return tag("div", label, control, help, kind="tb-field")


def control_id(page: str, name: str) -> str:
    return f"tb-{page}-{name}".replace(".", "-")


def text_field(page: str, name: str, **attributes: str) -> Markup:
    """A line of text."""
    return field(page, name, tag("input", type="text", name=name, id=control_id(page, name), **attributes))


def number_field(page: str, name: str, value: object = None, *, whole: bool = False, **attributes: str) -> Markup:
    """A number; empty, it is left to the studio."""
    shown = {} if value is None else {"value": str(value)}
    kind = {"data_as": "integer", "step": "1"} if whole else {"data_as": "number", "step": "any"}
    return field(
        page, name, tag("input", type="number", name=name, id=control_id(page, name), **kind, **shown, **attributes)
    )


def select_field(page: str, name: str, options: Sequence[Markup], **attributes: str) -> Markup:
    return field(page, name, tag("select", *options, name=name, id=control_id(page, name), **attributes))


def dialog(
    id: str,
    title: str,
    fields: Sequence[Markup],
    command: str,
    values: Mapping[str, Any],
    button: str,
    *,
    done: str,
    goto: str = "",
    more: Markup = Markup(""),  # noqa: B008  immutable
) -> Markup:
    """A dialog with one form, which a button with `data-dialog=ID` opens. `more` stands below the form."""
    ways = tag(
        "div",
        tag("button", button, type="submit", kind="tb-button tb-primary"),
        tag("button", say("frame.cancel"), type="button", kind="tb-button", data_close=""),
        kind="tb-actions",
    )
    given = {"data_act": command, "data_values": json.dumps(values), "data_done": done}
    if goto:
        given["data_goto"] = goto
    form = tag("form", *fields, ways, kind="tb-form", id=f"{id}-form", **given)
    return tag(
        "dialog", tag("h2", title, id=f"{id}-title"), form, more, id=id, kind="tb-dialog", aria_labelledby=f"{id}-title"
    )


def opener(words: str, id: str, kind: str = "") -> Markup:
    """The button that opens a dialog."""
    return tag("button", words, type="button", kind=f"tb-button {kind}".strip(), data_dialog=id)
