"""The door of the pages: where a password is set, nothing behind it is served to whoever has no session.

Plain ASGI inside the guard; its one page is small HTML of its own, which loads nothing.
"""

from __future__ import annotations

import asyncio
import math
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs, urlsplit

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from tunebus.contracts.errors import Code, Problem
from tunebus.services.platform.settings import Settings
from tunebus.ui.web.markup import Markup, join, tag
from tunebus.ui.web.security import Application, Message, Receive, Scope, Send
from tunebus.ui.web.sessions import IDLE_SECONDS, Session, Sessions, Tries
from tunebus.ui.web.words import LANGUAGE, say

LOGIN, LOGOUT = "/login", "/logout"
BODY_BYTES = 8_000
AT_ONCE = 2  # passwords that are judged at the same time: each takes 32 MiB
WAITING = 16


class Door:
    """ASGI middleware. Without a password, on a loopback, everything is open and it does nothing."""

    def __init__(self, app: Application, settings: Settings) -> None:
        self._app = app
        self._sessions = Sessions(settings)
        self._tries = Tries()
        self._judging = asyncio.Semaphore(AT_ONCE)
        self._waiting = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket") or not self._sessions.required:
            if scope["type"] == "http" and scope["path"] in (LOGIN, LOGOUT):
                await RedirectResponse("/", 303)(scope, receive, send)
                return
            await self._app(scope, receive, send)
            return
        session = self._session(scope)
        if scope["type"] == "websocket":
            if session is None:
                await send({"type": "websocket.close", "code": 1008})
                return
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        if scope["path"] == LOGIN:
            answer = await self._login(request, session)
        elif scope["path"] == LOGOUT and request.method == "POST":
            answer = self._logout(request, session)
        elif session is None:
            answer = self._refused(request)
        else:
            await self._app(scope, receive, self._renewing(request, session, send))
            return
        await answer(scope, receive, send)

    def _session(self, scope: Scope) -> Session | None:
        for name, value in scope["headers"]:
            if name.lower() == b"cookie":
                try:
                    found = SimpleCookie(value.decode("latin-1")).get(self._sessions.cookie)
                except CookieError:
                    continue
                if found is not None:
                    return self._sessions.find(found.value)
        return None

    def _renewing(self, request: Request, session: Session, send: Send) -> Send:
        token = self._sessions.renewed(session)
        if token is None:
            return send

        async def renewed(message: Message) -> None:
            if message["type"] == "http.response.start":
                cookie = (b"set-cookie", self._cookie(request, token, IDLE_SECONDS).encode())
                message = {**message, "headers": [*message.get("headers", ()), cookie]}
            await send(message)

        return renewed

    async def _login(self, request: Request, session: Session | None) -> Response:
        if request.method != "POST":
            goto = _within(request.query_params.get("next", "/"))
            return RedirectResponse(goto, 303) if session is not None else _page(goto)
        form = await _form(request)
        if form is None:
            return _problem(413, Problem(code=Code.TOO_LARGE, message="the form is too large"))
        goto = _within(form.get("next", "/"))
        address = request.client.host if request.client else ""
        wait = self._tries.wait(address)
        if wait > 0 or self._waiting >= WAITING:
            seconds = max(1, math.ceil(wait))
            answer = _page(goto, say("login.wait", seconds=seconds), status=429)
            answer.headers["retry-after"] = str(seconds)
            return answer
        self._tries.begin(address)
        if not await self._judge(form.get("password", "")):
            return _page(goto, say("login.wrong"), status=401)
        self._tries.right(address)
        _, token = self._sessions.begin()
        response = RedirectResponse(goto, 303)
        response.headers["set-cookie"] = self._cookie(request, token, IDLE_SECONDS)
        return response

    async def _judge(self, given: str) -> bool:
        self._waiting += 1
        try:
            async with self._judging:
                return await asyncio.to_thread(self._sessions.matches, given)
        finally:
            self._waiting -= 1

    def _logout(self, request: Request, session: Session | None) -> Response:
        if session is not None:
            self._sessions.end(session)
        answer = _page("/", say("login.signed_out"), status=200)
        answer.headers["set-cookie"] = self._cookie(request, "", 0)
        answer.headers["clear-site-data"] = '"cache"'
        return answer

    def _refused(self, request: Request) -> Response:
        """The login page for a person who opens an address; a problem for everything else."""
        if request.method not in ("GET", "HEAD") or "text/html" not in request.headers.get("accept", ""):
            return _problem(401, Problem(code=Code.NOT_PERMITTED, message=say("login.refused"), hint=say("login.hint")))
        query = f"?{request.url.query}" if request.url.query else ""
        if request.headers.get("sec-fetch-site") == "cross-site":
            # A link from elsewhere comes without the cookie, whoever follows it: the page asks again by itself.
            return HTMLResponse(_document(tag("p", say("login.lead")), again=True), 401)
        return _page(_within(request.url.path + query), status=401)

    def _cookie(self, request: Request, token: str, seconds: int) -> str:
        by_tls = request.url.scheme == "https" or request.headers.get("origin", "").startswith("https://")
        secure = "; Secure" if by_tls else ""
        return f"{self._sessions.cookie}={token}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}"


