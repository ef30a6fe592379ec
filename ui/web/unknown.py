"""What a person reads at an address where nothing is, in the frame of the pages. Scripts are answered as ever."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from starlette.datastructures import Headers
from starlette.responses import HTMLResponse
from tunebus.ui.web.markup import Markup, join, tag
from tunebus.ui.web.page import Page, frame
from tunebus.ui.web.security import Application, Message, Receive, Scope, Send
from tunebus.ui.web.theme import STATIC_PATH, styles
from tunebus.ui.web.ways import way
from tunebus.ui.web.words import LANGUAGE, say

MOST_BYTES = 10_000
# What Gradio's own style sheet, which comes with its scripts alone, would say.
_GROUND = """*, ::before, ::after { box-sizing: border-box; }
body { margin: 0; background: var(--body-background-fill); color: var(--body-text-color); font-family: var(--font); }"""
_DARK = "document.body.classList.toggle('dark', matchMedia('(prefers-color-scheme: dark)').matches)"


class Unknown:
    """Middleware: a 404 for who takes HTML becomes a page, with the reason where the app gave one."""

    def __init__(self, app: Application, pages: Sequence[Page], *, guarded: bool) -> None:
        self._app = app
        self._pages = pages
        self._guarded = guarded

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or "text/html" not in Headers(scope=scope).get("accept", ""):
            await self._app(scope, receive, send)
            return
        missing, said = False, b""

        async def seen(message: Message) -> None:
            nonlocal missing, said
            if message["type"] == "http.response.start" and message["status"] == 404:
                missing = True
            if not missing:
                await send(message)
            elif len(said) < MOST_BYTES:
                said += message.get("body", b"")

        await self._app(scope, receive, seen)
        if missing:
            words = _reason(said) or say("frame.gone.here_lead", path=scope["path"][:200])
            await HTMLResponse(self._document(words), 404)(scope, receive, send)

    def _document(self, words: str) -> str:
        ways = tag("div", way(say("frame.gone.home"), "/", kind="tb-primary"), kind="tb-actions")
        said = tag("div", tag("h1", say("frame.gone.here")), tag("p", words), ways, kind="tb-panel")
        head = join(
            [
                tag("meta", charset="utf-8"),
                tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
                tag("title", f"{say('frame.gone.here')} · Tunebus"),
                Markup(f'<link rel="stylesheet" href="/theme.css"><style>{_GROUND}</style>'),
                styles(),
            ]
        )
        content = tag("div", tag("main", frame(self._pages, None, guarded=self._guarded), said), kind="main")
        body = tag(
            "body",
            tag("div", content, kind="gradio-container"),
            Markup(f'<script>{_DARK}</script><script type="module" src="{STATIC_PATH}/frame.js"></script>'),
        )
        return f"<!doctype html>{tag('html', tag('head', head), body, lang=LANGUAGE)}"


def _reason(said: bytes) -> str:
    """The message of a refusal of ours."""
    try:
        found: Any = json.loads(said)
        return str(found["error"]["message"])[:1000]
    except (ValueError, TypeError, KeyError, RecursionError):
        return ""
