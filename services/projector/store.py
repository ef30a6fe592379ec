"""Rows of telemetry into their tables, as fast as each database takes them. A row that is there stays as it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple
from typing import Any

from sqlalchemy import Connection, Engine, Table
from tunebus.projections import telemetry
from tunebus.projections.telemetry import tables
from tunebus.services.platform import database
from tunebus.services.projector import rollups
from tunebus.services.projector.parsing import Rows

_FEW = 100  # rows for which a temporary table on PostgreSQL is not worth its while
_REPLACED = (tables.rollups, tables.series)


class Store:
    """The telemetry tables behind one engine; the projector is their only writer."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._stopped = False
        self._on_postgresql = engine.dialect.name == "postgresql"
        self._mark = mark = "%s" if self._on_postgresql else "?"
        self._upsert = _upsert(mark)
        self._count = (
            f"INSERT INTO {tables.writes.name} (job_id, count) VALUES ({mark}, 1) "
            f"ON CONFLICT (job_id) DO UPDATE SET count = {tables.writes.name}.count + 1"
        )

    def create(self) -> None:
        """Make the tables that are not there."""
        with database.write(self._engine) as connection:
            telemetry.metadata.create_all(connection)
            for index in telemetry.system.indexes:  # which a file from before it lacks
                index.create(connection, checkfirst=True)

    def stop(self) -> None:
        """End `roll_up_old` after the job in hand; the next start goes on."""
        self._stopped = True

    def roll_up_old(self) -> int:
        """Roll up what was written before there were roll-ups, a job at a time; how many jobs those were."""
        with database.read(self._engine) as connection:
            jobs = rollups.without_rollups(connection)
        for done, job_id in enumerate(jobs):
            if self._stopped:
                return done
            with database.write(self._engine) as connection:
                self._replace(connection, rollups.roll_up_whole(connection, job_id))
                connection.exec_driver_sql(self._count, [(job_id,)])
        return len(jobs)

    def write(self, rows: Rows) -> None:
        """Keep rows in one transaction. Errors: `disk_full`, `unavailable`."""
        with database.write(self._engine) as connection:
            self._insert(connection, telemetry.metrics, rows.metrics)
            self._insert(connection, telemetry.logs, rows.logs)
            self._insert(connection, telemetry.system, rows.system)
            self._insert(connection, telemetry.samples, rows.samples)
            self._replace(connection, rollups.roll_up(connection, rows))
            if rows.attempts:
                # In one order, so that two writers of the same attempts would wait for, not block, each other.
                summaries = [(*key, *astuple(rows.attempts[key])) for key in sorted(rows.attempts)]
                connection.exec_driver_sql(self._upsert, summaries)
                written = sorted({job_id for job_id, _ in rows.attempts} | {tables.EVERY_JOB})
                connection.exec_driver_sql(self._count, [(job_id,) for job_id in written])

    def _replace(self, connection: Connection, rolled_up: rollups.RolledUp) -> None:
        self._insert(connection, tables.rollups, rolled_up.rollups)
        self._insert(connection, tables.series, rolled_up.series)

    def _insert(self, connection: Connection, table: Table, rows: Sequence[tuple[Any, ...]]) -> None:
        if not rows:
            return
        if self._on_postgresql and len(rows) > _FEW:
            _copy_rows(connection, table, rows)
        else:
            marks = ", ".join([self._mark] * len(table.columns))
            insert = f"INSERT INTO {table.name} ({_columns(table)}) VALUES ({marks}) {_on_conflict(table)}"
            connection.exec_driver_sql(insert, list(rows))


def _copy_rows(connection: Connection, table: Table, rows: Sequence[tuple[Any, ...]]) -> None:
    """COPY knows no conflicts, so it fills a temporary table: still twice as fast as sending arrays to insert."""
    incoming = f"incoming_{table.name}"
    connection.exec_driver_sql(
        f"CREATE TEMPORARY TABLE IF NOT EXISTS {incoming} (LIKE {table.name}) ON COMMIT DELETE ROWS"
    )
    with connection.connection.cursor().copy(f"COPY {incoming} FROM STDIN") as copy:
        for row in rows:
            copy.write_row(row)
    connection.exec_driver_sql(f"INSERT INTO {table.name} SELECT * FROM {incoming} {_on_conflict(table)}")


def _on_conflict(table: Table) -> str:
    if table not in _REPLACED:
        return "ON CONFLICT DO NOTHING"
    key = ", ".join(column.name for column in table.primary_key)
    values = [column.name for column in table.columns if column not in table.primary_key.columns.values()]
    return f"ON CONFLICT ({key}) DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in values)}"


def _columns(table: Table) -> str:
    return ", ".join(f'"{column.name}"' for column in table.columns)


def _upsert(mark: str) -> str:
    """A later batch of an attempt wins; one that comes again, or late, changes nothing."""
    table = telemetry.attempts.name
    marks = ", ".join([mark] * len(telemetry.attempts.columns))
    newest = f"excluded.last_n > {table}.last_n"
    further = f"excluded.progress_n > coalesce({table}.progress_n, -1)"
    changes = [
        f'"{name}" = CASE WHEN {condition} THEN excluded."{name}" ELSE {table}."{name}" END'
        for condition, names in (
            (newest, ("last_n", "last_t")),
            (further, ("progress_n", "phase", "step", "total", "rate", "eta", "progress_t")),
        )
        for name in names
    ]
    return (
        f"INSERT INTO {table} ({_columns(telemetry.attempts)}) VALUES ({marks}) "
        f"ON CONFLICT (job_id, attempt) DO UPDATE SET {', '.join(changes)}"
    )
