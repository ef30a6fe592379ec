"""The ledger's tables as the read side sees them: columns to select, no more. The ledger itself makes and writes them.

`projections` is the exception: a rebuild records there which version is live.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, BigInteger, Column, Integer, LargeBinary, MetaData, Table, Text
from sqlalchemy.types import TypeEngine

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
