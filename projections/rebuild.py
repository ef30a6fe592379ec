"""The tables built again from the record, beside the live ones, then put in their place in one transaction.

Readers and the writer of commands go on meanwhile; the writer waits only while the last events are caught up with. It
is given what it needs of the ledger as functions, and never writes to the ledger but for the version that is live.
"""

from __future__ import annotations

import fcntl
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, Engine, MetaData, Table, func, inspect, select
from sqlalchemy.exc import DBAPIError
from tunebus.contracts.errors import Code, fail
from tunebus.contracts.events import RecordedEvent
from tunebus.projections import ledger_view
from tunebus.projections.fold import Fold, collector_paused
from tunebus.projections.tables import PROJECTIONS, VERSION, metadata

NAME = "inline"  # these tables' row among the ledger's `projections`
BATCH = 10_000
CATCH_UP = 500  # events left behind that are few enough to be read while the writer waits
FLIP_SECONDS = 30.0

_SHADOW = "rebuild_"
_REBUILD_LOCK = 0x74756E6F  # of PostgreSQL's advisory locks


@dataclass(frozen=True)
class Record:
    """The ledger, as far as a rebuild needs it.

    `read` opens a reading transaction, `lock` keeps every other writer of events out until its transaction ends, and
    `upcast` brings an event's data to today's schema.
    """

    engine: Engine
    read: Callable[[Engine], AbstractContextManager[Connection]]
    lock: Callable[[Connection], None]
    upcast: ledger_view.Upcast

    def events_after(self, connection: Connection, position: int, limit: int) -> Sequence[RecordedEvent]:
        return ledger_view.read_events(connection, self.upcast, position, limit)


@dataclass(frozen=True)
class Rebuilt:
    """What a rebuild did. `rows` counts each table's; `seconds` is the whole, `locked_seconds` what writers waited."""

    version: int
    position: int
    events: int
    rows: Mapping[str, int]
    seconds: float
    locked_seconds: float


def ensure(record: Record) -> Rebuilt | None:
    """Have the tables of this version: made when there are no events, rebuilt when another version is live.

    Returns what a rebuild did, or None when none was needed.
    """
    with record.engine.begin() as connection:
        record.lock(connection)
        metadata.create_all(connection, tables=[t for t in metadata.sorted_tables if t not in PROJECTIONS])
        present = set(inspect(connection).get_table_names())
        if live_version(connection) == VERSION and all(table.name in present for table in PROJECTIONS):
            return None
        if not record.events_after(connection, 0, 1) and not any(table.name in present for table in PROJECTIONS):
            metadata.create_all(connection)
            _record_live(connection, 0)
            return None
    return rebuild(record)


def live_version(connection: Connection) -> int | None:
    """The version that readers see; None before the first start."""
    table = ledger_view.projections
    question = select(func.max(table.c.version)).where(table.c.name == NAME, table.c.status == "live")
    version: int | None = connection.scalar(question)
    return version


def rebuild(record: Record, *, batch: int = BATCH, progress: Callable[[int], None] | None = None) -> Rebuilt:
    """Build every table anew from position 0 and put them in the place of the live ones.

    `progress` is told each position reached. Errors: `conflict` when another rebuild runs, `unavailable` when readers
    hold the tables for too long. After an error or a crash the live tables are as they were.
    """
    begun = time.monotonic()
    engine = record.engine
    with _alone(engine), collector_paused():
        with engine.begin() as connection:
            shadows = _make_shadows(connection)
        fold, position, events = Fold(shadows), 0, 0
        while True:
            with record.read(engine) as connection:
                recorded = record.events_after(connection, position, batch)
            if len(recorded) < CATCH_UP:
                break
            with engine.begin() as connection:
                fold.add(connection, recorded)
                fold.write(connection)
            position, events = recorded[-1].position, events + len(recorded)
            if progress is not None:
                progress(position)
        deadline = time.monotonic() + FLIP_SECONDS
        while True:
            locked = time.monotonic()
            try:
                with engine.begin() as connection:
                    record.lock(connection)
                    last = Fold(shadows)
                    at, caught_up = position, 0
                    while recorded := record.events_after(connection, at, batch):
                        last.add(connection, recorded)
                        last.write(connection)
                        at, caught_up = recorded[-1].position, caught_up + len(recorded)
                    _flip(connection, shadows)
                    _record_live(connection, at)
                    rows = {
                        table.name: connection.scalar(select(func.count()).select_from(table)) or 0
                        for table in PROJECTIONS
                    }
                break
            except DBAPIError as error:
                if not _lock_not_available(error):
                    raise
                if time.monotonic() > deadline:
                    raise fail(Code.UNAVAILABLE, "readers hold the tables; the rebuild was given up") from None
                time.sleep(0.02)  # without any lock, so that the reader in the way can end
        if progress is not None:
            progress(at)
    ended = time.monotonic()
    return Rebuilt(VERSION, at, events + caught_up, rows, ended - begun, ended - locked)


