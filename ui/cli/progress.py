"""Waiting for what takes long, with a bar on stderr: commands that are prepared for minutes, and files on their way."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeRemainingColumn
from tunebus.contracts.errors import Code, TunebusError
from tunebus.contracts.identifiers import new_id
from tunebus.ui.cli.call import Call
from tunebus.ui.cli.terminal import byte_size

if TYPE_CHECKING:
    from tunebus.contracts.envelope import Outcome

LOOK_SECONDS = 0.25
QUIET_SECONDS = 60.0
"""How long a command may be without outcome and without a sign of being worked on."""


class Bar:
    """One line that tells a phase, a share and a rest of time; nothing for a program and before there is a phase."""

    def __init__(self, call: Call) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("[dim]{task.fields[amount]}[/]"),
            TimeRemainingColumn(),
            console=call.terminal.err,
            transient=True,
            disable=call.machine or not call.terminal.err.is_terminal,
        )
        self._task: TaskID | None = None
        self._phase: str | None = None

    def show(self, phase: str, done: int, total: int | None, unit: str | None) -> None:
        if self._phase != phase:
            if self._task is not None:
                self._progress.remove_task(self._task)
            self._task = self._progress.add_task(phase, amount="")
            self._phase = phase
        assert self._task is not None
        amount = byte_size(done) if unit == "bytes" else f"{done:,} {unit or ''}"
        self._progress.update(self._task, completed=done, total=total or None, amount=amount)

    @contextlib.contextmanager
    def shown(self) -> Iterator[Bar]:
        with self._progress:
            yield self


def send_watched(call: Call, command: str, **fields: Any) -> Outcome:
    """As `call.send`, for as long as the studio says that it works on it. Errors: those of `call.send`."""
    command_id = new_id()
    heard = time.monotonic()
    with Bar(call).shown() as bar:
        while True:
            sending = _in_background(call, command, command_id, fields)
            while not sending.done():
                with contextlib.suppress(TimeoutError):
                    sending.exception(timeout=LOOK_SECONDS)
                    break
                found = _look(call, command_id)
                if found["phase"] is not None:
                    heard = time.monotonic()
                    bar.show(found["phase"], found["done"], found["total"], found["unit"])
            try:
                return sending.result()
            except TunebusError as error:
                # Asked again under the same id, it is not done twice.
                if error.problem.code is not Code.NOT_CONFIRMED or time.monotonic() - heard > QUIET_SECONDS:
                    raise


def upload(call: Call, path: Path) -> str:
    """Put a file into the studio's file bucket; returns its name there. Errors: those of the client."""
    with Bar(call).shown() as bar:
        return call.bus.upload(path, progress=lambda done, total: bar.show("uploading", done, total, "bytes"))


def _in_background(call: Call, command: str, command_id: str, fields: dict[str, Any]) -> Future[Outcome]:
    future: Future[Outcome] = Future()

    def work() -> None:
        try:
            future.set_result(call.send_as(command_id, command, fields))
        except BaseException as error:
            future.set_exception(error)

    call.bus  # noqa: B018  connected before there are two threads
    threading.Thread(target=work, name="send", daemon=True).start()
    return future


def _look(call: Call, command_id: str) -> dict[str, Any]:
    nothing = {"phase": None, "done": 0, "total": None, "unit": None}
    with contextlib.suppress(TunebusError):
        return nothing | call.ask_quickly("GetCommandProgress", seconds=2.0, command_id=command_id)
    return nothing
