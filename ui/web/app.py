"""The pages as one ASGI application: Gradio mounted in FastAPI behind the guard. It wires, and decides nothing."""

from __future__ import annotations

from typing import Any

import gradio as gr
from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles
from tunebus.ui.web import datasets, evaluate, home, jobs, train
from tunebus.ui.web.page import Page, frame, html
from tunebus.ui.web.security import Application, Guard
from tunebus.ui.web.studio import Studio
from tunebus.ui.web.theme import STATIC, STATIC_PATH, head, theme

PAGES: tuple[Page, ...] = (home.PAGE, datasets.PAGE, train.PAGE, jobs.PAGE, evaluate.PAGE)
_HOUR = 3600
_SELDOM = 1.0


def build(studio: Studio, port: int) -> Application:
    """The whole application for one studio, served on `port`."""
    settings = studio.settings
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    app.mount(STATIC_PATH, StaticFiles(directory=STATIC))
    gr.mount_gradio_app(
        app,
        _blocks(studio),
        path="/",
        server_name=settings.ui_host,
        server_port=port,
        app_kwargs={"docs_url": None, "redoc_url": None, "openapi_url": None},
        allowed_paths=[],
        favicon_path=str(STATIC / "favicon.svg"),
        show_error=False,
        max_file_size=settings.ui_upload_limit_mb * 1_000_000,
        footer_links=[],
        run_history=False,
        ssr_mode=False,
        enable_monitoring=False,
        pwa=False,
        mcp_server=False,
        theme=theme(),
        head=head(),
    )
    # A little more than the limit of a file: a form around it has parts of its own.
    limit = settings.ui_upload_limit_mb * 1_000_000 + 100_000
    return Guard(app, hosts=(settings.ui_host, *settings.ui_allowed_hosts), body_limit=limit)


def _blocks(studio: Studio) -> Any:
    blocks = gr.Blocks(title="Tunebus", analytics_enabled=False, delete_cache=(_HOUR, 24 * _HOUR))
    for page in PAGES:
        if page.path:
            blocks.route(page.title, page.path, show_in_navbar=False)
    # One context for all pages: leaving one makes a whole application, which takes a tenth of a second each time.
    with blocks:
        for page in PAGES:
            blocks.current_page = page.path
            html(frame(PAGES, page), elem_id="tb-frame")
            page.build(studio, blocks)
            blocks.load(None, None, None, js=f"() => {{ document.title = '{page.title} · Tunebus' }}")
    # No event of ours waits in Gradio's queue, which would look for one a thousand times a second (4 % of a core).
    blocks._queue.sleep_when_free = _SELDOM
    return blocks
