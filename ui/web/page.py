"""What a page is: parts that follow from its address, forms of Gradio's components, and what its buttons may ask for.

Handlers read projections or send commands, and return; nothing here remembers a browser.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import parse_qsl

import gradio as gr
from starlette.responses import Response
from tunebus.contracts.errors import TunebusError
from tunebus.ui.web.acting import Action
from tunebus.ui.web.markup import Markup, icon, join, problem_box, tag
from tunebus.ui.web.studio import Studio, problem_of
from tunebus.ui.web.words import say

FOLLOW_LINK = "(to) => { if (to) window.location.assign(to) }"
GROUPS = ("work", "library", "studio")
EVERYTHING = frozenset({"ledger", "telemetry", "workers"})

Arguments = Mapping[str, str]
Reader = Callable[[Studio, Arguments], Awaitable[Mapping[str, Markup]]]
Fragment = Callable[[Studio, Arguments], Awaitable[Markup]]
Data = Callable[[Studio, Arguments], Awaitable[Mapping[str, Any]]]
Download = Callable[[Studio, Arguments], Awaitable[Response]]
Check = Callable[[Studio, Mapping[str, Any]], Awaitable[Mapping[str, Any]]]

_log = logging.getLogger(__name__)

# No event is listed for API clients, none waits in a queue and none paints a spinner over what it updates.
_QUIET: dict[str, Any] = {
    "queue": False,
    "show_progress": "hidden",
    "api_visibility": "private",
}


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


@dataclass(frozen=True)
class Pressed:
    """What a Gradio button's action ends with: words to show, values of its outputs, and where to go, if anywhere."""

    notice: Markup = Markup("")  # noqa: RUF009  immutable
    updates: Sequence[Any] = field(default=())
    goto: str = ""


def html(value: str = "", **options: Any) -> Any:
    """A piece of Markup that stays as it is. It runs no script of its own."""
    return gr.HTML(value, js_on_load=None, padding=False, apply_default_css=False, **options)


def part(name: str) -> Any:
    """Room for a part of this name that `Page.read` makes; its element is `#tb-NAME`."""
    return html(tag("div", id=f"tb-{name}", data_part=name))


def frame(pages: Sequence[Page], current: Page, *, guarded: bool = False) -> Markup:
    """The head of a page: the name, the way to every page, the way out where a password is asked for, and warnings."""
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
    return join([skip, head, warning, tag("div", id="tb-content", tabindex="-1")])


def press(
    button: Any,
    action: Callable[..., Awaitable[Pressed]],
    *,
    notice: Any,
    inputs: Sequence[Any] = (),
    outputs: Sequence[Any] = (),
    raw: bool = False,
) -> None:
    """Run `action(arguments, *inputs)` when a Gradio button is pressed, and show what it ends with or was refused for.

    With `raw` the inputs come as the browser sent them: an upload is then `{"path", "orig_name", …}`, unchecked.
    """
    goto, address = gr.Textbox(visible=False), gr.Textbox(visible=False)

    async def pressed(search: object, *values: Any) -> list[Any]:
        try:
            done = await action(_arguments(search), *values)
        except Exception as error:
            if not isinstance(error, TunebusError):
                _log.exception("a button's action failed")
            return ["", problem_box(problem_of(error)), *(gr.skip() for _ in outputs)]
        return [done.goto, done.notice, *(done.updates or [gr.skip() for _ in outputs])]

    event = button.click(
        pressed,
        [address, *inputs],
        [goto, notice, *outputs],
        js=_WITH_ADDRESS,
        preprocess=not raw,
        trigger_mode="once",
        **_QUIET,
    )
    event.then(None, goto, None, js=FOLLOW_LINK, **_QUIET)


def at_load(blocks: Any, fill: Callable[[Arguments], Awaitable[Sequence[Any]]], outputs: Sequence[Any]) -> None:
    """Fill in a form once, when its page is opened."""

    async def load(request: gr.Request) -> Any:
        try:
            updates = list(await fill(dict(request.query_params)))
        except TunebusError:
            updates = [gr.skip() for _ in outputs]  # the page's own parts say what is wrong
        return updates if len(updates) > 1 else updates[0]

    blocks.load(load, None, list(outputs), **_QUIET)


def when_changed(
    component: Any,
    react: Callable[..., Awaitable[Sequence[Any]]],
    inputs: Sequence[Any],
    outputs: Sequence[Any],
    *,
    raw: bool = False,
) -> None:
    """Adapt a form to what a person chose in it. `raw` as in `press`."""

    async def changed(*values: Any) -> Any:
        try:
            updates = list(await react(*values))
        except TunebusError:
            updates = [gr.skip() for _ in outputs]
        return updates if len(updates) > 1 else updates[0]

    component.change(changed, list(inputs), list(outputs), preprocess=not raw, **_QUIET)


def draft(studio: Studio, blocks: Any, name: str, fields: Sequence[Any]) -> None:
    """Keep what is typed into a form's fields in the browser until it is sent, whatever happens to page or studio."""
    kept = gr.BrowserState(None, storage_key=f"tunebus-draft-{name}", secret=studio.browser_secret)
    blocks.load(None, [kept, *fields], list(fields), js=_RESTORE_DRAFT, **_QUIET)
    for one in fields:
        one.change(None, list(fields), kept, js="(...values) => values", **_QUIET)


def _arguments(search: object) -> Arguments:
    """The arguments of the address a browser is at, which its scripts may have changed since it was loaded."""
    return dict(parse_qsl(str(search or "").removeprefix("?")))


_WITH_ADDRESS = "(address, ...values) => [window.location.search, ...values]"
_RESTORE_DRAFT = (
    "(kept, ...values) => Array.isArray(kept) && kept.length === values.length && !window.location.search"
    " ? kept : values"
)
