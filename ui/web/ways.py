"""Links as the pages of things share them."""

from __future__ import annotations

from urllib.parse import urlencode

from tunebus.ui.web.markup import Markup, icon, tag


def way(words: str, to: str, *, picture: str = "", kind: str = "", **attributes: str) -> Markup:
    """A link that looks like a button."""
    return tag("a", icon(picture), words, href=to, kind=f"tb-button {kind}".strip(), **attributes)


def to(path: str, **arguments: object) -> str:
    """An address."""
    return f"{path}?{urlencode(arguments)}"


def back(words: str, path: str) -> Markup:
    """The way from a thing to the list it is in."""
    return tag("div", tag("a", words, href=path, kind="tb-small"))
