"""Engines and transactions on SQLite and PostgreSQL, and what their errors mean to a user.

`write` and `read` are the only ways in: on SQLite a write begins `IMMEDIATE`, for a read that turns into a write fails
at once with "database is locked", whatever the timeout.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

from sqlalchemy import URL, Connection, Engine, create_engine, event, inspect, make_url, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.pool import QueuePool
from tunebus.contracts import strictjson
from tunebus.contracts.errors import Code, Problem, TunebusError, fail
from tunebus.services.platform import schema
from tunebus.services.platform.logs import redact

Synchronous = Literal["FULL", "NORMAL"]

WAIT_SECONDS = 10.0  # how long a writer waits for another one's transaction
_WAL_PAGES = 4000  # of 4 KiB, in SQLite's log before they are moved into its database
MIGRATIONS = Path(__file__).parent / "migrations"


class DatabaseError(TunebusError):
    """The database itself failed: out of space, out of reach or read-only. Nothing of the transaction was kept."""


_READS = "tunebus_reads"
_LEDGER_LOCK = 0x74756E65  # the key of PostgreSQL's advisory locks that order writers ("tune")
_MIGRATION_LOCK = _LEDGER_LOCK + 1

_SQLITE_FULL = frozenset(
    {
        "SQLITE_FULL",
        # A file size limit (RLIMIT_FSIZE) and some network disks' quotas surface as failed writes.
        "SQLITE_IOERR",
        "SQLITE_IOERR_WRITE",
        "SQLITE_IOERR_FSYNC",
        "SQLITE_IOERR_DIR_FSYNC",
        "SQLITE_IOERR_TRUNCATE",
        "SQLITE_IOERR_SHMSIZE",
        "SQLITE_IOERR_SHMMAP",
    }
)
_SQLITE_UNAVAILABLE = ("SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_CANTOPEN", "SQLITE_IOERR", "SQLITE_PROTOCOL")
_POSTGRESQL_FULL = frozenset({"53100", "58030"})  # disk_full, io_error
_POSTGRESQL_UNAVAILABLE = ("08", "53", "57P", "55P03", "40", "3D000")  # SQLSTATE prefixes


def open_engine(url: str | URL, *, synchronous: Synchronous = "FULL", read_only: bool = False) -> Engine:
    """An engine for `sqlite:///path` or `postgresql+psycopg://…`; nothing is connected to yet.

    `synchronous` is SQLite's: FULL for the record, NORMAL for telemetry, which a power cut may shorten.
    A `read_only` engine refuses every write (`not_permitted`) and never makes a missing SQLite file.
    Errors: `invalid` for a URL that names neither database.
    """
    try:
        where = make_url(url)
    except Exception:
        raise _bad_url() from None
    if where.get_backend_name() == "sqlite":
        return _open_sqlite(where, synchronous, read_only)
    if where.drivername == "postgresql+psycopg":
        return _open_postgresql(where, read_only)
    raise _bad_url()


@contextmanager
def write(engine: Engine) -> Iterator[Connection]:
    """One writing transaction: committed at the end of the block, rolled back when it raises.

    Errors: `disk_full`, `unavailable`, `not_permitted`; a violated constraint stays SQLAlchemy's IntegrityError.
    """
    with explained(), engine.connect() as connection, connection.begin():
        yield connection


@contextmanager
def read(engine: Engine) -> Iterator[Connection]:
    """One reading transaction: everything in the block sees the same moment, and writing is refused."""
    with explained(), engine.connect() as connection:
        reader = connection.execution_options(**{_READS: True})
        if engine.dialect.name == "postgresql":
            reader = reader.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        with reader.begin():
            yield reader


def lock_ledger(connection: Connection) -> None:
    """Be the only writer of events until this transaction ends, so that positions are in the order of commits.

    On SQLite `BEGIN IMMEDIATE` has done that already.
    """
    if connection.dialect.name == "postgresql":
        fetch(connection, f"SELECT pg_advisory_xact_lock({_LEDGER_LOCK})")


def fetch(connection: Connection, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
    """The rows of a statement in the driver's own words.

    For what every command runs: what SQLAlchemy does around a statement takes ten times a look-up by key.
    """
    with _cursor(connection, sql) as cursor:
        cursor.execute(sql, parameters)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
        return rows


def run(connection: Connection, sql: str, rows: Sequence[Sequence[Any]]) -> None:
    """Run a statement in the driver's own words once for each row of parameters."""
    with _cursor(connection, sql) as cursor:
        cursor.executemany(sql, rows)


