"""What a page is: parts that follow from its address, and what its buttons and forms may ask for.

Handlers read projections or send commands, and return; nothing here remembers a browser.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import gradio as gr
from starlette.responses import Response
from tunebus.ui.web.acting import Action
from tunebus.ui.web.markup import Markup, icon, join, tag
from tunebus.ui.web.studio import Studio
from tunebus.ui.web.words import say

GROUPS = ("work", "library", "studio")
EVERYTHING = frozenset({"ledger", "telemetry", "workers"})

Arguments = Mapping[str, str]
Reader = Callable[[Studio, Arguments], Awaitable[Mapping[str, Markup]]]
Fragment = Callable[[Studio, Arguments], Awaitable[Markup]]
Data = Callable[[Studio, Arguments], Awaitable[Mapping[str, Any]]]
Download = Callable[[Studio, Arguments], Awaitable[Response]]
Check = Callable[[Studio, Mapping[str, Any]], Awaitable[Mapping[str, Any]]]


async def _nothing(studio: Studio, arguments: Arguments) -> Mapping[str, Markup]:
    return {}


@dataclass(frozen=True)
class Page:
    """One page. `path` is what follows the first slash, `title` a key of the words.

    `build` lays it out inside the Blocks it is given. `read` makes the parts that `part` left room for, from the
    page's address alone; it is asked again when what it `watches` changed (`ledger`, `telemetry`, `workers`).
    What takes long, or is large, has an address of its own: `fragments` (HTML, `/fragment/NAME`), `data` (JSON,
    `/data/NAME`), `downloads` (`/download/NAME`). `checks` say what a form posted to `/check/NAME` comes
    to, and start nothing. `actions` are what its buttons ask for beside plain commands. Names of all five are shared by
    all pages.
    """

    path: str
    title: str
    build: Callable[[Studio, Any], None]
    read: Reader = _nothing
    watches: frozenset[str] = frozenset({"ledger"})
    fragments: Mapping[str, Fragment] = field(default_factory=dict)
    data: Mapping[str, Data] = field(default_factory=dict)
    downloads: Mapping[str, Download] = field(default_factory=dict)
    checks: Mapping[str, Check] = field(default_factory=dict)
    actions: Mapping[str, Action] = field(default_factory=dict)
    group: Literal["work", "library", "studio"] = "work"
    beside: bool = False  # reached from other pages only, not from the menu
    names: tuple[str, ...] = ("id",)  # arguments that name what the page is about
    keeps: bool = False  # what somebody typed stays, though what it began with is removed meanwhile


def html(value: str = "", **options: Any) -> Any:
    """A piece of Markup that stays as it is. It runs no script of its own."""
    return gr.HTML(value, js_on_load=None, padding=False, apply_default_css=False, **options)


def part(name: str) -> Any:
    """Room for a part of this name that `Page.read` makes; its element is `#tb-NAME`."""
    return html(tag("div", id=f"tb-{name}", data_part=name))


def frame(pages: Sequence[Page], current: Page | None, *, guarded: bool = False) -> Markup:
    """The head of a page: the name, the way to every page, the way out where a password is asked for, warnings, and
    room for what is said in place of what is not there."""
    brand = tag("a", tag("span", kind="tb-mark", aria_hidden="true"), "Tunebus", kind="tb-brand", href="/")
    groups = []
    for name in GROUPS:
        links = [
            tag(
                "a",
                icon(page.path or "home"),
                say(page.title),
                href=f"/{page.path}",
                **({"aria_current": "page"} if page is current else {}),
            )
            for page in pages
            if page.group == name and not page.beside
        ]
        groups.append(
            tag("div", tag("span", say(f"frame.group.{name}"), kind="tb-menu-title"), *links, kind="tb-menu-group")
        )
    menu = tag("nav", *groups, aria_label=say("frame.pages"), id="tb-menu")
    opener = tag(
        "button",
        icon("menu"),
        say("frame.menu"),
        type="button",
        kind="tb-button tb-menu-opener",
        aria_controls="tb-menu",
    )
    look = tag(
        "button",
        icon("theme"),
        say("frame.theme"),
        type="button",
        kind="tb-button tb-quiet tb-theme",
        data_theme_switch="",
    )
    skip = tag("a", say("frame.skip"), kind="tb-skip", href="#tb-content")
    leave = tag("button", say("login.out"), kind="tb-button tb-quiet tb-theme")
    door = tag("form", leave, method="post", action="/logout", kind="tb-door") if guarded else Markup("")
    head = tag("header", brand, opener, menu, look, door, kind="tb-header")
    warning = tag("div", id="tb-warning", data_part="warning")
    gone = tag("div", id="tb-gone", data_part="gone")
    return join([skip, head, warning, tag("div", id="tb-content", tabindex="-1"), gone])
