"""Events folded into rows in memory and written in bulk: how a rebuild outruns one statement an event.

It gives the rows that the statements of `changes` would give; a contract test compares the two.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from operator import itemgetter
from typing import Any, cast

from sqlalchemy import ColumnElement, Connection, Table, and_, or_, select
from tunebus.contracts.events import RecordedEvent
from tunebus.projections.all_jobs import row_of
from tunebus.projections.bulk import Bulk
from tunebus.projections.changes import Change, Delete, Insert
from tunebus.projections.dispatch import apply_own
from tunebus.projections.tables import JOB_TABLES, all_jobs

Key = Any  # the value of a primary key of one column, the tuple of several
Row = dict[str, Any]

LOADED_AT_ONCE = 500


@contextmanager
def collector_paused() -> Iterator[None]:
    """Without the search for cyclic garbage: a batch is many objects and no cycles, and looking costs a sixth."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


class Fold:
    """Rows under construction in tables that nobody else writes to.

    `targets` maps each projection's table to the one that takes its rows. Rows of the last two batches stay in memory,
    since what happens to a job happens within a short stretch of history.
    """

    def __init__(self, targets: Mapping[Table, Table]) -> None:
        self._writers = {table: _Writer(target) for table, target in targets.items()}

    def add(self, connection: Connection, events: Iterable[RecordedEvent]) -> None:
        """Fold a batch; only rows of earlier batches that are not in memory are read."""
        by_table: dict[Table, list[Change]] = {table: [] for table in self._writers}
        for event in events:
            for change in apply_own(event):
                by_table[change.table].append(change)
        for table, changes in by_table.items():
            self._writers[table].fold(connection, changes)

    def write(self, connection: Connection) -> None:
        """Write what changed since the last call."""
        for kind, table in JOB_TABLES.items():
            self._writers[all_jobs].follow(self._writers[table], kind)
        for writer in self._writers.values():
            writer.write(connection)


class _Writer:
    """The rows of one table.

    `_recent` holds what this batch touched, `_before` what the batch before it did and what was read since: those are
    in the table, but for None.
    """

    def __init__(self, target: Table) -> None:
        self._target = target
        self._bulk = Bulk(target)
        self._primary = tuple(column.name for column in target.primary_key)
        self._recent: dict[Key, Row | None] = {}
        self._before: dict[Key, Row | None] = {}
        self._key: Callable[[Mapping[str, Any]], Key] = itemgetter(*self._primary)
        self._key_length = len(self._primary)

    def fold(self, connection: Connection, changes: Sequence[Change]) -> None:
        """Change rows in memory, in order. Rows are this object's own, so they are changed in place."""
        key_of, recent, before = self._key, self._recent, self._before
        for number, change in enumerate(changes):
            if isinstance(change, Insert):
                recent[key_of(change.row)] = cast("Row", change.row)  # nobody else keeps it: a copy of each would cost
                continue
            key = key_of(change.where)
            if key in recent:
                row = recent[key]
            else:
                if key not in before:
                    self._load(connection, changes[number:])
                row = before[key]
            if row is None:
                continue  # as in SQL: a change of a row that is not there changes nothing
            if isinstance(change, Delete):
                recent[key] = None
            elif len(change.where) == self._key_length or change.matches(row):
                change.change(row)
                recent[key] = row

    def follow(self, jobs: _Writer, kind: str) -> None:
        """Take the rows of `all_jobs` from those of the jobs of a kind, which are there or not there alike."""
        for key, row in jobs._recent.items():
            self._recent[key] = row_of(kind, row) if row is not None else None
            if key in jobs._before:
                self._before[key] = jobs._before[key]

    def write(self, connection: Connection) -> None:
        both = self._recent.keys() & self._before.keys()
        replaced = [key for key in both if self._before[key] is not None]
        for some in _portions(replaced):
            connection.execute(self._target.delete().where(self._any_of(some)))
        rows = [row for row in self._recent.values() if row is not None]
        if rows:
            self._bulk.insert(connection, rows)
        self._before, self._recent = self._recent, {}

    def _load(self, connection: Connection, changes: Sequence[Change]) -> None:
        """Read the rows of earlier batches that these changes speak of; None stands for one that is not there."""
        missing = {self._key(change.where) for change in changes if not isinstance(change, Insert)}
        missing -= self._recent.keys() | self._before.keys()
        self._before.update(dict.fromkeys(missing))
        for some in _portions(list(missing)):
            for found in connection.execute(select(self._target).where(self._any_of(some))):
                row = found._asdict()
                self._before[self._key(row)] = row

    def _any_of(self, keys: Sequence[Key]) -> ColumnElement[bool]:
        if len(self._primary) == 1:
            return self._target.c[self._primary[0]].in_(keys)
        columns = [self._target.c[name] for name in self._primary]
        return or_(*(and_(*(c == part for c, part in zip(columns, key, strict=True))) for key in keys))


def _portions(keys: list[Key]) -> Iterator[list[Key]]:
    for begin in range(0, len(keys), LOADED_AT_ONCE):
        yield keys[begin : begin + LOADED_AT_ONCE]