def copy_rows(connection: Connection, copy: str, rows: Iterable[Sequence[Any]]) -> None:
    """Run PostgreSQL's `COPY … FROM STDIN`, which SQLAlchemy has no words for."""
    with _cursor(connection, copy) as cursor, cursor.copy(copy) as stream:
        for row in rows:
            stream.write_row(row)


@contextmanager
def _cursor(connection: Connection, sql: str) -> Iterator[Any]:
    """A cursor of the driver's, whose errors are raised as SQLAlchemy would raise them."""
    driver: Any = connection.connection.driver_connection
    dialect = connection.dialect
    assert dialect.loaded_dbapi is not None
    cursor = driver.cursor()
    try:
        yield cursor
    except dialect.loaded_dbapi.Error as error:
        raise DBAPIError.instance(
            sql,
            None,
            error,
            dialect.loaded_dbapi.Error,
            connection_invalidated=dialect.is_disconnect(error, driver, cursor),
            dialect=dialect,
        ) from error
    finally:
        cursor.close()


def migrate(engine: Engine) -> None:
    """Bring the ledger's tables to this version, all or nothing; does nothing when they are there."""
    from alembic import command  # only here: an idle process should not carry it
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    with write(engine) as connection:
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_MIGRATION_LOCK})")
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def check_schema(engine: Engine) -> None:
    """Raise `unavailable` when the ledger's tables are not of this version."""
    with read(engine) as connection:
        found = None
        if inspect(connection).has_table(schema.REVISION_TABLE):
            found = connection.scalar(text(f"SELECT version_num FROM {schema.REVISION_TABLE}"))
    if found == schema.REVISION:
        return
    if found is not None and found > schema.REVISION:
        message, hint = f"the ledger is of a newer version ({found})", "use the version of Tunebus that wrote it"
    else:
        state = f"of an older version ({found})" if found else "not set up"
        message, hint = f"the ledger is {state}", "run `tunebus db upgrade`"
    raise fail(Code.UNAVAILABLE, message, param="TUNEBUS_DATABASE_URL", hint=hint)


@contextmanager
def explained() -> Iterator[None]:
    """Turn a database's own errors into `disk_full`, `unavailable` or `not_permitted`; others pass unchanged."""
    try:
        yield
    except (DBAPIError, PoolTimeout) as error:
        known = explain(error)
        if known is None:
            raise
        raise known from error


def explain(error: Exception) -> DatabaseError | None:
    """What an error of the database means, or None when it is a violated constraint or a bug of ours."""
    if isinstance(error, PoolTimeout):
        return _failure(Code.UNAVAILABLE, "every connection to the database is in use")
    if not isinstance(error, DBAPIError) or error.orig is None:
        return None
    code = _meaning(error)
    if code is None:
        return None
    reason = redact(str(error.orig).strip().split("\n")[0])
    match code:
        case Code.DISK_FULL:
            return _failure(code, f"the database cannot grow: {reason}", hint="free some space or raise the limit")
        case Code.NOT_PERMITTED:
            return _failure(code, f"the database cannot be written: {reason}")
        case _:
            return _failure(code, f"the database cannot be used now: {reason}")


def _failure(code: Code, message: str, hint: str | None = None) -> DatabaseError:
    return DatabaseError(Problem(code=code, message=message, param="TUNEBUS_DATABASE_URL", hint=hint))


