"""Many rows into one table by the fastest way a driver has: `executemany` on SQLite, COPY on PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from operator import itemgetter
from typing import Any, cast

import pydantic_core
from sqlalchemy import Connection, Table
from sqlalchemy.types import JSON

Tuple = tuple[Any, ...]


class Bulk:
    """Inserts rows of one table; every row names every column."""

    def __init__(self, table: Table) -> None:
        names = [column.name for column in table.columns]
        quoted = ", ".join(f'"{name}"' for name in names)
        self._values = cast("Callable[[Mapping[str, Any]], Tuple]", itemgetter(*names))
        self._documents = [i for i, column in enumerate(table.columns) if isinstance(column.type, JSON)]
        self._executemany = f'INSERT INTO "{table.name}" ({quoted}) VALUES ({", ".join("?" * len(names))})'
        self._copy = f'COPY "{table.name}" ({quoted}) FROM STDIN'

    def insert(self, connection: Connection, rows: Iterable[Mapping[str, Any]]) -> None:
        encoded = [self._encoded(row) for row in rows] if self._documents else [self._values(row) for row in rows]
        if connection.dialect.name == "postgresql":
            with connection.connection.cursor().copy(self._copy) as copy:
                for values in encoded:
                    copy.write_row(values)
        else:
            connection.exec_driver_sql(self._executemany, encoded)

    def _encoded(self, row: Mapping[str, Any]) -> Tuple:
        values = list(self._values(row))
        for i in self._documents:
            document = values[i]
            if document == {}:
                values[i] = "{}"
            elif document == []:
                values[i] = "[]"
            elif document is not None:
                values[i] = pydantic_core.to_json(document).decode()
        return tuple(values)
