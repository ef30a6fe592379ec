"""The tables of what attempts measured and printed.

On SQLite they live in a file of their own, so that floods of points never delay a command. Only the projector writes
here; every row is known by (job, attempt, number), so that a batch may come twice. Nothing here is domain history.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    Double,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
)

metadata = MetaData()

# Compared byte by byte: PostgreSQL's default order of texts costs half of an insert.
KEY = Text().with_variant(Text(collation="C"), "postgresql")

# Clustered by what a curve is read by: one range scan gives a name's steps in order, the newest attempt last.
metrics = Table(
    "telemetry_metrics",
    metadata,
    Column("job_id", KEY, nullable=False),
    Column("name", KEY, nullable=False),
    Column("step", BigInteger, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("n", BigInteger, nullable=False),
    Column("value", Double),
    Column("special", Text),  # NaN, Infinity or -Infinity, where `value` is null
    Column("t", Double, nullable=False),
    PrimaryKeyConstraint("job_id", "name", "step", "attempt", "n", name="pk_telemetry_metrics"),
    sqlite_with_rowid=False,
)

logs = Table(
    "telemetry_logs",
    metadata,
    Column("job_id", KEY, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("offset", BigInteger, nullable=False),
    Column("n", BigInteger, nullable=False),
    Column("text", Text, nullable=False),
    Column("t", Double, nullable=False),
    PrimaryKeyConstraint("job_id", "attempt", "offset", "n", name="pk_telemetry_logs"),
)

system = Table(
    "telemetry_system",
    metadata,
    Column("job_id", KEY, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("n", BigInteger, nullable=False),
    Column("readings", Text, nullable=False),  # a JSON object
    Column("t", Double, nullable=False),
    PrimaryKeyConstraint("job_id", "attempt", "n", name="pk_telemetry_system"),
    Index("ix_telemetry_system_t", "job_id", "t"),
)

# What the model answered to held-out rows; step 0 is the base model.
samples = Table(
    "telemetry_samples",
    metadata,
    Column("job_id", KEY, nullable=False),
    Column("step", BigInteger, nullable=False),
    Column("row", BigInteger, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("n", BigInteger, nullable=False),
    Column("prompt", Text, nullable=False),
    Column("reference", Text, nullable=False),
    Column("answer", Text, nullable=False),
    Column("t", Double, nullable=False),
    PrimaryKeyConstraint("job_id", "step", "row", "attempt", "n", name="pk_telemetry_samples"),
)

# One row an attempt: the highest number received and the newest progress.
attempts = Table(
    "telemetry_attempts",
    metadata,
    Column("job_id", KEY, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("last_n", BigInteger, nullable=False),
    Column("last_t", Double, nullable=False),
    Column("progress_n", BigInteger),
    Column("phase", Text),
    Column("step", BigInteger),
    Column("total", BigInteger),
    Column("rate", Double),
    Column("eta", Double),
    Column("progress_t", Double),
    PrimaryKeyConstraint("job_id", "attempt", name="pk_telemetry_attempts"),
)

# What a chart is drawn of: stretches of a series, each cut down to a few points. `source` is METRICS, whose points lie
# at steps, or SYSTEM, whose points lie at milliseconds. See `rollups`.
rollups = Table(
    "telemetry_rollups",
    metadata,
    Column("job_id", KEY, nullable=False),
    Column("source", KEY, nullable=False),
    Column("name", KEY, nullable=False),
    Column("level", Integer, nullable=False),
    Column("bucket", BigInteger, nullable=False),
    Column("points", BigInteger, nullable=False),  # how many there are in the stretch
    Column("kept", LargeBinary, nullable=False),  # `rollups.pack` of those that are kept
    PrimaryKeyConstraint("job_id", "source", "name", "level", "bucket", name="pk_telemetry_rollups"),
    sqlite_with_rowid=False,
)

# One row a series: from where to where it goes. Every stretch that ends before `last` is rolled up.
series = Table(
    "telemetry_series",
    metadata,
    Column("job_id", KEY, nullable=False),
    Column("source", KEY, nullable=False),
    Column("name", KEY, nullable=False),
    Column("first", BigInteger, nullable=False),
    Column("last", BigInteger, nullable=False),
    PrimaryKeyConstraint("job_id", "source", "name", name="pk_telemetry_series"),
    sqlite_with_rowid=False,
)

# How often something was written: of each job, and in the row of no name of all.
writes = Table(
    "telemetry_writes",
    metadata,
    Column("job_id", KEY, nullable=False),
    Column("count", BigInteger, nullable=False),
    PrimaryKeyConstraint("job_id", name="pk_telemetry_writes"),
    sqlite_with_rowid=False,
)

EVERY_JOB = ""
METRICS = "metrics"
SYSTEM = "system"
