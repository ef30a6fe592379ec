"""Engines, transactions, migrations and what the ledger says when its database cannot go on."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import URL, Connection, Engine, event, func, inspect, make_url, select, text
from sqlalchemy.exc import IntegrityError
from tunebus.contracts.envelope import Outcome
from tunebus.contracts.errors import Code, TunebusError
from tunebus.services.platform import database, schema
from tunebus.services.platform.database import DatabaseError
from tunebus.services.platform.ledger import Ledger, events_after, last_position

from tests.fixtures.things import Things, add, break_down, metadata, things

ROOT = Path(__file__).parents[4]


def counts(engine: Engine) -> list[int]:
    with database.read(engine) as connection:
        return [
            connection.scalar(select(func.count()).select_from(t)) or 0 for t in (schema.events, schema.inbox, things)
        ]


@contextmanager
def refused(code: Code) -> Iterator[None]:
    with pytest.raises(TunebusError) as caught:
        yield
    assert caught.value.problem.code is code, caught.value.problem


Opener = Callable[..., Engine]


@pytest.fixture
def opened() -> Iterator[Opener]:
    """`open_engine`, with every engine disposed of in the end."""
    engines: list[Engine] = []

    def open_one(url: str | URL, **options: Any) -> Engine:
        engines.append(database.open_engine(url, **options))
        return engines[-1]

    yield open_one
    for engine in engines:
        engine.dispose()


# Transactions


def test_a_write_is_kept_when_its_block_ends_and_gone_when_it_raises(ledger: Ledger, engine: Engine) -> None:
    def write_and_fail() -> None:
        with database.write(engine) as connection:
            connection.execute(schema.meta.insert().values(key="k", value=1))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_and_fail()
    with database.read(engine) as connection:
        assert connection.scalar(select(schema.meta.c.value)) is None
    with database.write(engine) as connection:
        connection.execute(schema.meta.insert().values(key="k", value=1))
    with database.read(engine) as connection:
        assert connection.scalar(select(schema.meta.c.value)) == 1


def test_a_read_sees_one_moment_and_may_not_write(ledger: Ledger, engine: Engine) -> None:
    ledger.execute([add("Ada")])
    with database.read(engine) as connection:
        before = last_position(connection)
        ledger.execute([add("Bob")])
        assert last_position(connection) == before
        assert len(events_after(connection, 0, 10)) == 1
    with refused(Code.NOT_PERMITTED), database.read(engine) as connection:
        connection.execute(things.delete())
    ledger.execute([add("Cyd")])  # the connection goes back to writing
    assert counts(engine)[2] == 3


def test_a_violated_constraint_stays_a_constraint(ledger: Ledger, engine: Engine) -> None:
    with pytest.raises(IntegrityError), database.write(engine) as connection:
        connection.execute(schema.meta.insert(), [{"key": "k", "value": 1}, {"key": "k", "value": 2}])


def test_copied_rows_break_the_same_rules(engine: Engine) -> None:
    if engine.dialect.name == "sqlite":
        pytest.skip("COPY is PostgreSQL's")
    with pytest.raises(IntegrityError), database.write(engine) as connection:
        database.copy_rows(connection, "COPY meta (key, value) FROM STDIN", [("k", "1"), ("k", "2")])
    with database.write(engine) as connection:
        database.copy_rows(connection, "COPY meta (key, value) FROM STDIN", [("a", "1"), ("b", '"\\u0000"')])
    with database.read(engine) as connection:
        assert list(connection.scalars(select(schema.meta.c.value).order_by(schema.meta.c.key))) == [1, "\0"]


def test_sqlite_is_durable_and_strict(tmp_path: Path, opened: Opener) -> None:
    engine = opened(f"sqlite:///{tmp_path / 'x.db'}")
    telemetry = opened(f"sqlite:///{tmp_path / 'telemetry.db'}", synchronous="NORMAL")

    def pragma(opened: Engine, name: str) -> Any:
        with database.read(opened) as connection:
            return connection.scalar(text(f"PRAGMA {name}"))

    assert (pragma(engine, "journal_mode"), pragma(engine, "synchronous"), pragma(engine, "foreign_keys")) == (
        "wal",
        2,
        1,
    )
    assert (pragma(telemetry, "journal_mode"), pragma(telemetry, "synchronous")) == ("wal", 1)


def test_a_sqlite_write_begins_immediate_and_a_read_does_not(tmp_path: Path, opened: Opener) -> None:
    engine = opened(f"sqlite:///{tmp_path / 'x.db'}")
    statements: list[str] = []
    event.listen(engine, "checkout", lambda driver, *rest: driver.set_trace_callback(statements.append))
    with database.write(engine):
        pass
    with database.read(engine):
        pass
    with engine.begin():  # not through the front door, and still no upgrade from reading to writing
        pass
    assert [statement for statement in statements if "BEGIN" in statement] == [
        "BEGIN IMMEDIATE",
        "BEGIN",
        "BEGIN IMMEDIATE",
    ]


# A read-only engine


def test_a_read_only_engine_reads_a_live_ledger_and_writes_nothing(
    ledger: Ledger, engine: Engine, database_url: str, opened: Opener
) -> None:
    ledger.execute([add("Ada")])
    reader = opened(database_url, read_only=True)
    with database.read(reader) as connection:
        assert last_position(connection) > 0
    with refused(Code.NOT_PERMITTED), database.write(reader) as connection:
        connection.execute(things.delete())
    assert counts(engine)[2] == 1


def test_a_read_only_engine_makes_no_file(tmp_path: Path, opened: Opener) -> None:
    missing = tmp_path / "none.db"
    with refused(Code.UNAVAILABLE), database.read(opened(f"sqlite:///{missing}", read_only=True)):
        pass
    assert not missing.exists()


# Migrations


def test_migrations_make_exactly_the_tables_of_the_schema(engine: Engine) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    with database.read(engine) as connection:
        context = MigrationContext.configure(
            connection, opts={"version_table": schema.REVISION_TABLE, "compare_type": True}
        )
        assert compare_metadata(context, schema.metadata) == []


def test_migrating_again_changes_nothing(ledger: Ledger, engine: Engine) -> None:
    ledger.execute([add("Ada")])
    database.migrate(engine)
    database.check_schema(engine)
    assert counts(engine) == [1, 1, 1]


def test_a_ledger_of_the_first_version_is_brought_to_this_one_with_what_it_holds(
    database_url: str, opened: Opener
) -> None:
    from alembic import command
    from alembic.config import Config

    engine = opened(database_url)
    config = Config()
    config.set_main_option("script_location", str(database.MIGRATIONS))
    with database.write(engine) as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        connection.execute(
            text(
                "INSERT INTO events (event_id, stream_id, version, type, schema_version, data, actor, meta,"
                " recorded_at) VALUES ('e', 'prompt/p', 1, 'PromptRemoved', 1, '{}', 'ada', '{}',"
                " '2026-01-01T00:00:00.000000Z')"
            )
        )
    with pytest.raises(TunebusError, match="older version"):
        database.check_schema(engine)
    database.migrate(engine)
    database.check_schema(engine)
    with database.read(engine) as connection:
        assert connection.scalar(text("SELECT actor FROM events")) == "ada"
    names = {index["name"] for index in inspect(engine).get_indexes("events")}
    assert names >= {"ix_events_actor", "ix_events_causation_id", "ix_events_correlation_id"}


def test_processes_may_migrate_at_once(database_url: str, opened: Opener) -> None:
    failures: list[BaseException] = []

    def migrate() -> None:
        engine = opened(database_url)
        try:
            database.migrate(engine)
        except BaseException as error:
            failures.append(error)
        finally:
            engine.dispose()

    threads = [threading.Thread(target=migrate) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []
    engine = opened(database_url)
    database.check_schema(engine)


def test_a_failed_migration_leaves_nothing(database_url: str, opened: Opener) -> None:
    engine = opened(database_url)
    with database.write(engine) as connection:
        connection.execute(text("CREATE TABLE meta (in_the_way INTEGER)"))  # the last table of the first revision
    with pytest.raises(Exception, match="meta"):
        database.migrate(engine)
    assert inspect(engine).get_table_names() == ["meta"]


def test_the_schema_is_checked_without_alembic(database_url: str, opened: Opener) -> None:
    engine = opened(database_url)
    with pytest.raises(TunebusError, match="not set up") as missing:
        database.check_schema(engine)
    assert missing.value.problem.hint == "run `tunebus db upgrade`"
    database.migrate(engine)
    database.check_schema(engine)
    with database.write(engine) as connection:
        connection.execute(text(f"UPDATE {schema.REVISION_TABLE} SET version_num = '9999'"))
    with pytest.raises(TunebusError, match="newer version"):
        database.check_schema(engine)


def test_the_code_names_the_newest_revision() -> None:
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(database.MIGRATIONS))
    assert ScriptDirectory.from_config(config).get_heads() == [schema.REVISION]


# No room


def test_a_full_sqlite_file_refuses_a_batch_whole_until_there_is_room(tmp_path: Path, opened: Opener) -> None:
    engine = opened(f"sqlite:///{tmp_path / 'ledger.db'}")
    database.migrate(engine)
    metadata.create_all(engine)
    limit = 0

    def set_limit(connection: Connection) -> None:
        connection.exec_driver_sql(f"PRAGMA max_page_count = {limit}")

    ledger = Ledger(engine, Things(set_limit))
    ledger.execute([add("first")])
    with database.read(engine) as connection:
        limit = connection.scalar(text("PRAGMA page_count")) + 60
    confirmed, batch = 1, [add("never")]
    with refused(Code.DISK_FULL):
        for round in range(1000):
            batch = [add(f"{round}-{n}" + "x" * 200) for n in range(20)]
            confirmed += sum(isinstance(result, Outcome) for result in ledger.execute(batch))
    assert confirmed > 1
    assert counts(engine) == [confirmed] * 3

    with refused(Code.DISK_FULL):  # also when a failing command has the batch done one by one
        ledger.execute([*batch, break_down("raise")])
    assert counts(engine) == [confirmed] * 3

    limit = 1_000_000
    assert all(isinstance(result, Outcome) for result in ledger.execute(batch))
    assert counts(engine) == [confirmed + 20] * 3


LIMITED = """
import json, os, resource, sys
from tests.fixtures.things import Things, add, metadata
from tunebus.contracts.errors import TunebusError
from tunebus.services.platform import database
from tunebus.services.platform.ledger import Ledger

