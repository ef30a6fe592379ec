"""The ledger's tables, made by Alembic migrations. Projections are rebuilt, never migrated, and live elsewhere."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    Double,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
)

REVISION = "0002"  # the migration this code was written for; a test compares it with the newest script
REVISION_TABLE = "ledger_revision"  # not Alembic's usual name, so that a database may be shared with MLflow

POSITION = BigInteger().with_variant(Integer, "sqlite")  # only INTEGER is SQLite's row id
DOCUMENT = JSON()  # PostgreSQL's json, not jsonb: what was written comes back, key order and \u0000 included

metadata = MetaData()

events = Table(
    "events",
    metadata,
    Column("position", POSITION, Identity(), primary_key=True),
    Column("event_id", Text, nullable=False, unique=True),
    Column("stream_id", Text, nullable=False),  # <aggregate>/<entity id>
    Column("version", Integer, nullable=False),
    Column("type", Text, nullable=False),
    Column("schema_version", Integer, nullable=False),
    Column("data", DOCUMENT, nullable=False),
    Column("correlation_id", Text),
    Column("causation_id", Text),
    Column("actor", Text),
    Column("meta", DOCUMENT, nullable=False),
    Column("recorded_at", Text, nullable=False),
    UniqueConstraint("stream_id", "version"),
    Index("ix_events_correlation_id", "correlation_id", "position"),
    Index("ix_events_causation_id", "causation_id", "position"),
    Index("ix_events_actor", "actor", "position"),
    sqlite_autoincrement=True,
)

inbox = Table(
    "inbox",
    metadata,
    Column("command_id", Text, primary_key=True),
    Column("body_hash", Text, nullable=False),
    Column("outcome", DOCUMENT, nullable=False),
    Column("position", BigInteger),
    Column("handled_at", Text, nullable=False),
)

projections = Table(
    "projections",
    metadata,
    Column("name", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("position", BigInteger, nullable=False),
    Column("status", Text, nullable=False),
    PrimaryKeyConstraint("name", "version"),
)

relay = Table(
    "relay",
    metadata,
    Column("name", Text, primary_key=True),
    Column("position", BigInteger, nullable=False),
    Column("stream_seq", BigInteger, nullable=False),
)

leases = Table(
    "leases",
    metadata,
    Column("job_id", Text, primary_key=True),
    Column("attempt", Integer, nullable=False),
    Column("worker_id", Text, nullable=False),
    Column("expires_at", Double, nullable=False, index=True),  # seconds on the registry's clock
)

dead_letters = Table(
    "dead_letters",
    metadata,
    Column("id", POSITION, Identity(), primary_key=True),
    Column("stream", Text, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("digest", Text, nullable=False),  # of subject and data: a stream made anew counts from 1 again
    Column("consumer", Text),
    Column("subject", Text, nullable=False),
    Column("headers", DOCUMENT, nullable=False),
    Column("data", LargeBinary, nullable=False),
    Column("reason", Text, nullable=False),
    Column("seen_at", Text, nullable=False),
    Column("resent_at", Text),
    UniqueConstraint("stream", "seq", "digest"),
    sqlite_autoincrement=True,
)

meta = Table(
    "meta",
    metadata,
    Column("key", Text, primary_key=True),
    Column("value", DOCUMENT, nullable=False),
)
