"""`db`: the whole record as a document over the bus, and the operator's work on the database itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer
from rich.console import Group, RenderableType
from rich.markup import escape
from tunebus.contracts.errors import Code, TunebusError, fail
from tunebus.ui.cli.call import Call, command, typed_path
from tunebus.ui.cli.processes import become
from tunebus.ui.cli.progress import Bar, send_watched, upload
from tunebus.ui.cli.terminal import byte_size, local_time, record, table

database = typer.Typer(no_args_is_help=True, help="The studio's record: export, import, backup, repair.")

_MODULE = "tunebus.services.registry.database"

_File = Annotated[str, typer.Argument(metavar="FILE", show_default=False)]


@command(database, "show", epilog="Example: tunebus db show")
def show(call: Call) -> None:
    """Say how large the record is, how far it has come and which projections are live."""
    found = call.ask("GetDatabase")
    call.terminal.data(found, None if call.machine else record(_shown(found)))


@command(database, "export", epilog="Example: tunebus db export studio.json --projections")
def export(
    call: Call,
    file: _File,
    projections: Annotated[
        bool, typer.Option("--projections", help="the projections' rows as well", show_default=False)
    ] = False,
    offline: Annotated[
        bool, typer.Option("--offline", help="straight from the database: no studio need be up", show_default=False)
    ] = False,
) -> None:
    """Write every event into one JSON document, which `tunebus db import` takes in elsewhere. Files are not in it."""
    target = typed_path(file, "file").absolute()
    if offline:
        become(call, _MODULE, "export", str(target), *(["--projections"] if projections else []))
    if not target.parent.is_dir():
        raise fail(Code.NOT_FOUND, f"there is no folder {target.parent}", param="FILE", hint="make it first")
    try:
        outcome = send_watched(call, "ExportDatabase", **({"projections": True} if projections else {}))
    except TunebusError as error:
        if error.problem.code is not Code.UNAVAILABLE:
            raise
        hint = f"{error.problem.hint}; --offline exports straight from the database of this machine"
        raise fail(Code.UNAVAILABLE, error.problem.message, param=error.problem.param, hint=hint) from None
    found = call.ask("GetDatabaseExport", id=outcome.id)
    with Bar(call).shown() as bar:
        call.bus.download(
            found["object"], target, progress=lambda done, total: bar.show("downloading", done, total, "bytes")
        )
    call.bus.remove_upload(found["object"])
    document = {"file": file, **{name: found[name] for name in ("id", "position", "events", "bytes", "sha256")}}
    call.terminal.data(document, record(document))
    call.terminal.note(
        f"[green]{found['events']:,} events[/] up to position {found['position']}, {byte_size(found['bytes'])}; the"
        " artifacts' files are not in it"
    )


@command(database, "import", epilog="Example: tunebus db import studio.json --home elsewhere")
def import_document(call: Call, file: _File) -> None:
    """Take in a document of `tunebus db export`: checked as a whole first; what is here already is skipped."""
    name = upload(call, typed_path(file, "file"))
    try:
        outcome = send_watched(call, "ImportDatabase", upload=name)
    finally:
        call.bus.remove_upload(name)
    found = call.ask("GetDatabaseImport", id=outcome.id)
    call.terminal.data(found, None if call.machine else _imported(found))


@command(database, "backup", epilog="Example: tunebus db backup studio-monday.db")
def back_up(call: Call, file: _File) -> None:
    """Write the database, as it is at one moment, into one file; the studio goes on meanwhile."""
    become(call, _MODULE, "backup", str(typed_path(file, "file").absolute()))


@command(database, "restore", epilog="Example: tunebus db restore studio-monday.db --home new-home")
def restore(call: Call, file: _File) -> None:
    """Put a backup into a home that has no record yet, or into the empty database that is set."""
    become(call, _MODULE, "restore", str(typed_path(file, "file").absolute()))


@command(database, "rebuild", epilog="Example: tunebus db rebuild")
def rebuild(call: Call) -> None:
    """Make the projections anew from the events, beside the live ones, then switch over."""
    become(call, _MODULE, "rebuild")


@command(database, "verify", epilog="Example: tunebus db verify --json")
def verify(call: Call) -> None:
    """Compare the projections with a rebuild, on a live studio as well."""
    become(call, _MODULE, "verify")


@command(database, "upgrade", epilog="Example: tunebus db upgrade")
def upgrade(call: Call) -> None:
    """Bring the tables to this version."""
    become(call, _MODULE, "upgrade")


def _shown(found: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "database": found["kind"],
        "size": byte_size(found["bytes"]),
        "events": f"{found['events']:,}",
        "position": found["position"],
        "first": local_time(found["first_recorded_at"]),
        "newest": local_time(found["last_recorded_at"]),
        "projections": ", ".join(
            f"{one['name']} {one['version']} ({one['status']}, at {one['position']})" for one in found["projections"]
        ),
    }


def _imported(found: Mapping[str, Any]) -> RenderableType:
    """Counts, then what was left out and why."""
    shown = {
        "document": f"{found['studio']}, exported {local_time(found['exported_at'])}",
        "events in it": found["events"],
        "added": found["added"],
        "here already": found["skipped"],
        "refused": found["refused"],
        "jobs held": found["held"],
        "files missing": found["missing_files"],
    }
    parts: list[RenderableType] = [record({name: value for name, value in shown.items() if value})]
    if found["left_out"]:
        more = found["left_out_entities"] - len(found["left_out"])
        parts.append(
            table(
                found["left_out"],
                {"what": "aggregate", "name": "name", "events": "events", "why": "reason", "id": "id"},
                title="left out" + (f" (and {more} more)" if more else ""),
            )
        )
    if found["held"]:
        parts.append("Jobs that had not ended are held: `tunebus queue release JOB` lets one run.")
    if found["missing_files"]:
        named = ", ".join(found["missing"][:10]) + (", …" if found["missing_files"] > 10 else "")
        parts.append(escape(f"without their files here: {named}. A document holds none: copy the artifacts, too."))
    return Group(*parts)
