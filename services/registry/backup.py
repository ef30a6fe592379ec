"""Backups of the database: one SQLite file as of one moment, whatever the studio's database is, and back from it.

Unlike an exported document a backup is the ledger itself: positions, outcomes of commands, dead letters and leases stay
as they were. Telemetry and artifacts are files of their own and are not in it.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, Engine, Table, func, inspect, select
from tunebus.contracts.errors import Code, fail
from tunebus.contracts.identifiers import new_id
from tunebus.services.platform import database, schema
from tunebus.services.platform.ledger import last_position
from tunebus.services.registry.upgrading import set_up

PAGES = 2_000
ROWS = 1_000

Report = Callable[[int, int], None]
"""`report(done, total)`: pages or rows."""

# What a backup of PostgreSQL holds; of SQLite it is the whole file. How far the relay came counts for one stream only.
_COPIED: tuple[Table, ...] = (schema.events, schema.inbox, schema.dead_letters, schema.leases, schema.meta)
_NUMBERED = {"events": "position", "dead_letters": "id"}


@dataclass(frozen=True)
class Held:
    """What a backup holds, or what was restored from it."""

    position: int
    events: int
    bytes: int


def back_up(engine: Engine, target: Path, report: Report = lambda _done, _total: None) -> Held:
    """Write the record as it is at one moment to `target`, whole or not at all; the studio goes on meanwhile.

    Errors: `not_permitted` when the file cannot be written, `unavailable`.
    """
    draft = target.with_name(f".{target.name}.{new_id()}")
    try:
        if engine.dialect.name == "sqlite":
            _copy_sqlite(engine, draft, report)
        else:
            _copy_to_sqlite(engine, draft, report)
        _into_one_file(draft)
        with draft.open("rb") as file:
            os.fsync(file.fileno())
        found = _held(draft)
        draft.replace(target)
        return found
    except (OSError, sqlite3.OperationalError) as error:
        raise fail(Code.NOT_PERMITTED, f"{target} cannot be written: {error}", param="FILE") from None
    finally:
        for left in (draft, *_beside(draft)):
            left.unlink(missing_ok=True)


def restore(source: Path, engine: Engine, report: Report = lambda _done, _total: None) -> Held:
    """Put a backup in the place of an empty database. The relay will publish all of it to a new stream.

    Errors: `not_found`, `invalid` (no backup), `conflict` when the database holds events, `unavailable`.
    """
    _check_backup(source)
    _check_empty(engine)
    with _own_copy(source, engine) as copy:
        with closing(sqlite3.connect(copy, isolation_level=None)) as connection:
            connection.execute("DELETE FROM relay")
        upgraded = database.open_engine(f"sqlite:///{copy}")
        try:
            set_up(upgraded)
            if engine.dialect.name != "sqlite":
                _copy_from_sqlite(upgraded, engine, report)
        finally:
            upgraded.dispose()
        found = _held(copy)
        _into_one_file(copy)
        if engine.dialect.name == "sqlite":
            path = _path_of(engine)
            engine.dispose()
            for left in (path, *_beside(path)):
                left.unlink(missing_ok=True)
            copy.replace(path)
    report(found.events, found.events)
    return found


def _copy_sqlite(engine: Engine, target: Path, report: Report) -> None:
    """SQLite's online backup. The reading transaction pins the moment, so that commands do not make it begin anew."""
    with (
        closing(sqlite3.connect(_path_of(engine), isolation_level=None, timeout=database.WAIT_SECONDS)) as source,
        closing(sqlite3.connect(target, isolation_level=None)) as copy,
    ):
        source.execute("PRAGMA query_only = ON")
        source.execute("BEGIN")
        source.execute("SELECT count(*) FROM meta").fetchone()
        source.backup(copy, pages=PAGES, progress=lambda _, left, total: report(total - left, total))


def _copy_to_sqlite(engine: Engine, target: Path, report: Report) -> None:
    copy = database.open_engine(f"sqlite:///{target}")
    try:
        database.migrate(copy)
        with database.read(engine) as source, database.write(copy) as connection:
            _copy_tables(source, connection, report)
        set_up(copy)
    finally:
        copy.dispose()