async def _form(request: Request) -> dict[str, str] | None:
    """The fields of a form; None for one that is too large."""
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > BODY_BYTES:
            return None
    try:
        return {name: values[0] for name, values in parse_qs(body.decode(), max_num_fields=10).items()}
    except (ValueError, UnicodeDecodeError):
        return {}


def _within(address: str) -> str:
    """An address of these pages; anything else is the first page."""
    parts = urlsplit(address)
    ours = address.startswith("/") and not address.startswith(("//", "/\\", LOGIN, LOGOUT))
    plain = address.isascii() and address.isprintable() and "\\" not in address
    return address if ours and plain and not parts.scheme and not parts.netloc else "/"


def _problem(status: int, problem: Problem) -> Response:
    return JSONResponse({"error": problem.document()}, status)


def _page(goto: str, words: str = "", status: int = 200) -> Response:
    said = tag("p", words, role="alert") if words else Markup("")
    entry = tag(
        "input",
        type="password",
        name="password",
        id="password",
        autocomplete="current-password",
        required="",
        autofocus="",
        maxlength="1024",
    )
    form = tag(
        "form",
        tag("h1", say("login.title")),
        tag("p", say("login.lead")),
        said,
        tag("label", say("login.password"), **{"for": "password"}),
        entry,
        tag("input", type="hidden", name="next", value=goto),
        tag("button", say("login.button")),
        method="post",
        action=LOGIN,
    )
    return HTMLResponse(_document(form), status)


def _document(content: Markup, *, again: bool = False) -> str:
    refresh = tag("meta", http_equiv="refresh", content="0") if again else Markup("")
    head = join(
        [
            tag("meta", charset="utf-8"),
            tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
            refresh,
            tag("title", f"{say('login.title')} · Tunebus"),
            Markup(f"<style>{_STYLE}</style>"),
        ]
    )
    page = tag("html", tag("head", head), tag("body", tag("main", content)), lang=LANGUAGE)
    return f"<!doctype html>{page}"


_STYLE = """
:root { color-scheme: light dark; }
body { margin: 0; min-height: 100vh; display: grid; place-items: center; font: 16px/1.5 system-ui, sans-serif;
  background: light-dark(#f8fafc, #020617); color: light-dark(#0f172a, #e2e8f0); }
main { width: min(360px, calc(100vw - 32px)); }
form { display: grid; gap: 10px; padding: 28px; border: 1px solid light-dark(#e2e8f0, #1e293b); border-radius: 12px;
  background: light-dark(#fff, #0f172a); }
h1 { margin: 0; font-size: 1.4rem; }
p { margin: 0; }
[role=alert] { border-left: 4px solid #dc2626; padding: 6px 10px; }
label { font-weight: 600; }
input { font: inherit; padding: 8px 10px; border: 1px solid light-dark(#94a3b8, #475569); border-radius: 8px; }
button { font: inherit; font-weight: 600; padding: 9px; border: 0; border-radius: 8px; color: #fff;
  background: #0f766e; }
:focus-visible { outline: 2px solid #0f766e; outline-offset: 2px; }
"""