def _make_shadows(connection: Connection) -> dict[Table, Table]:
    """Empty tables like the live ones, without indexes: those are made at the end, which is faster."""
    beside = MetaData()
    shadows = {}
    for table in PROJECTIONS:
        shadow = table.to_metadata(beside, name=_SHADOW + table.name)
        shadow.indexes.clear()
        if connection.dialect.name == "postgresql":  # where the names of constraints are the schema's
            for constraint in shadow.constraints:
                if constraint.name:
                    constraint.name = _SHADOW + str(constraint.name)
        shadows[table] = shadow
    beside.drop_all(connection)  # of a rebuild that was killed
    beside.create_all(connection)
    return shadows


def _flip(connection: Connection, shadows: Mapping[Table, Table]) -> None:
    """Put the shadows in the place of the live tables.

    On PostgreSQL the live tables are locked without waiting: a wait while holding some of them could be a deadlock
    with a reader. A reader whose snapshot is older than the last batch sees the new tables as they were then.
    """
    present = set(inspect(connection).get_table_names())
    live = [table for table in shadows if table.name in present]
    on_postgresql = connection.dialect.name == "postgresql"
    if on_postgresql and live:
        names = ", ".join(f'"{table.name}"' for table in live)
        connection.exec_driver_sql(f"LOCK TABLE {names} IN ACCESS EXCLUSIVE MODE NOWAIT")
    for table in live:
        connection.exec_driver_sql(f'DROP TABLE "{table.name}"')
    for table, shadow in shadows.items():
        connection.exec_driver_sql(f'ALTER TABLE "{shadow.name}" RENAME TO "{table.name}"')
        if on_postgresql:
            for constraint in shadow.constraints:
                if constraint.name:
                    new = str(constraint.name).removeprefix(_SHADOW)
                    connection.exec_driver_sql(
                        f'ALTER TABLE "{table.name}" RENAME CONSTRAINT "{constraint.name}" TO "{new}"'
                    )
        for index in sorted(table.indexes, key=lambda found: str(found.name)):
            index.create(connection)


def _record_live(connection: Connection, position: int) -> None:
    table = ledger_view.projections
    connection.execute(table.delete().where(table.c.name == NAME))
    connection.execute(table.insert().values(name=NAME, version=VERSION, position=position, status="live"))


def _lock_not_available(error: DBAPIError) -> bool:
    return getattr(error.orig, "sqlstate", None) == "55P03"


@contextmanager
def _alone(engine: Engine) -> Iterator[None]:
    """One rebuild of a database at a time; the lock dies with its process."""
    busy = fail(Code.CONFLICT, "another rebuild of these projections runs", hint="wait for it to end")
    if engine.dialect.name == "postgresql":
        with engine.connect() as connection:
            if not connection.exec_driver_sql(f"SELECT pg_try_advisory_lock({_REBUILD_LOCK})").scalar():
                raise busy
            connection.commit()
            try:
                yield
            finally:
                connection.exec_driver_sql(f"SELECT pg_advisory_unlock({_REBUILD_LOCK})")
                connection.commit()
        return
    with engine.connect() as connection:
        database = next(row[2] for row in connection.exec_driver_sql("PRAGMA database_list") if row[1] == "main")
    if not database:  # in memory: nobody else can see it
        yield
        return
    with Path(f"{database}-rebuild").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise busy from None
        yield
