"""`train import`: trainings that ran elsewhere, from the TensorBoard event files that they wrote."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.text import Text
from tunebus.contracts import commands
from tunebus.contracts.errors import Code, TunebusError, fail
from tunebus.ui.cli.call import Call, absolute, command, typed_path
from tunebus.ui.cli.lifecycle import train
from tunebus.ui.cli.options import given, options
from tunebus.ui.cli.progress import send_watched, upload

if TYPE_CHECKING:
    from tunebus.contracts.envelope import Outcome

__all__ = ["train"]

_MARK = "tfevents"


@command(
    train,
    "import",
    fields=options(commands.ImportRun, skip=("path", "uploads"), values={"name": "what to call the run"}),
    epilog="Example: tunebus train import runs/older --name older-run --label cluster",
)
def import_run(
    call: Call,
    path: Annotated[str, typer.Argument(metavar="PATH", help="a folder of event files, or one", show_default=False)],
    upload_it: Annotated[
        bool, typer.Option("--upload", help="send a copy over the bus, from whatever machine", show_default=False)
    ] = False,
    **fields: Any,
) -> None:
    """Take in a training that ran elsewhere, with its curves, from its TensorBoard event files."""
    asked, local = given(fields), typed_path(path)
    outcome = _uploaded(call, local, asked) if upload_it else _by_path(call, path, local, asked)
    call.terminal.data(outcome.document(), Text(outcome.id or ""))
    if call.machine:
        return
    job = call.ask("GetFineTuningJob", id=outcome.id)
    run, name = job["imported"], escape(job["adapter_name"])
    for warning in job["warnings"]:
        call.terminal.note(f"[yellow]{escape(warning)}[/]")
    if job["adapter_name"] != asked["name"]:
        call.terminal.note(f"these files are here already, as {name}")
    call.terminal.note(
        f"[green]{run['points']:,} points of {len(run['curves'])} curves[/]: tunebus train metrics {name}"
    )


def _by_path(call: Call, path: str, local: Path, asked: dict[str, Any]) -> Outcome:
    """By path where the studio may read it, else as an upload where its user may."""
    try:
        return send_watched(call, "ImportRun", path=absolute(path), **asked)
    except TunebusError as error:
        refused = error.problem.code is Code.NOT_PERMITTED and error.problem.param == "path"
        if not refused or not os.access(local, os.R_OK):
            raise
        call.terminal.note(f"the studio does not read {escape(str(local))} itself: uploading a copy")
        return _uploaded(call, local, asked)


def _uploaded(call: Call, place: Path, asked: dict[str, Any]) -> Outcome:
    files = sorted(file for file in place.rglob("*") if _MARK in file.name and file.is_file()) or [place]
    if place.is_dir() and any(file.parent != place for file in files):
        hint = "upload the folder of one run, or put it where the studio reads it"
        raise fail(Code.INVALID, f"{place} holds event files of several folders", param="uploads", hint=hint)
    names: list[str] = []
    try:
        names += [upload(call, file) for file in files]
        return send_watched(call, "ImportRun", uploads=names, **asked)
    finally:
        for name in names:
            call.bus.remove_upload(name)
