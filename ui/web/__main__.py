"""Serve the pages: `python -m tunebus.ui.web`. Where, is said by `TUNEBUS_UI_HOST` and `TUNEBUS_UI_PORT`."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import shutil
import socket
from collections.abc import Iterator
from typing import TYPE_CHECKING

from tunebus.contracts.errors import Code, fail
from tunebus.services.platform import password, process
from tunebus.services.platform.settings import Settings
from tunebus.ui.web.studio import Studio

if TYPE_CHECKING:
    import uvicorn

CLOSE_SECONDS = 2


async def main(service: process.Service) -> None:
    password.demand(service.settings)
    studio = Studio(service.settings)
    listener = listen(service.settings)
    shutil.rmtree(studio.incoming, ignore_errors=True)  # uploads that nobody added before the last stop
    # Gradio reads these when it is imported.
    os.environ["GRADIO_TEMP_DIR"] = str(studio.incoming)
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["HF_HUB_OFFLINE"] = "1"
    server = _server(studio, listener)
    serving = asyncio.create_task(server.serve([listener]))
    connecting = asyncio.create_task(studio.keep_connecting())
    stopping = asyncio.create_task(service.stop.wait())
    try:
        while not server.started and not serving.done():
            await asyncio.sleep(0.01)
        if server.started:
            service.ready(address(service.settings.ui_host, listener.getsockname()[1]))
        await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
        server.should_exit = True
        await serving
    finally:
        await process.end_tasks(serving, connecting, stopping)
        await studio.close()


def listen(settings: Settings) -> socket.socket:
    """A socket of the address that is set; nobody can connect before the pages are built. Errors: `conflict`."""
    try:
        family, kind, protocol, _, where = socket.getaddrinfo(
            settings.ui_host, settings.ui_port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except socket.gaierror:
        raise fail(
            Code.INVALID, f"{settings.ui_host!r} is no address of this machine", param="TUNEBUS_UI_HOST"
        ) from None
    made = socket.socket(family, kind, protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind(where)
    except OSError as error:
        made.close()
        raise fail(
            Code.CONFLICT,
            f"port {settings.ui_port} of {settings.ui_host} cannot be used: {error.strerror}",
            param="TUNEBUS_UI_PORT",
            hint="choose another, or 0 for any free one",
        ) from None
    return made


def address(host: str, port: int) -> str:
    """The URL to open; a wildcard is no address."""
    reachable = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host, host)  # noqa: S104
    return f"http://{f'[{reachable}]' if ':' in reachable else reachable}:{port}"


def _server(studio: Studio, listener: socket.socket) -> uvicorn.Server:
    # What is imported stays for good; looking for garbage in it would take a fifth of the start.
    gc.disable()
    import uvicorn
    from tunebus.ui.web.app import build

    class Server(uvicorn.Server):
        @contextlib.contextmanager
        def capture_signals(self) -> Iterator[None]:
            """Signals are the service's, which asks us to stop."""
            yield

    app = build(studio, listener.getsockname()[1])
    gc.freeze()
    gc.enable()
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        ws="none",
        lifespan="on",
        timeout_graceful_shutdown=CLOSE_SECONDS,  # open pages hold a stream each
    )
    return Server(config)


if __name__ == "__main__":
    process.run("ui", main)
