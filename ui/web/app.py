"""The pages as one ASGI application: Gradio mounted in FastAPI behind the guard. It wires, and decides nothing."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

import gradio as gr
from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, Response
from tunebus.contracts import strictjson
from tunebus.contracts.errors import Code, TunebusError, fail
from tunebus.services.platform import password
from tunebus.ui.web import (
    activity,
    adapters,
    compare,
    configs,
    database,
    datasets,
    evaluate,
    home,
    jobs,
    models,
    prompts,
    settings,
    train,
    workers,
)
from tunebus.ui.web.acting import Acting, json_body
from tunebus.ui.web.live import Live
from tunebus.ui.web.login import Door
from tunebus.ui.web.markup import problem_box
from tunebus.ui.web.page import Page, frame, html
from tunebus.ui.web.refusals import refusal
from tunebus.ui.web.security import Application, Guard
from tunebus.ui.web.studio import Studio, problem_of
from tunebus.ui.web.theme import BUILD, PLOTLY, PLOTLY_PATH, STATIC, STATIC_PATH, head, theme
from tunebus.ui.web.unknown import Unknown
from tunebus.ui.web.words import say

PAGES: tuple[Page, ...] = (
    home.PAGE,
    train.PAGE,
    jobs.PAGE,
    compare.PAGE,
    evaluate.PAGE,
    datasets.PAGE,
    models.PAGE,
    adapters.PAGE,
    prompts.PAGE,
    configs.PAGE,
    activity.PAGE,
    workers.PAGE,
    database.PAGE,
    settings.PAGE,
)
SHOWN = "x-tunebus-shown"
"""The header of a fragment that a page asks for by itself, to show whatever it is answered with."""
_HOUR = 3600
_SELDOM = 1.0

_log = logging.getLogger(__name__)


def build(studio: Studio, port: int) -> Application:
    """The whole application for one studio, served on `port`, behind its door and its guard."""
    given = studio.settings
    # A little more than the limit of a file: a form around it has parts of its own.
    limit = given.ui_upload_limit_mb * 1_000_000 + 100_000
    guarded = password.current(given) is not None
    door = Door(Unknown(pages(studio, port), PAGES, guarded=guarded), given)
    return Guard(door, hosts=(given.ui_host, *given.ui_allowed_hosts), body_limit=limit)


def pages(studio: Studio, port: int) -> FastAPI:
    """Everything that is served, unguarded."""
    given = studio.settings
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    _routes(app, studio)
    app.mount(STATIC_PATH, StaticFiles(directory=STATIC))
    gr.mount_gradio_app(
        app,
        _blocks(studio),
        path="/",
        server_name=given.ui_host,
        server_port=port,
        app_kwargs={"docs_url": None, "redoc_url": None, "openapi_url": None},
        allowed_paths=[],
        favicon_path=str(STATIC / "favicon.svg"),
        show_error=False,
        max_file_size=given.ui_upload_limit_mb * 1_000_000,
        footer_links=[],
        run_history=False,
        ssr_mode=False,
        enable_monitoring=False,
        pwa=False,
        mcp_server=False,
        theme=theme(),
        head=head(),
    )
    return app


def _routes(app: FastAPI, studio: Studio) -> None:
    """What the scripts of the pages ask for. Names are shared by all pages, so that one may use another's."""
    by_path = {page.path: page for page in PAGES}
    live = Live(studio)
    checks = _merged(page.checks for page in PAGES)
    acting = Acting(studio, _merged(page.actions for page in PAGES))

    async def look(request: Request, path: str) -> Response:
        page = by_path.get(path.strip("/"))
        answer = await live.answer(page, request) if page else refusal(_unknown(path))
        answer.headers["x-tunebus-build"] = BUILD
        return answer

    async def act(request: Request, name: str) -> Response:
        return await acting.answer(name, request)

    async def check(request: Request, name: str) -> Response:
        if name not in checks:
            return refusal(_unknown(name))
        try:
            typed = strictjson.loads(await json_body(request))
            if not isinstance(typed, dict):
                raise fail(Code.INVALID, "a form is an object")
            return JSONResponse(await checks[name](studio, typed))
        except Exception as error:
            if not isinstance(error, TunebusError):
                _log.exception("a form could not be checked", extra={"check": name})
            return refusal(TunebusError(problem_of(error)))

    async def library(request: Request) -> Response:
        return FileResponse(PLOTLY, media_type="text/javascript", headers={"cache-control": "max-age=86400"})

    def found(kinds: Mapping[str, Any], wrap: Callable[[Any], Response]) -> Callable[..., Awaitable[Response]]:
        async def answer(request: Request, name: str) -> Response:
            if name not in kinds:
                return refusal(_unknown(name))
            try:
                return wrap(await kinds[name](studio, dict(request.query_params)))
            except Exception as error:
                if not isinstance(error, TunebusError):
                    _log.exception("a page's part could not be made", extra={"part": name})
                problem = problem_of(error)
                if wrap is HTMLResponse and problem.code == Code.NOT_FOUND and SHOWN in request.headers:
                    return HTMLResponse(problem_box(problem))  # gone while the page asked: nothing that failed
                return refusal(TunebusError(problem))

        return answer

    app.add_api_route("/live/{path:path}", look, methods=["GET"], response_model=None)
    app.add_api_route("/act/{name}", act, methods=["POST"], response_model=None)
    app.add_api_route("/check/{name}", check, methods=["POST"], response_model=None)
    app.add_api_route(PLOTLY_PATH, library, methods=["GET"], response_model=None)
    for prefix, kinds, wrap in (
        ("fragment", _merged(page.fragments for page in PAGES), HTMLResponse),
        ("data", _merged(page.data for page in PAGES), JSONResponse),
        ("download", _merged(page.downloads for page in PAGES), lambda response: response),
    ):
        app.add_api_route(f"/{prefix}/{{name}}", found(kinds, wrap), methods=["GET"], response_model=None)


def _merged(tables: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for table in tables:
        twice = merged.keys() & table.keys()
        assert not twice, f"two pages use the names {twice}"
        merged.update(table)
    return merged


def _unknown(name: str) -> TunebusError:
    return fail(Code.NOT_FOUND, f"there is no {name[:100]!r} here")


def _blocks(studio: Studio) -> Any:
    guarded = password.current(studio.settings) is not None
    blocks = gr.Blocks(title="Tunebus", analytics_enabled=False, delete_cache=(_HOUR, 24 * _HOUR))
    for page in PAGES:
        if page.path:
            blocks.route(say(page.title), page.path, show_in_navbar=False)
    # One context for all pages: leaving one makes a whole application, which takes a tenth of a second each time.
    with blocks:
        for page in PAGES:
            blocks.current_page = page.path
            html(frame(PAGES, page, guarded=guarded), elem_id="tb-frame")
            page.build(studio, blocks)
            blocks.load(None, None, None, js=f"() => {{ document.title = '{say(page.title)} · Tunebus' }}")
    # No event of ours waits in Gradio's queue, which would look for one a thousand times a second (4 % of a core).
    blocks._queue.sleep_when_free = _SELDOM
    return blocks
