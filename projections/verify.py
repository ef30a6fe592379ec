"""Whether the live tables are what the record says: compared row by row with tables built anew, at one moment.

It only reads the studio's database; the tables it compares with are in a file that is gone afterwards.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import JSON, Column, ColumnElement, Connection, Select, Table, create_engine, select, type_coerce
from sqlalchemy.types import NullType
from tunebus.contracts import strictjson
from tunebus.projections.fold import Fold, collector_paused
from tunebus.projections.ledger_view import Upcast, read_events
from tunebus.projections.tables import PROJECTIONS, metadata

Key = tuple[Any, ...]
Digests = Mapping[Key, bytes]

BATCH = 5_000
NAMED = 20  # differing rows of a table that are named

_AS_STORED = NullType()


@dataclass(frozen=True)
class Difference:
    """A row that is not what its events make it. `id` is its primary key; `columns` are those that differ."""

    table: str
    id: str
    kind: str  # changed, missing or surplus
    columns: tuple[str, ...] = ()

    def __str__(self) -> str:
        what = f"changed in {', '.join(self.columns)}" if self.columns else self.kind
        return f"{self.table} {self.id}: {what}"


@dataclass(frozen=True)
class Verified:
    """What a comparison found. `hashes` are those of the live tables: equal content, equal hash, on any database."""

    position: int
    rows: Mapping[str, int]
    hashes: Mapping[str, str]
    differing_rows: int = 0
    differences: tuple[Difference, ...] = field(default=())

    @property
    def ok(self) -> bool:
        return self.differing_rows == 0


def verify(connection: Connection, upcast: Upcast) -> Verified:
    """Compare every table with a rebuild. `connection` is inside one reading transaction, so a studio may go on."""
    with tempfile.TemporaryDirectory(prefix="tunebus-verify-") as folder:
        scratch = create_engine(f"sqlite:///{Path(folder) / 'rebuilt.db'}")
        try:
            with collector_paused(), scratch.begin() as rebuilt:
                metadata.create_all(rebuilt, tables=PROJECTIONS)
                fold, position = Fold({table: table for table in PROJECTIONS}), 0
                while recorded := read_events(connection, upcast, position, BATCH):
                    fold.add(rebuilt, recorded)
                    fold.write(rebuilt)
                    position = recorded[-1].position
                return _compare(connection, rebuilt, position)
        finally:
            scratch.dispose()


def content_hash(connection: Connection, table: Table) -> str:
    """SHA-256 of a table's rows, whatever their order and the database they are in."""
    return _hash(_digests(connection, table))


def _compare(live: Connection, rebuilt: Connection, position: int) -> Verified:
    rows: dict[str, int] = {}
    hashes: dict[str, str] = {}
    differences: list[Difference] = []
    differing = 0
    for table in PROJECTIONS:
        found, expected = _digests(live, table), _digests(rebuilt, table)
        rows[table.name], hashes[table.name] = len(found), _hash(found)
        if found == expected:
            continue
        keys = sorted((key for key in found.keys() | expected.keys() if found.get(key) != expected.get(key)), key=str)
        differing += len(keys)
        differences += [_difference(live, rebuilt, table, key, found, expected) for key in keys[:NAMED]]
    return Verified(position, rows, hashes, differing, tuple(differences))


def _difference(
    live: Connection, rebuilt: Connection, table: Table, key: Key, found: Digests, expected: Digests
) -> Difference:
    shown = "/".join(map(str, key))
    if key not in found:
        return Difference(table.name, shown, "missing")
    if key not in expected:
        return Difference(table.name, shown, "surplus")
    is_row = [column == part for column, part in zip(table.primary_key, key, strict=True)]
    left, right = (
        tuple(connection.execute(_raw(connection, table).where(*is_row)).one()) for connection in (live, rebuilt)
    )
    changed = [
        column.name
        for column, ours, theirs in zip(table.columns, left, right, strict=True)
        if _canonical(column, ours) != _canonical(column, theirs)
    ]
    return Difference(table.name, shown, "changed", tuple(changed))


def _raw(connection: Connection, table: Table) -> Select[Any]:
    """Rows as they are stored. SQLite keeps anything in any column, so a broken value must not stop the comparison."""
    if connection.dialect.name != "sqlite":
        return select(table)
    columns: list[ColumnElement[Any]] = [type_coerce(column, _AS_STORED) for column in table.columns]
    return select(*columns)


def _digests(connection: Connection, table: Table) -> Digests:
    """The digest of each row by its primary key."""
    columns = list(table.columns)
    primary = [columns.index(column) for column in table.primary_key]
    digests = {}
    for row in connection.execute(_raw(connection, table).execution_options(yield_per=1000)):
        spelled = b"\x1f".join(_canonical(column, value) for column, value in zip(columns, row, strict=True))
        digests[tuple(row[i] for i in primary)] = hashlib.sha256(spelled).digest()
    return digests


def _hash(digests: Digests) -> str:
    whole = hashlib.sha256()
    for key in sorted(digests, key=str):
        whole.update(digests[key])
    return whole.hexdigest()


def _canonical(column: Column[Any], value: Any) -> bytes:
    """The spelling that equal values of both databases share: SQLite has text for JSON and 1 for true and for 1.0."""
    if isinstance(column.type, JSON) and isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            return b"broken " + repr(value).encode()
    elif isinstance(value, bool) or (isinstance(value, float) and value.is_integer()):
        value = int(value)
    try:
        return strictjson.canonical(value)
    except (TypeError, ValueError):
        return b"broken " + repr(value).encode()
