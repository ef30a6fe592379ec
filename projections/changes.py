"""Row changes as data: what `apply` returns, the ledger executes and a rebuild folds in memory.

A change names whole rows by primary key; it never reads, so the same events always make the same rows.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from sqlalchemy import Table, and_, bindparam, delete, insert, update
from sqlalchemy.sql import Executable


@dataclass(frozen=True)
class Increment:
    """As a value of an `Update`: the column's present value plus `by`."""

    by: int = 1


@dataclass(frozen=True)
class Insert:
    """A new row. `row` has a value for every column that has no default."""

    table: Table
    row: Mapping[str, Any]

    @property
    def key(self) -> Hashable:
        return (Insert, self.table, tuple(self.row))

    @property
    def statement(self) -> Executable:
        return _insert(self.table)

    @property
    def parameters(self) -> Mapping[str, Any]:
        return self.row

    def onto(self, table: Table) -> Insert:
        """The same change to another table of the same columns."""
        return replace(self, table=table)


@dataclass(frozen=True)
class Update:
    """New values for the row that `where` names.

    `where` holds the whole primary key, and may hold more columns: then the row changes only while they are equal
    (None: while they are null), for example `{"id": …, "state": "starting"}`.
    """

    table: Table
    where: Mapping[str, Any]
    values: Mapping[str, Any]

    @property
    def _columns(self) -> tuple[tuple[str, bool], ...]:
        return tuple((name, isinstance(value, Increment)) for name, value in self.values.items())

    @property
    def _conditions(self) -> tuple[tuple[str, bool], ...]:
        return tuple((name, value is None) for name, value in self.where.items())

    @property
    def key(self) -> Hashable:
        return (Update, self.table, self._conditions, self._columns)

    @property
    def statement(self) -> Executable:
        return _update(self.table, self._conditions, self._columns)

    @property
    def parameters(self) -> Mapping[str, Any]:
        values = {f"new_{k}": v.by if isinstance(v, Increment) else v for k, v in self.values.items()}
        return values | {f"where_{name}": value for name, value in self.where.items() if value is not None}

    def matches(self, row: Mapping[str, Any]) -> bool:
        """Whether this change would touch `row`."""
        return all(row[name] == value for name, value in self.where.items())

    def applied_to(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """A copy of a matching row with the new values, exactly as SQL would leave it."""
        changed = dict(row)
        for name, value in self.values.items():
            changed[name] = changed[name] + value.by if isinstance(value, Increment) else value
        return changed

    def onto(self, table: Table) -> Update:
        return replace(self, table=table)


@dataclass(frozen=True)
class Delete:
    """The end of the row whose primary key `where` holds."""

    table: Table
    where: Mapping[str, Any]

    @property
    def key(self) -> Hashable:
        return (Delete, self.table, tuple(self.where))

    @property
    def statement(self) -> Executable:
        return _delete(self.table, tuple(self.where))

    @property
    def parameters(self) -> Mapping[str, Any]:
        return {f"where_{name}": value for name, value in self.where.items()}

    def onto(self, table: Table) -> Delete:
        return replace(self, table=table)


Change = Insert | Update | Delete


@cache
def _insert(table: Table) -> Executable:
    return insert(table)


@cache
def _update(table: Table, where: tuple[tuple[str, bool], ...], columns: tuple[tuple[str, bool], ...]) -> Executable:
    values = {
        name: table.c[name] + bindparam(f"new_{name}", type_=table.c[name].type)
        if adds
        else bindparam(f"new_{name}", type_=table.c[name].type)
        for name, adds in columns
    }
    conditions = (
        table.c[name].is_(None) if is_null else table.c[name] == bindparam(f"where_{name}", type_=table.c[name].type)
        for name, is_null in where
    )
    return update(table).where(and_(*conditions)).values(values)


@cache
def _delete(table: Table, where: tuple[str, ...]) -> Executable:
    return delete(table).where(and_(*(table.c[name] == bindparam(f"where_{name}") for name in where)))
