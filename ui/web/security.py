"""What stands between a browser and the pages: trusted hosts, own origin, bounded bodies, security headers.

Plain ASGI, so that bodies are counted while they stream. A page of another site cannot reach a studio through its
visitor's browser: DNS rebinding fails on `Host`, forged requests fail on `Origin`.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any
from urllib.parse import urlsplit

from tunebus.contracts.errors import Code, Problem

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

LOOPBACK = ("localhost", "127.0.0.1", "::1")
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})

# Gradio starts by inline scripts and styles, and compiles nothing; everything it loads is its own.
CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'self'",
        "script-src 'self' 'unsafe-inline' 'unsafe-eval'",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "font-src 'self' data:",
        "media-src 'self' blob:",
        "connect-src 'self'",
        "worker-src 'self' blob:",
        "object-src 'none'",
        "base-uri 'self'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)

HEADERS = (
    (b"content-security-policy", CONTENT_SECURITY_POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), microphone=(), geolocation=()"),
)
# What the pages use of Gradio's own API; it offers more, up to editing an application's code.
OFFERED = tuple(
    f"/gradio_api/{name}"
    for name in (
        "app_id", "cancel", "component_server", "file=", "heartbeat/", "info", "login_check", "queue/", "reset",
        "startup-events", "theme.css", "upload",
    )
)  # fmt: skip
_GRADIO = ("/gradio_api", "/monitoring", "/pwa_icon")
_REPLACED = frozenset(name for name, _ in HEADERS)
_FILES = ("/assets/", "/static/", "/tunebus/", "/favicon.ico", "/theme.css")


class TooLarge(Exception):
    """The body outgrew the limit while it streamed."""


class Guard:
    """ASGI middleware around the whole app. `hosts` are trusted names beside the loopback's; ports do not count."""

    def __init__(self, app: Application, *, hosts: Iterable[str] = (), body_limit: int) -> None:
        self._app = app
        self._hosts = frozenset(_named(host) for host in (*LOOPBACK, *hosts)) - {""}
        self._limit = body_limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        problem = self._refused(scope)
        if problem is not None:
            await _refuse(scope, send, *problem)
            return
        if scope["type"] == "websocket":
            await self._app(scope, receive, send)
            return
        await self._forward(scope, receive, send)

    async def _forward(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, counting its body and adding the headers to its answer."""
        seen = 0
        answering = over = False

        async def counted() -> Message:
            nonlocal seen, over
            message = await receive()
            if message["type"] == "http.request":
                seen += len(message.get("body", b""))
                if seen > self._limit:
                    over = True
                    raise TooLarge
            return message

        async def secured(message: Message) -> None:
            nonlocal answering
            if over and not answering:
                return  # what an inner layer makes of the broken-off body is no answer
            if message["type"] == "http.response.start":
                answering = True
                message = {**message, "headers": _headers(message.get("headers", ()), scope["path"])}
            await send(message)

        try:
            await self._app(scope, counted, secured)
        except TooLarge:
            if answering:
                raise
        if over and not answering:
            await _refuse(scope, send, 413, self._too_large())

    def _refused(self, scope: Scope) -> tuple[int, Problem] | None:
        """The status and the problem of a request that must not reach the app."""
        headers = {name.lower(): value.decode("latin-1") for name, value in scope["headers"]}
        host = headers.get(b"host", "")
        if _hostname(host) not in self._hosts:
            return 421, Problem(
                code=Code.NOT_PERMITTED,
                message=f"this studio is not served under the host {host[:100]!r}",
                param="Host",
                hint="open it by the address it printed, or name the host in TUNEBUS_UI_ALLOWED_HOSTS",
            )
        changes = scope["type"] == "websocket" or scope["method"] not in SAFE_METHODS
        origin = headers.get(b"origin")
        if origin is not None and urlsplit(origin).netloc.lower() != host.lower():
            return 403, Problem(
                code=Code.NOT_PERMITTED,
                message=f"requests from {origin[:100]!r} are refused",
                param="Origin",
                hint="use the studio's own pages",
            )
        if changes and headers.get(b"sec-fetch-site", "none") not in ("none", "same-origin"):
            return 403, Problem(
                code=Code.NOT_PERMITTED, message="requests from another site are refused", param="Sec-Fetch-Site"
            )
        if scope["type"] == "http" and not _plain(scope["path"]):
            return 404, Problem(code=Code.NOT_FOUND, message="no address is spelled like that")
        length = headers.get(b"content-length", "0")
        if length.isdigit() and int(length) > self._limit:
            return 413, self._too_large()
        if scope["type"] == "http" and scope["path"].startswith(_GRADIO) and not scope["path"].startswith(OFFERED):
            return 404, Problem(code=Code.NOT_FOUND, message="these pages do not offer that")
        return None

    def _too_large(self) -> Problem:
        return Problem(
            code=Code.TOO_LARGE,
            message=f"the upload is over the limit of {self._limit // 1_000_000} MB",
            hint="add the file by its path, or raise TUNEBUS_UI_UPLOAD_LIMIT_MB",
        )


def _headers(given: Iterable[tuple[bytes, bytes]], path: str) -> list[tuple[bytes, bytes]]:
    """An answer's headers with ours. Nothing is shared with other origins; only files may be kept by a browser."""
    fixed = path.startswith(_FILES)
    kept = [
        (name, value)
        for name, value in given
        if name.lower() not in _REPLACED
        and not name.lower().startswith(b"access-control-")
        and (fixed or name.lower() != b"cache-control")
    ]
    return [*kept, *HEADERS, *(() if fixed else ((b"cache-control", b"no-store"),))]


def _plain(path: str) -> bool:
    """Whether a path can be one of a file at all: what serves files stumbles over others."""
    return "\0" not in path and all(len(part.encode("utf-8", "replace")) <= 255 for part in path.split("/"))


def _hostname(host: str) -> str:
    """The name in a `Host` header, without its port; empty when it is no host at all."""
    try:
        return (urlsplit(f"//{host}").hostname or "").lower()
    except ValueError:
        return ""


def _named(host: str) -> str:
    """A trusted host as an operator writes it: a name or an address, with or without a port or brackets."""
    bare_address = host.count(":") > 1 and not host.startswith("[")
    return host.lower() if bare_address else _hostname(host)


async def _refuse(scope: Scope, send: Send, status: int, problem: Problem) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008})
        return
    body = json.dumps({"error": problem.document()}).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
        *HEADERS,
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