path = sys.argv[1]
engine = database.open_engine(f"sqlite:///{path}")
database.migrate(engine)
metadata.create_all(engine)
ledger = Ledger(engine, Things())
ledger.execute([add("first")])
hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
resource.setrlimit(resource.RLIMIT_FSIZE, (os.path.getsize(path + "-wal") + 100_000, hard))
confirmed, code = 1, None
try:
    for round in range(1000):
        batch = [add(f"{round}-{n}" + "x" * 200) for n in range(20)]
        confirmed += len(ledger.execute(batch))
except TunebusError as error:
    code = error.problem.code
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
again = len(ledger.execute(batch))
print(json.dumps({"code": code, "confirmed": confirmed, "again": again}))
"""


def test_a_file_size_limit_refuses_a_batch_whole(tmp_path: Path, opened: Opener) -> None:
    path = tmp_path / "ledger.db"
    child = subprocess.run(
        [sys.executable, "-c", LIMITED, str(path)],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        timeout=120,
        check=False,
        text=True,
    )
    assert child.returncode == 0, child.stderr
    said = json.loads(child.stdout)
    assert said["code"] == Code.DISK_FULL
    assert said["again"] == 20
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert counts(opened(f"sqlite:///{path}")) == [said["confirmed"] + 20] * 3


def test_a_postgresql_disk_that_is_full_refuses_a_batch_whole(ledger: Ledger, engine: Engine) -> None:
    if engine.dialect.name == "sqlite":
        pytest.skip("PostgreSQL's error code")
    with database.write(engine) as connection:
        connection.exec_driver_sql(
            """
            CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN IF NEW.name = 'too much' THEN RAISE EXCEPTION 'no space left' USING ERRCODE = '53100'; END IF;
            RETURN NEW; END $$;
            CREATE TRIGGER full_disk BEFORE INSERT ON things FOR EACH ROW EXECUTE FUNCTION full_disk()
            """
        )
    with refused(Code.DISK_FULL):
        ledger.execute([add("Ada"), add("too much"), add("Bob")])
    with refused(Code.DISK_FULL):  # also when a failing command has the batch done one by one
        ledger.execute([add("Ada"), break_down("raise"), add("too much"), add("Bob")])
    assert counts(engine) == [0, 0, 0]


# Out of reach


@pytest.mark.parametrize(
    "url", ["mysql://localhost/x", "sqlite://", "sqlite:///:memory:", "nonsense", "postgresql://x/y"]
)
def test_a_url_of_neither_database_is_refused(url: str) -> None:
    with refused(Code.INVALID):
        database.open_engine(url)


def test_a_file_that_cannot_be_opened_is_unavailable(tmp_path: Path, opened: Opener) -> None:
    (tmp_path / "file").write_text("in the way")
    (tmp_path / "words.db").write_text("this is no database, though it is long enough to be looked at " * 20)
    for path in ("missing/ledger.db", "file/ledger.db", "words.db"):
        with refused(Code.UNAVAILABLE), database.write(opened(f"sqlite:///{tmp_path / path}")):
            pass


def test_a_folder_may_have_any_name(tmp_path: Path, opened: Opener) -> None:
    folder = tmp_path / "odd #name? 100% ü"
    folder.mkdir()
    url = make_url("sqlite://").set(database=str(folder / "ledger.db"))
    database.migrate(opened(url))
    assert (folder / "ledger.db").exists()


def test_a_server_that_is_not_there_is_unavailable(opened: Opener) -> None:
    engine = opened("postgresql+psycopg://postgres:secret@127.0.0.1:1/none")
    with pytest.raises(TunebusError) as caught, database.read(engine):
        pass
    assert caught.value.problem.code is Code.UNAVAILABLE
    assert "secret" not in str(caught.value.problem)


def test_a_ledger_locked_for_too_long_is_unavailable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, opened: Opener
) -> None:
    monkeypatch.setattr(database, "WAIT_SECONDS", 0.05)
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    with (
        database.write(opened(url)),
        refused(Code.UNAVAILABLE),
        database.write(opened(url)),
    ):
        pass


def test_a_connection_lost_in_a_batch_is_unavailable_and_the_next_one_works(engine: Engine) -> None:
    if engine.dialect.name == "sqlite":
        pytest.skip("there is no connection to lose")
    metadata.create_all(engine)
    losses = ["open"]

    def lose(connection: Connection) -> None:
        if losses:
            losses.pop()
            mine = connection.scalar(text("SELECT pg_backend_pid()"))
            with database.write(engine) as other:
                other.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": mine})

    ledger, command = Ledger(engine, Things(lose)), add("Ada")
    with pytest.raises(DatabaseError) as caught:
        ledger.execute([command])
    assert caught.value.problem.code is Code.UNAVAILABLE
    assert isinstance(ledger.execute([command])[0], Outcome)
    assert counts(engine) == [1, 1, 1]
