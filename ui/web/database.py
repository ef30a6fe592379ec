"""Database: size and position of the record, export and import, verify, rebuild and backup, and what is left to the
command line."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from starlette.background import BackgroundTask
from starlette.responses import FileResponse, Response
from tunebus.contracts.errors import Code, TunebusError
from tunebus.contracts.file_bucket import FileBucket
from tunebus.contracts.identifiers import new_id, utc_now
from tunebus.contracts.subjects import DATABASE
from tunebus.ui.web.acting import Asking, Done, command_id
from tunebus.ui.web.markup import (
    Markup,
    act,
    ago,
    banner,
    bytes_text,
    empty,
    icon,
    join,
    link,
    moment,
    pairs,
    problem_box,
    section,
    table,
    tag,
)
from tunebus.ui.web.operator import Action, Run
from tunebus.ui.web.page import Arguments, Page, html, part
from tunebus.ui.web.storage import size_of
from tunebus.ui.web.studio import Document, Studio
from tunebus.ui.web.words import say

LISTED = 10
KEPT = timedelta(days=1)  # how long the file bucket keeps a document
SQLITE = "sqlite:///"


def build(studio: Studio, blocks: Any) -> None:
    html(join([tag("h1", say("database.title")), tag("p", say("database.lead"), kind="tb-lead")]))
    for name in ("record", "imported", "export", "import", "verify", "rebuild", "backup", "commands"):
        part(name)


async def read(studio: Studio, arguments: Arguments) -> Mapping[str, Markup]:
    record = await studio.ask("GetDatabase")
    moved = await studio.ask("ListEvents", aggregate=DATABASE, newest=True, limit=100)
    exports = [event for event in moved["items"] if event["type"] == "DatabaseExported"][:LISTED]
    imports = [event for event in moved["items"] if event["type"] == "DatabaseImported"][:LISTED]
    wanted = arguments.get("import", "")[:100]
    return {
        "record": section(say("database.state.title"), _state(studio, record)),
        "imported": _imported(await studio.ask("GetDatabaseImport", id=wanted)) if wanted else Markup(""),
        "export": section(say("database.export.title"), *_export(exports)),
        "import": section(say("database.import.title"), *_import(imports)),
        "verify": section(say("database.verify.title"), *_verify(studio)),
        "rebuild": section(say("database.rebuild.title"), *_rebuild(studio)),
        "backup": section(say("database.backup.title"), *_backup(studio)),
        "commands": section(say("database.commands.title"), *_commands(studio)),
    }


def _state(studio: Studio, record: Document) -> Markup:
    projections = [
        tag("div", say("database.state.projection", **{**one, "status": one["status"]}))
        for one in record["projections"]
    ]
    return pairs(
        [
            (say("database.state.kind"), {"sqlite": "SQLite", "postgresql": "PostgreSQL"}.get(record["kind"])),
            (say("database.state.size"), bytes_text(record["bytes"])),
            (say("database.state.events"), f"{record['events']:,}"),
            (say("database.state.position"), link(record["position"], "/activity")),
            (say("database.state.first"), moment(record["first_recorded_at"])),
            (say("database.state.last"), moment(record["last_recorded_at"])),
            (say("database.state.projections"), join(projections)),
            (say("database.state.telemetry"), _telemetry(studio)),
        ]
    )


def _telemetry(studio: Studio) -> str:
    url = studio.settings.telemetry_url
    if not url.startswith(SQLITE):
        return say("database.state.telemetry_same")
    file = Path(url.removeprefix(SQLITE))
    # What was written last is in the log beside it, for long most of it.
    size = sum(size_of(one).bytes for one in (file, file.with_name(f"{file.name}-wal")))
    return say("database.state.telemetry_there", size=bytes_text(size))


def _export(exports: Sequence[Document]) -> list[Markup]:
    done = {"done": say("database.export.done")}
    buttons = tag(
        "div",
        act(say("database.export.whole"), "ExportDatabase", {}, kind="tb-primary", **done),
        act(say("database.export.projections"), "ExportDatabase", {"projections": True}, **done),
        kind="tb-actions",
    )
    parts = [tag("p", say("database.export.lead"), kind="tb-small"), buttons]
    if not exports:
        return [*parts, empty(say("database.export.none"))]
    heads = [say(f"database.export.{name}") for name in ("when", "position", "events", "size", "document")]
    now = utc_now()
    rows = []
    for event in exports:
        data = event["data"]
        there = now - datetime.fromisoformat(event["recorded_at"]) < KEPT
        way = link(join([icon("download"), say("database.export.download")]), "/download/record", id=event["entity_id"])
        rows.append(
            (
                ago(event["recorded_at"], now),
                data["position"],
                f"{data['events']:,}",
                bytes_text(data["bytes"]),
                way if there else say("database.export.expired"),
            )
        )
    return [*parts, table(heads, rows, kind="tb-stack")]


def _import(imports: Sequence[Document]) -> list[Markup]:
    entry = tag("input", type="file", id="tb-import-file", accept=".json,application/json", required="")
    form = tag(
        "form",
        tag("div", tag("label", say("database.import.file"), **{"for": "tb-import-file"}), entry, kind="tb-field"),
        tag("button", say("database.import.button"), kind="tb-button"),
        tag("progress", max="100", value="0", hidden="", aria_label=say("database.import.uploading")),
        kind="tb-filter",
        id="tb-import-form",
        data_keep="",
    )
    parts = [tag("p", say("database.import.lead"), kind="tb-small"), form]
    if not imports:
        return [*parts, empty(say("database.import.none"))]
    names = ("when", "studio", "added", "skipped", "refused", "held", "missing")
    heads = [say(f"database.import.{name}") for name in names]
    now = utc_now()
    rows = [
        (
            ago(event["recorded_at"], now),
            event["data"]["studio"],
            *(event["data"][name] for name in ("added", "skipped", "refused", "held", "missing_files")),
            tag("a", say("database.import.open"), href=f"/database?import={event['entity_id']}", data_partial=""),
        )
        for event in imports
    ]
    return [*parts, table([*heads, ""], rows, kind="tb-stack")]


def _imported(found: Document) -> Markup:
    """What one import took in, and what it left out and why."""
    facts = [
        (say("database.import.studio"), found["studio"]),
        (say("database.import.exported"), moment(found["exported_at"])),
        (say("database.import.in_it"), f"{found['events']:,}"),
        *((say(f"database.import.{name}"), f"{found[name]:,}") for name in ("added", "skipped", "refused", "held")),
        (say("database.import.missing"), f"{found['missing_files']:,}"),
    ]
    parts = [tag("h2", say("database.import.details")), pairs(facts)]
    if found["held"]:
        parts.append(banner(say("database.import.held_hint"), "info"))
    if found["missing_files"]:
        parts.append(banner(say("database.import.missing_hint", names=", ".join(found["missing"][:10]))))
    parts.append(tag("h3", say("database.import.left_out")))
    if not found["left_out"]:
        parts.append(tag("p", say("database.import.left_out_none"), kind="tb-small"))
    else:
        heads = [say(f"database.import.{name}") for name in ("what", "name", "why")]
        rows = [(one["aggregate"], one["name"] or tag("code", one["id"]), one["reason"]) for one in found["left_out"]]
        parts.append(table(heads, rows, kind="tb-stack"))
        more = found["left_out_entities"] - len(found["left_out"])
        if more > 0:
            parts.append(tag("p", say("database.import.left_out_more", count=more), kind="tb-small"))
    return tag("section", *parts, kind="tb-panel")


def _begin(studio: Studio, action: Action) -> Markup:
    busy = {"disabled": ""} if studio.operator.busy else {}
    button = act(
        say(f"database.{action}.button"),
        f"{action}_database",
        {},
        done=say(f"database.{action}.begun"),
        **busy,
    )
    return tag("div", button, kind="tb-actions")


def _standing(studio: Studio, action: Action) -> tuple[Run | None, list[Markup]]:
    """The last run of an action, and the words about one that goes on or went wrong."""
    run = studio.operator.runs.get(action)
    if run is None:
        return None, []
    if run.ended_at is None:
        since = tag("span", data_since=run.started_at)
        return run, [banner(join([say(f"database.{action}.running"), " ", since]), "info")]
    return run, [problem_box(run.problem)] if run.problem else []


def _verify(studio: Studio) -> list[Markup]:
    run, words = _standing(studio, "verify")
    parts = [tag("p", say("database.verify.lead"), kind="tb-small"), _begin(studio, "verify"), *words]
    if run is None:
        parts.append(tag("p", say("database.verify.never"), kind="tb-small"))
    elif run.found is not None:
        ended = [Markup(" "), say("database.verify.ended"), Markup(" "), ago(run.ended_at, utc_now())]
        said = say("database.verify.ok", position=run.found["position"])
        parts.append(banner(join([said, tag("span", *ended, kind="tb-small")]), "success"))
    return parts


def _rebuild(studio: Studio) -> list[Markup]:
    run, words = _standing(studio, "rebuild")
    parts = [tag("p", say("database.rebuild.lead"), kind="tb-small"), _begin(studio, "rebuild"), *words]
    if run is not None and run.found is not None:
        rows = sum(run.found["rows"].values())
        said = say("database.rebuild.ok", rows=f"{rows:,}", position=run.found["position"])
        ended = [Markup(" "), say("database.verify.ended"), Markup(" "), ago(run.ended_at, utc_now())]
        parts.append(banner(join([said, tag("span", *ended, kind="tb-small")]), "success"))
    return parts


def _backup(studio: Studio) -> list[Markup]:
    run, words = _standing(studio, "backup")
    parts = [tag("p", say("database.backup.lead"), kind="tb-small"), _begin(studio, "backup"), *words]
    if run is not None and run.found is not None:
        said = say("database.backup.ok", events=f"{run.found['events']:,}", position=run.found["position"])
        parts.append(banner(said, "success"))
    files = studio.operator.backups()
    if not files:
        return [*parts, empty(say("database.backup.none"))]
    rows = []
    for file in files:
        found = file.stat()
        at = datetime.fromtimestamp(found.st_mtime, utc_now().tzinfo)
        way = link(join([icon("download"), say("database.backup.download")]), "/download/backup", name=file.name)
        rows.append((tag("code", file.name), ago(at.isoformat(), utc_now()), bytes_text(found.st_size), way))
    heads = [say(f"database.backup.{name}") for name in ("file", "when", "size")]
    kept = say("database.backup.folder", folder=studio.operator.backups_folder)
    return [*parts, table([*heads, ""], rows, kind="tb-stack"), tag("p", kept, kind="tb-small")]


def _commands(studio: Studio) -> list[Markup]:
    home = f" --home {shlex.quote(str(studio.settings.home))}"
    commands = {
        "restore": "tunebus db restore FILE --home NEW-HOME",
        "upgrade": f"tunebus db upgrade{home}",
    }
    rows = [
        tag(
            "div",
            tag("p", say(f"database.commands.{name}")),
            tag(
                "p",
                tag("code", command),
                tag(
                    "button",
                    icon("copy"),
                    say("database.commands.copy"),
                    type="button",
                    kind="tb-button",
                    data_copy=command,
                ),
                kind="tb-command",
            ),
        )
        for name, command in commands.items()
    ]
    return [tag("p", say("database.commands.lead"), kind="tb-small"), *rows]


async def verify_database(asking: Asking) -> Done:
    """Begin to compare the projections with a rebuild. Errors: `wrong_state` while something runs."""
    asking.studio.operator.start("verify")
    return Done(words=say("database.verify.begun"))


async def rebuild_database(asking: Asking) -> Done:
    """Begin to build every projection anew beside the live ones. Errors: `wrong_state` while something runs."""
    asking.studio.operator.start("rebuild")
    return Done(words=say("database.rebuild.begun"))


async def backup_database(asking: Asking) -> Done:
    """Begin a backup into the home's folder of backups. Errors: `wrong_state` while something runs, `disk_full`."""
    asking.studio.operator.start("backup")
    return Done(words=say("database.backup.begun"))


