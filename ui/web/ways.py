"""What the pages of things share: links that look like buttons, labelled controls, and the dialog that renames."""

from __future__ import annotations

from urllib.parse import urlencode

from tunebus.ui.web.forms import dialog
from tunebus.ui.web.markup import Markup, icon, tag
from tunebus.ui.web.words import say


def way(words: str, to: str, *, picture: str = "", kind: str = "", **attributes: str) -> Markup:
    """A link that looks like a button."""
    return tag("a", icon(picture), words, href=to, kind=f"tb-button {kind}".strip(), **attributes)


def to(path: str, **arguments: object) -> str:
    """An address."""
    return f"{path}?{urlencode(arguments)}"


def back(words: str, path: str) -> Markup:
    """The way from a thing to the list it is in."""
    return tag("div", tag("a", words, href=path, kind="tb-small"))


def labelled(at: str, label: object, control: Markup, *more: object, kind: str = "") -> Markup:
    """A control of the id `at` with its label and what belongs to it."""
    return tag("div", tag("label", label, **{"for": at}), control, *more, kind=f"tb-field {kind}".strip())


def checkbox(at: str, name: str, label: str, help: str = "", **attributes: str) -> Markup:
    box = tag("input", type="checkbox", name=name, id=at, **attributes)
    said = tag("span", help, kind="tb-small") if help else Markup("")
    return tag("div", tag("label", box, " ", label, **{"for": at}), said, kind="tb-field tb-agree")


def rename_dialog(command: str, id: str, name: str) -> Markup:
    """Opened by a button with `data-dialog="tb-rename"`."""
    given = tag("input", type="text", name="name", id="tb-rename-name", value=name, required="", maxlength="200")
    return dialog(
        "tb-rename",
        say("ways.rename_title", name=name),
        [labelled("tb-rename-name", say("ways.name"), given)],
        command,
        {"id": id},
        say("ways.rename"),
        done=say("ways.renamed"),
    )
