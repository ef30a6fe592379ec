"""Row changes as data: what `apply` returns, the ledger executes and a rebuild folds in memory.

A change names whole rows by primary key; it never reads, so the same events always make the same rows. None is changed
once made; that they are not frozen makes them cheaper, and a rebuild makes some for every event there ever was.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

from sqlalchemy import BindParameter, Table, and_, bindparam, delete, insert, update
from sqlalchemy.sql import Executable


@dataclass(slots=True)
class Insert:
    """A new row. `row` has a value for every column that has no default."""

    table: Table
    row: Mapping[str, Any]

    @property
    def key(self) -> Hashable:
        return (Insert, self.table, tuple(self.row))

    @property
    def row_key(self) -> Hashable:
        return _row_key(self.table, self.row)

    @property
    def statement(self) -> Executable:
        return _insert(self.table)

    @property
    def parameters(self) -> Mapping[str, Any]:
        return self.row

    def onto(self, table: Table) -> Insert:
        """The same change to another table of the same columns."""
        return replace(self, table=table)


@dataclass(slots=True)
class Update:
    """New values for the row that `where` names; `adds` is what is added to numbers.

    `where` holds the whole primary key, and may hold more columns: then the row changes only while they are equal
    (None: while they are null), for example `{"id": …, "state": "starting"}`.
    """

    table: Table
    where: Mapping[str, Any]
    values: Mapping[str, Any]
    adds: Mapping[str, int] = field(default_factory=dict)

    @property
    def _conditions(self) -> tuple[tuple[str, bool], ...]:
        return tuple((name, value is None) for name, value in self.where.items())

    @property
    def key(self) -> Hashable:
        return (Update, self.table, self._conditions, tuple(self.values), tuple(self.adds))

    @property
    def row_key(self) -> Hashable:
        return _row_key(self.table, self.where)

    @property
    def statement(self) -> Executable:
        return _update(self.table, self._conditions, tuple(self.values), tuple(self.adds))

    @property
    def parameters(self) -> Mapping[str, Any]:
        given = {f"where_{name}": value for name, value in self.where.items() if value is not None}
        given |= {f"new_{name}": value for name, value in self.values.items()}
        return given | {f"new_{name}": by for name, by in self.adds.items()}

    def matches(self, row: Mapping[str, Any]) -> bool:
        """Whether this change would touch `row`."""
        return all(row[name] == value for name, value in self.where.items())

    def change(self, row: dict[str, Any]) -> None:
        """Change a matching row in place, exactly as SQL would."""
        row.update(self.values)
        for name, by in self.adds.items():
            row[name] += by

    def onto(self, table: Table) -> Update:
        return replace(self, table=table)


@dataclass(slots=True)
class Delete:
    """The end of the row whose primary key `where` holds."""

    table: Table
    where: Mapping[str, Any]

    @property
    def key(self) -> Hashable:
        return (Delete, self.table, tuple(self.where))

    @property
    def row_key(self) -> Hashable:
        return _row_key(self.table, self.where)

    @property
    def statement(self) -> Executable:
        return _delete(self.table, tuple(self.where))

    @property
    def parameters(self) -> Mapping[str, Any]:
        return {f"where_{name}": value for name, value in self.where.items()}

    def onto(self, table: Table) -> Delete:
        return replace(self, table=table)


Change = Insert | Update | Delete


def _row_key(table: Table, values: Mapping[str, Any]) -> Hashable:
    return tuple(values[name] for name in _primary(table))


@cache
def _primary(table: Table) -> tuple[str, ...]:
    return tuple(column.name for column in table.primary_key)


@cache
def _insert(table: Table) -> Executable:
    return insert(table)


@cache
def _update(
    table: Table, where: tuple[tuple[str, bool], ...], changed: tuple[str, ...], added: tuple[str, ...]
) -> Executable:
    def given(name: str, prefix: str = "new") -> BindParameter[Any]:
        return bindparam(f"{prefix}_{name}", type_=table.c[name].type)

    conditions = (
        table.c[name].is_(None) if is_null else table.c[name] == given(name, "where") for name, is_null in where
    )
    values = {name: given(name) for name in changed} | {name: table.c[name] + given(name) for name in added}
    return update(table).where(and_(*conditions)).values(values)


@cache
def _delete(table: Table, where: tuple[str, ...]) -> Executable:
    return delete(table).where(and_(*(table.c[name] == bindparam(f"where_{name}") for name in where)))