async def import_document(asking: Asking) -> Done:
    """Hand an uploaded document to the registry. What was sent before a restart of these pages is not sent anew.

    Errors: `not_permitted` for a path that is no upload, `invalid` for no document, and the command's own.
    """
    studio = asking.studio
    try:
        outcome = await studio.ask("GetCommandOutcome", command_id=command_id(asking.id, "ImportDatabase"))
    except TunebusError:
        outcome = {}
    if outcome.get("outcome") != "accepted":
        name = f"import-{asking.id}.json"
        client = await studio.connected()
        bucket = FileBucket(client.connection, client.subjects)
        try:
            await bucket.find(name)
        except TunebusError as error:
            if error.problem.code is not Code.NOT_FOUND:
                raise
            await bucket.upload(studio.uploaded(asking.data.get("path")), name)
        try:
            outcome = (await asking.send("ImportDatabase", {"upload": name})).document()
        except TunebusError as error:
            if error.problem.code not in (Code.NOT_CONFIRMED, Code.UNAVAILABLE):
                await bucket.remove(name)
            raise
        await bucket.remove(name)
    return Done(id=outcome["id"], words=say("database.import.done"), goto=f"/database?import={outcome['id']}")


async def export(studio: Studio, arguments: Arguments) -> Response:
    """A document that was exported within the last day."""
    found = await studio.ask("GetDatabaseExport", id=arguments.get("id", "")[:100])
    client = await studio.connected()
    studio.incoming.mkdir(parents=True, exist_ok=True)
    draft = studio.incoming / f"export-{new_id()}"

    def remove() -> None:
        draft.unlink(missing_ok=True)

    try:
        await client.download(found["object"], draft)
    except TunebusError:
        remove()
        raise
    named = f"tunebus-{studio.settings.namespace}-{found['position']}.json"
    return FileResponse(draft, media_type="application/json", filename=named, background=BackgroundTask(remove))


async def backup(studio: Studio, arguments: Arguments) -> Response:
    """A backup that was made here."""
    file = studio.operator.backup_named(arguments.get("name", ""))
    return FileResponse(file, media_type="application/vnd.sqlite3", filename=file.name)


PAGE = Page(
    "database",
    "database.title",
    build,
    read,
    watches=frozenset({"ledger", "operator"}),
    group="studio",
    actions={
        "verify_database": verify_database,
        "rebuild_database": rebuild_database,
        "backup_database": backup_database,
        "import_document": import_document,
    },
    downloads={"record": export, "backup": backup},
)
