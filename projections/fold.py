"""Events folded into rows in memory and written in bulk: how a rebuild outruns one statement an event.

It gives the rows that the statements of `changes` would give; a contract test compares the two.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Table, and_, or_, select
from tunebus.contracts.events import RecordedEvent
from tunebus.projections.bulk import Bulk
from tunebus.projections.changes import Change, Delete, Insert
from tunebus.projections.dispatch import apply

Key = tuple[Any, ...]
Row = Mapping[str, Any]

LOADED_AT_ONCE = 500


class Fold:
    """Rows under construction in tables that nobody else writes to.

    `targets` maps each projection's table to the one that takes its rows. Rows of the last two batches stay in memory,
    since what happens to a job happens within a short stretch of history.
    """

    def __init__(self, targets: Mapping[Table, Table]) -> None:
        self._writers = {table: _Writer(target) for table, target in targets.items()}

    def add(self, connection: Connection, events: Iterable[RecordedEvent]) -> None:
        """Fold a batch; only rows of earlier batches that are not in memory are read."""
        changes = [change for event in events for change in apply(event)]
        for table, writer in self._writers.items():
            writer.load(connection, [change for change in changes if change.table is table])
        for change in changes:
            self._writers[change.table].fold(change)

    def write(self, connection: Connection) -> None:
        """Write what changed since the last call."""
        for writer in self._writers.values():
            writer.write(connection)


class _Writer:
    """The rows of one table. `_recent` holds what this batch touched, `_before` what the batch before it did."""

    def __init__(self, target: Table) -> None:
        self._target = target
        self._primary = tuple(column.name for column in target.primary_key)
        self._bulk = Bulk(target)
        self._recent: dict[Key, Row | None] = {}
        self._before: dict[Key, Row | None] = {}
        self._written: set[Key] = set()  # keys in memory whose row is in the table
        self._key: Callable[[Row], Key] = _key_function(self._primary)

    def load(self, connection: Connection, changes: Sequence[Change]) -> None:
        missing, made = set[Key](), set[Key]()
        for change in changes:
            if isinstance(change, Insert):
                made.add(self._key(change.row))
                continue
            key = self._key(change.where)
            if key not in made and key not in self._recent and key not in self._before:
                missing.add(key)
        listed = list(missing)
        for begin in range(0, len(listed), LOADED_AT_ONCE):
            some = listed[begin : begin + LOADED_AT_ONCE]
            for found in connection.execute(select(self._target).where(self._any_of(some))):
                row = found._asdict()
                key = self._key(row)
                self._before[key] = row
                self._written.add(key)

    def fold(self, change: Change) -> None:
        if isinstance(change, Insert):
            self._recent[self._key(change.row)] = change.row
            return
        key = self._key(change.where)
        row = self._recent[key] if key in self._recent else self._before.get(key)
        if row is None:
            return  # as in SQL: a change of a row that is not there changes nothing
        if isinstance(change, Delete):
            self._recent[key] = None
        elif change.matches(row):
            self._recent[key] = change.applied_to(row)

    def write(self, connection: Connection) -> None:
        replaced = [key for key in self._recent if key in self._written]
        for begin in range(0, len(replaced), LOADED_AT_ONCE):
            some = replaced[begin : begin + LOADED_AT_ONCE]
            connection.execute(self._target.delete().where(self._any_of(some)))
        rows = [row for row in self._recent.values() if row is not None]
        if rows:
            self._bulk.insert(connection, rows)
        self._written = {key for key, row in self._recent.items() if row is not None}
        self._before, self._recent = self._recent, {}

    def _any_of(self, keys: Sequence[Key]) -> Any:
        if len(self._primary) == 1:
            return self._target.c[self._primary[0]].in_([key[0] for key in keys])
        columns = [self._target.c[name] for name in self._primary]
        return or_(*(and_(*(c == part for c, part in zip(columns, key, strict=True))) for key in keys))


def _key_function(primary: tuple[str, ...]) -> Callable[[Row], Key]:
    if len(primary) == 1:
        name = primary[0]
        return lambda row: (row[name],)
    return lambda row: tuple(row[name] for name in primary)