def _meaning(error: DBAPIError) -> Code | None:
    if isinstance(error.orig, sqlite3.Error):
        name: str = getattr(error.orig, "sqlite_errorname", "")
        if name in _SQLITE_FULL:
            return Code.DISK_FULL
        if name.startswith("SQLITE_READONLY"):
            return Code.NOT_PERMITTED
        if name.startswith((*_SQLITE_UNAVAILABLE, "SQLITE_CORRUPT", "SQLITE_NOTADB")):
            return Code.UNAVAILABLE
        return None
    state: str | None = getattr(error.orig, "sqlstate", None)
    if state in _POSTGRESQL_FULL:
        return Code.DISK_FULL
    if state == "25006":  # read_only_sql_transaction
        return Code.NOT_PERMITTED
    if error.connection_invalidated or (state or "").startswith(_POSTGRESQL_UNAVAILABLE):
        return Code.UNAVAILABLE
    # libpq reports what goes wrong before a session exists without a SQLSTATE.
    return Code.UNAVAILABLE if state is None and type(error.orig).__name__ == "OperationalError" else None


def _open_sqlite(url: URL, synchronous: Synchronous, read_only: bool) -> Engine:
    if not url.database or url.database == ":memory:":
        raise _bad_url()
    path = Path(url.database).absolute()
    # Not mode=ro: a reader of a write-ahead log needs its shared memory. `query_only` refuses the writes.
    uri = f"file:{quote(str(path))}?mode={'rw' if read_only else 'rwc'}"

    def connect() -> sqlite3.Connection:
        # No isolation level: the module would begin transactions of its own, and never an IMMEDIATE one.
        connection = sqlite3.connect(
            uri, uri=True, isolation_level=None, check_same_thread=False, timeout=WAIT_SECONDS, cached_statements=512
        )
        if not read_only:
            connection.execute("PRAGMA journal_mode = WAL")
            # The commit that fills the log waits until it is emptied: of lone commands one in 250, where SQLite's own
            # 1000 pages would make it one in 60.
            connection.execute(f"PRAGMA wal_autocheckpoint = {_WAL_PAGES}")
        connection.execute(f"PRAGMA synchronous = {synchronous}")
        connection.execute("PRAGMA foreign_keys = ON")
        # Where a distribution turns it on, everything deleted is overwritten with zeros: dropping a table then costs
        # as much as writing it, and nothing here is secret.
        connection.execute("PRAGMA secure_delete = OFF")
        connection.execute(f"PRAGMA query_only = {'ON' if read_only else 'OFF'}")
        return connection

    engine = create_engine(
        "sqlite://", creator=connect, poolclass=QueuePool, json_serializer=_dumps, query_cache_size=500
    )
    event.listen(engine, "begin", _begin_read_only if read_only else _begin)
    return engine


def _begin(connection: Connection) -> None:
    """Begin IMMEDIATE unless the transaction only reads, and hold a reader to its word."""
    reads = bool(connection.get_execution_options().get(_READS))
    if connection.info.get(_READS, False) != reads:
        fetch(connection, f"PRAGMA query_only = {'ON' if reads else 'OFF'}")
        connection.info[_READS] = reads
    fetch(connection, "BEGIN" if reads else "BEGIN IMMEDIATE")


def _begin_read_only(connection: Connection) -> None:
    fetch(connection, "BEGIN")


def _open_postgresql(url: URL, read_only: bool) -> Engine:
    lock_timeout = f"-c lock_timeout={int(WAIT_SECONDS * 1000)}"
    given = {"connect_timeout": 5, "application_name": "tunebus", "options": lock_timeout}
    return create_engine(
        url,
        connect_args={key: value for key, value in given.items() if key not in url.query},
        execution_options={"postgresql_readonly": True} if read_only else {},
        pool_pre_ping=True,
        json_serializer=_dumps,
    )


def _dumps(value: Any) -> str:
    return strictjson.dumps(value).decode()


def _bad_url() -> TunebusError:
    return fail(
        Code.INVALID,
        "the database URL names neither a SQLite file nor a PostgreSQL database",
        param="TUNEBUS_DATABASE_URL",
        hint="use postgresql://user:password@host/database or sqlite:///path/to/file.db",
    )
