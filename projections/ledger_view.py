"""The ledger's tables as the read side sees them, and the way to read its events by the thousand.

The ledger itself makes and writes these tables; in `projections` alone a rebuild records which version is live.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pydantic_core
from sqlalchemy import JSON, BigInteger, Column, Connection, Integer, LargeBinary, MetaData, Table, Text, func, select
from sqlalchemy.types import TypeEngine
from tunebus.contracts.events import RecordedEvent

Upcast = Callable[[str, int, Mapping[str, Any]], tuple[int, Mapping[str, Any]]]
"""(type, schema version, data) as recorded -> (schema version, data) of today."""

_metadata = MetaData()  # never created from here
_DOCUMENT: TypeEngine[Any] = JSON()

events = Table(
    "events",
    _metadata,
    Column("position", BigInteger, primary_key=True),
    Column("event_id", Text),
    Column("stream_id", Text),
    Column("version", BigInteger),
    Column("type", Text),
    Column("schema_version", Integer),
    Column("data", _DOCUMENT),
    Column("correlation_id", Text),
    Column("causation_id", Text),
    Column("actor", Text),
    Column("meta", _DOCUMENT),
    Column("recorded_at", Text),
)

inbox = Table(
    "inbox",
    _metadata,
    Column("command_id", Text, primary_key=True),
    Column("outcome", _DOCUMENT),
)

dead_letters = Table(
    "dead_letters",
    _metadata,
    Column("id", BigInteger, primary_key=True),
    Column("stream", Text),
    Column("seq", BigInteger),
    Column("consumer", Text),
    Column("subject", Text),
    Column("headers", _DOCUMENT),
    Column("data", LargeBinary),
    Column("reason", Text),
    Column("seen_at", Text),
    Column("resent_at", Text),
)

projections = Table(
    "projections",
    _metadata,
    Column("name", Text, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("position", BigInteger),
    Column("status", Text),
)


def position_of(connection: Connection, moment: int | str | None) -> int:
    """The newest position that was there at a moment: a position itself, a time in the record's spelling, None for now.

    Order comes from positions: of a time it is the one before the first event that was recorded later.
    """
    if isinstance(moment, str):
        later = connection.scalar(select(func.min(events.c.position)).where(events.c.recorded_at > moment))
        if later is not None:
            return int(later) - 1
    newest = connection.scalar(select(func.max(events.c.position))) or 0
    return min(moment, newest) if isinstance(moment, int) else newest


def read_events(connection: Connection, upcast: Upcast, position: int, limit: int) -> Sequence[RecordedEvent]:
    """Up to `limit` events after a position, in order, with what rows are made of: all but the commands they came of.

    All their JSON is parsed at once, which makes it fast.
    """
    rows = connection.exec_driver_sql(_SELECT[connection.dialect.name], (position, limit)).all()
    documents = pydantic_core.from_json(f"[{','.join([row[0] for row in rows])}]")
    found = []
    for row, document in zip(rows, documents, strict=True):
        _, at, event_id, stream, version, type, written_as, recorded_at, actor = row
        aggregate, _, entity_id = stream.partition("/")
        schema_version, data = upcast(type, written_as, document)
        entity = (at, event_id, aggregate, entity_id, version)
        found.append(RecordedEvent(*entity, type, schema_version, data, recorded_at, actor=actor))
    return found


_COLUMNS = "position, event_id, stream_id, version, type, schema_version, recorded_at, actor"
_SELECT = {
    "sqlite": f"SELECT data, {_COLUMNS} FROM events WHERE position > ? ORDER BY position LIMIT ?",
    "postgresql": f"SELECT data::text, {_COLUMNS} FROM events WHERE position > %s ORDER BY position LIMIT %s",
}
