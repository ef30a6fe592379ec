"""The operator's hand on the database: `python -m tunebus.services.registry.database ACTION [FILE] [--json]`.

`rebuild`, `verify`, `export FILE` and `backup FILE` work beside a live studio; `upgrade` and `restore FILE` want it
down. Data goes to stdout, everything else to stderr. Exit codes are those of the errors; `verify` ends with 5 when a
projection is not what the record says.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sqlalchemy import Engine
from tunebus.contracts.errors import Code, Problem, TunebusError, fail
from tunebus.contracts.identifiers import new_id
from tunebus.projections import rebuild as projections_rebuild
from tunebus.projections.verify import verify as verify_projections
from tunebus.services.platform import database
from tunebus.services.platform.home import Home, HomeLock
from tunebus.services.platform.settings import Settings, load_settings
from tunebus.services.platform.upcasters import UPCASTERS
from tunebus.services.registry import backup, export_document
from tunebus.services.registry.upgrading import record_of, set_up

Document = dict[str, Any]


def upgrade(engine: Engine) -> Document:
    """Bring the ledger and the projections to this version; does nothing when they are."""
    set_up(engine)
    return {"upgraded": True}


def rebuild(engine: Engine) -> Document:
    """Build every projection anew beside the live one and put it in its place."""
    database.check_schema(engine)
    return asdict(projections_rebuild.rebuild(record_of(engine)))


def verify(engine: Engine) -> Document:
    """Compare every projection with a rebuild at the same moment. Errors: `conflict`, naming the rows that differ."""
    database.check_schema(engine)
    with database.read(engine) as connection:
        found = verify_projections(connection, UPCASTERS.upcast)
    if not found.ok:
        details = [
            Problem(code=Code.CONFLICT, message=str(difference), param=difference.table)
            for difference in found.differences
        ]
        raise TunebusError(
            Problem(
                code=Code.CONFLICT,
                message=f"{found.differing_rows} rows of the projections are not what the record says",
                hint="run `tunebus db rebuild`; the record itself is whole",
                details=details,
            )
        )
    return {"ok": True, "position": found.position, "rows": dict(found.rows), "hashes": dict(found.hashes)}


ACTIONS: dict[str, Callable[[Engine], Document]] = {"rebuild": rebuild, "verify": verify, "upgrade": upgrade}
WITH_FILE = ("export", "backup", "restore")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="tunebus db", description=__doc__)
    parser.add_argument("action", choices=sorted((*ACTIONS, *WITH_FILE)))
    parser.add_argument("file", nargs="?", type=Path, help=f"of {', '.join(WITH_FILE)}")
    parser.add_argument("--projections", action="store_true", help="export the projections' rows as well")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    given = parser.parse_args(arguments)
    if (given.file is not None) != (given.action in WITH_FILE):
        parser.error(f"{given.action} {'takes no' if given.file else 'needs a'} FILE")
    engine: Engine | None = None
    try:
        settings = load_settings()
        if given.action == "restore":
            document = _restore(settings, given.file, show=not given.json)
        else:
            engine = database.open_engine(settings.ledger_url)
            document = (
                _export(settings, engine, given.file, projections=given.projections, show=not given.json)
                if given.action == "export"
                else _back_up(engine, given.file, show=not given.json)
                if given.action == "backup"
                else ACTIONS[given.action](engine)
            )
    except TunebusError as error:
        _print_problem(error.problem, as_json=given.json)
        return error.problem.exit_code
    finally:
        if engine is not None:
            engine.dispose()
    if given.json:
        sys.stdout.write(json.dumps(document) + "\n")
    else:
        sys.stdout.write(_words(given.action, document) + "\n")
    return 0


def _export(settings: Settings, engine: Engine, file: Path, *, projections: bool, show: bool) -> Document:
    """The document of `ExportDatabase`, straight from the database."""
    database.check_schema(engine)
    draft = file.with_name(f".{file.name}.{new_id()}")
    try:
        with draft.open("wb") as opened, database.read(engine) as connection:
            studio = settings.subjects.namespace
            report = _Percent("events", show=show)
            written = export_document.write(connection, opened, studio=studio, projections=projections, report=report)
        draft.replace(file)
    except OSError as error:
        raise fail(Code.NOT_PERMITTED, f"{file} cannot be written: {error.strerror}", param="FILE") from None
    finally:
        draft.unlink(missing_ok=True)
    return {"file": str(file), "projections": projections, **asdict(written)}


def _back_up(engine: Engine, file: Path, *, show: bool) -> Document:
    database.check_schema(engine)
    return {"file": str(file), **asdict(backup.back_up(engine, file, _Percent("backup", show=show)))}


def _restore(settings: Settings, file: Path, *, show: bool) -> Document:
    """Into a home that no studio runs on."""
    home = Home(settings.home, settings.artifacts).create()
    lock = HomeLock(home)
    lock.acquire()
    engine = database.open_engine(settings.ledger_url)
    try:
        return {"file": str(file), **asdict(backup.restore(file, engine, _Percent("restored", show=show)))}
    finally:
        engine.dispose()
        lock.release()


class _Percent:
    """How far something is, on a terminal that is watched."""

    def __init__(self, what: str, *, show: bool) -> None:
        self._what = what
        self._show = show and sys.stderr.isatty()

    def __call__(self, done: int, total: int | None) -> None:
        if self._show and total:
            end = "\n" if done >= total else ""
            sys.stderr.write(f"\r{self._what}: {100 * done // total} %{end}")
            sys.stderr.flush()


def _words(action: str, document: Document) -> str:
    if action == "upgrade":
        return "the database is of this version"
    if action in WITH_FILE:
        done = {"export": "written to", "backup": "backed up to", "restore": "restored from"}[action]
        return f"{document['events']} events, up to position {document['position']}, are {done} {document['file']}"
    rows = ", ".join(f"{count} {table}" for table, count in document["rows"].items() if count) or "no rows"
    done = "equals a rebuild" if action == "verify" else "was rebuilt"
    return f"every projection {done} at position {document['position']}: {rows}"


def _print_problem(problem: Problem, *, as_json: bool) -> None:
    """As every other command says it: on stderr, in JSON for a program."""
    if as_json:
        sys.stderr.write(json.dumps(problem.document(), ensure_ascii=False) + "\n")
        return
    lines = [f"error: {problem.message}", *(f"  {detail.message}" for detail in problem.details or ())]
    if problem.hint:
        lines.append(f"hint: {problem.hint}")
    sys.stderr.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    sys.exit(main())
