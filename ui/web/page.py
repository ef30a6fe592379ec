"""What every page is made of: parts that follow the studio by one timer, and buttons that send a command.

Handlers read projections or send one command, and return; they keep nothing but fingerprints of what a browser shows.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import gradio as gr
from tunebus.contracts.errors import TunebusError
from tunebus.ui.web.markup import Markup, banner, join, problem_box, tag
from tunebus.ui.web.studio import Studio, digest, problem_of

TICK_SECONDS = 1.0
FOLLOW_LINK = "(to) => { if (to) window.location.assign(to) }"

Arguments = Mapping[str, str]
Memory = dict[str, Any]
Reader = Callable[[Arguments, Memory], Awaitable[Mapping[str, Any]]]

_log = logging.getLogger(__name__)

# No event is listed for API clients, none waits in a queue and none paints a spinner over what it updates.
_QUIET: dict[str, Any] = {
    "queue": False,
    "show_progress": "hidden",
    "api_visibility": "private",
}


@dataclass(frozen=True)
class Page:
    """One page: `build` lays it out inside the Blocks it is given. `path` is what follows the first slash."""

    path: str
    title: str
    build: Callable[[Studio, Any], None]


@dataclass(frozen=True)
class Done:
    """What a button's action ends with: words to show, values of its outputs, and where to go, if anywhere."""

    notice: Markup = Markup("")  # noqa: RUF009  immutable
    updates: Sequence[Any] = field(default=())
    goto: str = ""


def html(value: str = "", **options: Any) -> Any:
    """A part that shows Markup. It runs no script of its own."""
    return gr.HTML(value, js_on_load=None, padding=False, apply_default_css=False, **options)


def frame(pages: Sequence[Page], current: Page) -> Markup:
    """The head of a page: the name and the way to every page."""
    brand = tag("a", tag("span", kind="tb-mark", aria_hidden="true"), "Tunebus", kind="tb-brand", href="/")
    links = [
        tag("a", page.title, href=f"/{page.path}", **({"aria_current": "page"} if page is current else {}))
        for page in pages
    ]
    return tag("header", brand, tag("nav", *links, aria_label="Pages"), kind="tb-header")


def follow(studio: Studio, blocks: Any, read: Reader, parts: Mapping[str, Any]) -> None:
    """Keep `parts` up to date: at load, and by one timer as long as the page is open.

    `read` gets the arguments of the page's address and a memory of this browser's page, and returns the values of
    those parts it has news of. Only values that differ from what the browser shows travel to it.
    """
    warning = html(elem_id="tb-warning")
    state = gr.State({"memory": {}, "marks": {}})

    async def refresh(known: dict[str, Memory], request: gr.Request) -> list[Any]:
        remembered, marks = dict(known["memory"]), dict(known["marks"])
        shown: dict[str, Any] = {}
        words = studio.warnings()
        try:
            shown.update(await read(dict(request.query_params), remembered))
        except TunebusError as error:
            words.append(_sentence(error))
        except Exception:
            _log.exception("a page could not be read")
            words.append("This page met a defect; the studio's log holds the details.")
        shown["tb-warning"] = join(banner(one) for one in dict.fromkeys(words))
        updates = [_news(marks, name, shown) for name in ("tb-warning", *parts)]
        now = {"memory": remembered, "marks": marks}
        return [gr.skip() if now == known else now, *updates]

    outputs = [state, warning, *parts.values()]
    blocks.load(refresh, state, outputs, **_QUIET)
    gr.Timer(TICK_SECONDS).tick(refresh, state, outputs, trigger_mode="once", **_QUIET)


def press(
    button: Any,
    action: Callable[..., Awaitable[Done]],
    *,
    notice: Any,
    inputs: Sequence[Any] = (),
    outputs: Sequence[Any] = (),
    raw: bool = False,
) -> None:
    """Run `action(arguments, *inputs)` when a button is pressed, and show what it ends with, or what was refused.

    With `raw` the inputs come as the browser sent them: an upload is then `{"path", "orig_name", …}`, unchecked.
    """
    goto = gr.Textbox(visible=False)

    async def pressed(request: gr.Request, *values: Any) -> list[Any]:
        try:
            done = await action(dict(request.query_params), *values)
        except Exception as error:
            if not isinstance(error, TunebusError):
                _log.exception("a button's action failed")
            return ["", problem_box(problem_of(error)), *(gr.skip() for _ in outputs)]
        return [done.goto, done.notice, *(done.updates or [gr.skip() for _ in outputs])]

    event = button.click(
        pressed, list(inputs), [goto, notice, *outputs], preprocess=not raw, trigger_mode="once", **_QUIET
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


def _news(marks: Memory, name: str, shown: Mapping[str, Any]) -> Any:
    """A part's value when the browser does not show it yet; `marks` are fingerprints of what it shows."""
    if name not in shown:
        return gr.skip()
    mark = digest(shown[name])
    if marks.get(name) == mark:
        return gr.skip()
    marks[name] = mark
    return shown[name]


def _sentence(error: TunebusError) -> Markup:
    problem = error.problem
    return join([tag("strong", f"{problem.message}."), Markup(" "), problem.hint or ""])
