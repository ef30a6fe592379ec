"""What an open page asks for by its one timer: whether anything changed, and then only the parts that did.

Parts are fragments of HTML that follow from the page's address alone, so its viewers share one rendering.
It keeps no memory of any browser: each says which version of which part it shows.
"""

from __future__ import annotations

import asyncio
import json
import logging
import math
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from tunebus.contracts.errors import Code, TunebusError
from tunebus.ui.web.gone import gone
from tunebus.ui.web.markup import Markup, banner, join, tag
from tunebus.ui.web.page import Arguments, Page
from tunebus.ui.web.studio import Studio, digest
from tunebus.ui.web.words import say

SEEN = "x-tunebus-seen"
SEEN_BYTES = 8_000
WARNING = "warning"
GONE = "gone"
KEPT = 64
RETRY_SECONDS = 5.0  # a page that could not be read is tried again though nothing changed
_log = logging.getLogger(__name__)


@dataclass
class _Rendering:
    """One address as it was last rendered, for all who look at it."""

    version: str = ""
    until: float = math.inf
    whole: bool = True
    parts: Mapping[str, Markup] = field(default_factory=dict)
    marks: Mapping[str, str] = field(default_factory=dict)
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class Live:
    """Answers the timers of all pages."""

    def __init__(self, studio: Studio) -> None:
        self._studio = studio
        self._renderings: OrderedDict[tuple[str, ...], _Rendering] = OrderedDict()

    async def answer(self, page: Page, request: Request) -> Response:
        """204 while nothing changed since the version that the browser names, else the parts it does not show yet:
        `{"version", "parts": {name: html}, "marks": {name: mark}}`. Parts that it shows and that its address does not
        have are emptied, unless the page could not be read."""
        arguments = dict(request.query_params)
        version, marks = _seen(request)
        shown = await self._shown(page, arguments)
        if shown.version == version:
            return Response(status_code=204)
        news = {name: html for name, html in shown.parts.items() if marks.get(name) != shown.marks[name]}
        if shown.whole:
            news |= {name: Markup("") for name, mark in marks.items() if mark and name not in shown.parts}
        return JSONResponse(
            {"version": shown.version, "parts": news, "marks": {name: shown.marks.get(name, "") for name in news}}
        )

    async def _shown(self, page: Page, arguments: Arguments) -> _Rendering:
        key = (page.path, *(f"{name}={value}" for name, value in sorted(arguments.items())))
        rendering = self._renderings.setdefault(key, _Rendering())
        self._renderings.move_to_end(key)
        while len(self._renderings) > KEPT:
            self._renderings.popitem(last=False)
        async with rendering.lock:
            version = await self._version(page)
            if rendering.version != version or time.monotonic() >= rendering.until:
                parts, rendering.whole = await self._render(page, arguments)
                rendering.until = math.inf if rendering.whole else time.monotonic() + RETRY_SECONDS
                rendering.marks = {name: digest(html) for name, html in parts.items()}
                rendering.parts = parts
                rendering.version = version
        return rendering

    async def _version(self, page: Page) -> str:
        """What the parts of an address depend on, without making them."""
        return digest(await self._studio.stamp(page.watches), *self._studio.warnings())

    async def _render(self, page: Page, arguments: Arguments) -> tuple[dict[str, Markup], bool]:
        words: list[object] = list(self._studio.warnings())
        parts: dict[str, Markup] = {}
        whole = False
        try:
            parts.update(await page.read(self._studio, arguments))
            whole = True
        except TunebusError as error:
            if error.problem.code == Code.NOT_FOUND:
                parts[GONE] = await gone(self._studio, page, arguments, error)
                whole = not page.keeps  # else nothing stays of what was removed, least of all its buttons
            else:
                words.append(sentence(error))
        except Exception:
            _log.exception("a page could not be read", extra={"page": page.path})
            words.append(say("frame.defect"))
        parts[WARNING] = join(banner(one) for one in dict.fromkeys(words))
        return parts, whole


def sentence(error: TunebusError) -> Markup:
    """A problem as words above a page."""
    problem = error.problem
    return join([tag("strong", f"{problem.message.rstrip('.')}."), Markup(" "), problem.hint or ""])


def _seen(request: Request) -> tuple[str, Mapping[str, str]]:
    """What the browser shows; nothing, when it says so in a way nobody understands."""
    try:
        given = json.loads(request.headers.get(SEEN, "")[:SEEN_BYTES])
        marks = given["marks"]
        return str(given["version"]), marks if isinstance(marks, dict) else {}
    except (ValueError, TypeError, KeyError, RecursionError):
        return "", {}