def _copy_from_sqlite(source: Engine, engine: Engine, report: Report) -> None:
    """All of it in one transaction: whoever looks sees nothing, or everything."""
    database.migrate(engine)
    with database.read(source) as connection, database.write(engine) as target:
        database.lock_ledger(target)
        for table in _COPIED:
            target.execute(table.delete())
        _copy_tables(connection, target, report)
        for name, column in _NUMBERED.items():
            target.exec_driver_sql(
                f"SELECT setval('{name}_{column}_seq', max({column})) FROM {name} HAVING count(*) > 0"
            )
    set_up(engine)


def _copy_tables(source: Connection, target: Connection, report: Report) -> None:
    total = source.scalar(select(func.count()).select_from(schema.events)) or 0
    done = 0
    for table in _COPIED:
        rows = source.execute(select(table).order_by(*table.primary_key).execution_options(yield_per=ROWS))
        for some in rows.mappings().partitions(ROWS):
            target.execute(table.insert(), [dict(row) for row in some])
            if table is schema.events:
                done += len(some)
                report(done, total)


def _into_one_file(path: Path) -> None:
    """Take in the write-ahead log, so that the file can be copied as it is."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")


def _held(path: Path) -> Held:
    engine = database.open_engine(f"sqlite:///{path}", read_only=True)
    try:
        with database.read(engine) as connection:
            events = connection.scalar(select(func.count()).select_from(schema.events)) or 0
            return Held(last_position(connection), events, path.stat().st_size)
    finally:
        engine.dispose()


def _check_backup(source: Path) -> None:
    hint = "`tunebus db backup` writes one; an exported document is taken in with `tunebus db import`"
    if not source.is_file():
        raise fail(Code.NOT_FOUND, f"there is no file {source}", param="FILE")
    try:
        with closing(sqlite3.connect(f"{source.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    except sqlite3.Error:
        raise fail(Code.INVALID, f"{source} is no backup", param="FILE", hint=hint) from None
    if schema.REVISION_TABLE not in tables or "events" not in tables:
        raise fail(Code.INVALID, f"{source} is no backup of a studio", param="FILE", hint=hint)
    if found != "ok":
        raise fail(Code.INVALID, f"{source} is damaged: {found}", param="FILE", hint="use another backup")


def _check_empty(engine: Engine) -> None:
    """A database with events is never replaced."""
    if engine.dialect.name == "sqlite" and not _path_of(engine).exists():
        return
    with database.read(engine) as connection:
        if not inspect(connection).has_table("events") or not last_position(connection):
            return
    raise fail(
        Code.CONFLICT,
        "the database holds a studio's record already",
        param="TUNEBUS_DATABASE_URL",
        hint="restore into a new home (--home DIR) or an empty database; to add to a record use `tunebus db import`",
    )


@contextmanager
def _own_copy(source: Path, engine: Engine) -> Iterator[Path]:
    """A copy that may be changed: beside the database it becomes, else beside the backup."""
    beside = _path_of(engine) if engine.dialect.name == "sqlite" else source
    copy = beside.with_name(f".restore-{new_id()}.db")
    try:
        with (
            closing(sqlite3.connect(f"{source.absolute().as_uri()}?mode=ro", uri=True)) as connection,
            closing(sqlite3.connect(copy)) as target,
        ):
            connection.backup(target)
        yield copy
    except (OSError, sqlite3.OperationalError) as error:
        raise fail(Code.NOT_PERMITTED, f"the backup cannot be restored: {error}", param="FILE") from None
    finally:
        for left in (copy, *_beside(copy)):
            left.unlink(missing_ok=True)


def _path_of(engine: Engine) -> Path:
    with engine.connect() as connection:
        rows = connection.exec_driver_sql("PRAGMA database_list").fetchall()
    return Path(next(row[2] for row in rows if row[1] == "main"))


def _beside(path: Path) -> list[Path]:
    return [path.with_name(f"{path.name}{suffix}") for suffix in ("-wal", "-shm", "-rebuild")]
