"""Fields and dialogs as HTML, whose requests `static/acting.js` sends."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from tunebus.ui.web.markup import Markup, tag
from tunebus.ui.web.words import catalogue, say


def labelled(at: str, label: object, control: Markup, *more: object, kind: str = "") -> Markup:
    """A control of the id `at` with its label and what belongs to it."""
    return tag("div", tag("label", label, **{"for": at}), control, *more, kind=f"tb-field {kind}".strip())


def field(page: str, name: str, control: Markup) -> Markup:
    """A control with its label, and its line of help where there are words for one. The control's id ends in `name`."""
    words = f"{page}.help.{name}"
    help = tag("span", say(words), kind="tb-small") if words in catalogue() else Markup("")
    return labelled(control_id(page, name), say(f"{page}.field.{name}"), control, help)


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


def checkbox(at: str, name: str, label: str, help: str = "", **attributes: str) -> Markup:
    box = tag("input", type="checkbox", name=name, id=at, **attributes)
    said = tag("span", help, kind="tb-small") if help else Markup("")
    return tag("div", tag("label", box, " ", label, **{"for": at}), said, kind="tb-field tb-agree")


def select_field(page: str, name: str, options: Sequence[Markup], **attributes: str) -> Markup:
    return field(page, name, tag("select", *options, name=name, id=control_id(page, name), **attributes))


def dialog(
    id: str,
    title: str,
    fields: Sequence[object],
    command: str,
    values: Mapping[str, Any],
    button: str,
    *,
    done: str = "",
    goto: str = "",
    kind: str = "tb-primary",
    more: Markup = Markup(""),  # noqa: B008  immutable
) -> Markup:
    """A dialog with one form, which an `opener` opens. `kind` is of the button that sends it; `more` stands below."""
    ways = tag(
        "div",
        tag("button", button, type="submit", kind=f"tb-button {kind}"),
        tag("button", say("frame.cancel"), type="button", kind="tb-button", data_close=""),
        kind="tb-actions",
    )
    given = {"data_act": command, "data_values": json.dumps(values)}
    given |= {f"data_{key}": words for key, words in (("done", done), ("goto", goto)) if words}
    form = tag("form", *fields, ways, kind="tb-form", id=f"{id}-form", **given)
    return tag(
        "dialog", tag("h2", title, id=f"{id}-title"), form, more, id=id, kind="tb-dialog", aria_labelledby=f"{id}-title"
    )


def opener(words: str, id: str, kind: str = "", **attributes: str) -> Markup:
    """The button that opens a dialog."""
    return tag("button", words, type="button", kind=f"tb-button {kind}".strip(), data_dialog=id, **attributes)


def rename_dialog(command: str, id: str, name: str, **attributes: str) -> Markup:
    """Opened by `opener(…, "tb-rename")`."""
    at, limits = "tb-rename-name", {"required": "", "maxlength": "200", **attributes}
    given = tag("input", type="text", name="name", id=at, value=name, **limits)
    return dialog(
        "tb-rename",
        say("forms.rename_title", name=name),
        [labelled(at, say("forms.name"), given)],
        command,
        {"id": id},
        say("forms.rename"),
        done=say("forms.renamed"),
    )
