"""Rows of telemetry into their tables, as fast as each database takes them. A row that is there stays as it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple
from typing import Any

from sqlalchemy import Connection, Engine, Table
from tunebus.projections import telemetry
from tunebus.services.platform import database
from tunebus.services.projector.parsing import Rows


class Store:
    """The telemetry tables behind one engine; the projector is their only writer."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._on_postgresql = engine.dialect.name == "postgresql"
        self._inserts = {
            table: _insert_rows(table)
            for table in (telemetry.metrics, telemetry.logs, telemetry.system, telemetry.samples)
        }
        self._upsert = _upsert("%s" if self._on_postgresql else "?")

    def create(self) -> None:
        """Make the tables that are not there."""
        with database.write(self._engine) as connection:
            telemetry.metadata.create_all(connection)

    def write(self, rows: Rows) -> None:
        """Keep rows in one transaction. Errors: `disk_full`, `unavailable`."""
        with database.write(self._engine) as connection:
            self._insert(connection, telemetry.metrics, rows.metrics)
            self._insert(connection, telemetry.logs, rows.logs)
            self._insert(connection, telemetry.system, rows.system)
            self._insert(connection, telemetry.samples, rows.samples)
            if rows.attempts:
                # In one order, so that two writers of the same attempts would wait for, not block, each other.
                summaries = [(*key, *astuple(rows.attempts[key])) for key in sorted(rows.attempts)]
                connection.exec_driver_sql(self._upsert, summaries)

    def _insert(self, connection: Connection, table: Table, rows: Sequence[tuple[Any, ...]]) -> None:
        if not rows:
            return
        if self._on_postgresql:
            _copy_rows(connection, table, rows)
        else:
            connection.exec_driver_sql(self._inserts[table], list(rows))


def _copy_rows(connection: Connection, table: Table, rows: Sequence[tuple[Any, ...]]) -> None:
    """COPY knows no conflicts, so it fills a temporary table: still twice as fast as sending arrays to insert."""
    incoming = f"incoming_{table.name}"
    connection.exec_driver_sql(
        f"CREATE TEMPORARY TABLE IF NOT EXISTS {incoming} (LIKE {table.name}) ON COMMIT DELETE ROWS"
    )
    with connection.connection.cursor().copy(f"COPY {incoming} FROM STDIN") as copy:
        for row in rows:
            copy.write_row(row)
    connection.exec_driver_sql(f"INSERT INTO {table.name} SELECT * FROM {incoming} ON CONFLICT DO NOTHING")


def _columns(table: Table) -> str:
    return ", ".join(f'"{column.name}"' for column in table.columns)


def _insert_rows(table: Table) -> str:
    marks = ", ".join("?" * len(table.columns))
    return f"INSERT OR IGNORE INTO {table.name} ({_columns(table)}) VALUES ({marks})"


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
