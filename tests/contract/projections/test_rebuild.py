"""Rebuilt tables equal those kept inline, on both databases, whatever the history and whatever goes on meanwhile."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, delete, func, inspect, select, text
from tunebus.contracts.errors import Code, TunebusError
from tunebus.contracts.events import RecordedEvent
from tunebus.projections import PROJECTIONS, Insert, apply, ledger_view, metadata, tables
from tunebus.projections.rebuild import NAME, Rebuilt, Record, ensure, live_version, rebuild
from tunebus.projections.verify import content_hash, verify
from tunebus.services.platform import database
from tunebus.services.platform.upcasters import UPCASTERS

from tests.fixtures.histories import Studio, record, seeded_history


def of(engine: Engine) -> Record:
    return Record(engine, database.read, database.lock_ledger, UPCASTERS.upcast)


def hashes(engine: Engine) -> dict[str, str]:
    with database.read(engine) as connection:
        return {table.name: content_hash(connection, table) for table in PROJECTIONS}


def counts(engine: Engine) -> dict[str, int]:
    with database.read(engine) as connection:
        return {t.name: connection.scalar(select(func.count()).select_from(t)) or 0 for t in PROJECTIONS}


@pytest.fixture
def studio(engine: Engine) -> Engine:
    assert ensure(of(engine)) is None
    return engine


@pytest.mark.parametrize("batch", [1, 7, 5000])
def test_a_rebuild_gives_every_table_the_rows_kept_inline(studio: Engine, batch: int) -> None:
    history = seeded_history(11, 600)
    with database.write(studio) as connection:
        record(connection, history)
    before, rows = hashes(studio), counts(studio)
    assert all(rows.values()), "a history that leaves a table empty proves nothing of it"
    if batch == 1:
        # More than are caught up with while writers wait, so that the batches beside are tried as well.
        assert len(history) > 500

    report = rebuild(of(studio), batch=batch if batch > 1 else 500)

    assert hashes(studio) == before
    assert report.rows == rows
    assert report.events == len(history)
    assert report.position == history[-1].position


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(numbers=st.lists(st.integers(0, 2**31), max_size=500))
def test_whatever_happened_folding_in_memory_equals_the_statements(studio: Engine, numbers: list[int]) -> None:
    with database.write(studio) as connection:
        for table in (*PROJECTIONS, ledger_view.events):
            connection.execute(delete(table))
        events = Studio(numbers).play()
        for begin in range(0, len(events), 9):
            record(connection, events[begin : begin + 9])
    before = hashes(studio)
    rebuild(of(studio), batch=13)
    assert hashes(studio) == before


def test_the_hash_of_a_content_does_not_depend_on_the_database_nor_on_the_order(studio: Engine, tmp_path: Path) -> None:
    history = seeded_history(3, 200)
    with database.write(studio) as connection:
        record(connection, history)
    other = database.open_engine(f"sqlite:///{tmp_path / 'other.db'}")
    with database.write(other) as connection:
        metadata.create_all(connection)
        changes = [change for event in history for change in apply(event)]
        inserts = [change for change in changes if isinstance(change, Insert)]
        for change in [*reversed(inserts), *(change for change in changes if not isinstance(change, Insert))]:
            connection.execute(change.statement, [change.parameters])
    assert hashes(other) == hashes(studio)
    other.dispose()


def test_a_second_rebuild_finds_the_names_of_tables_and_constraints_as_the_first_did(studio: Engine) -> None:
    with database.write(studio) as connection:
        record(connection, seeded_history(5, 120))
    described = []
    for _ in range(3):
        look = inspect(studio)
        described.append(
            {
                table.name: (
                    look.get_pk_constraint(table.name)["constrained_columns"],
                    sorted((str(u["name"]), tuple(u["column_names"])) for u in look.get_unique_constraints(table.name)),
                    sorted((str(i["name"]), tuple(i["column_names"])) for i in look.get_indexes(table.name)),
                    [(c["name"], c["nullable"]) for c in look.get_columns(table.name)],
                )
                for table in PROJECTIONS
            }
        )
        assert not [name for name in look.get_table_names() if name.startswith("rebuild_")]
        rebuild(of(studio))
    assert described[0] == described[1] == described[2]


def test_commands_and_readers_go_on_while_tables_are_rebuilt(studio: Engine) -> None:
    history = seeded_history(23, 3000)
    with database.write(studio) as connection:
        record(connection, history[:2000])
    seen: list[int] = []
    failures: list[Exception] = []
    written, stop = threading.Event(), threading.Event()

    def write() -> None:
        try:
            for begin in range(2000, 3000, 10):
                with database.write(studio) as connection:
                    database.lock_ledger(connection)
                    record(connection, history[begin : begin + 10])
                written.set()
        except Exception as error:
            failures.append(error)

    def read() -> None:
        try:
            while not stop.is_set():
                with database.read(studio) as connection:
                    seen.append(connection.scalar(select(func.count()).select_from(tables.datasets)) or 0)
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=write), threading.Thread(target=read)]
    for thread in threads:
        thread.start()
    assert written.wait(30)
    reports = [rebuild(of(studio), batch=600)]
    while threads[0].is_alive():
        reports.append(rebuild(of(studio), batch=600))
    threads[0].join()
    stop.set()
    threads[1].join()

    assert failures == []
    assert reports[0].position >= history[1999].position
    with database.read(studio) as connection:
        result = verify(connection, UPCASTERS.upcast)
        assert result.ok, result.differences
        assert result.position == history[-1].position
    assert min(seen) > 0, "a reader saw an empty table in the middle of a flip"


class Killed(BaseException):
    pass


def test_a_rebuild_that_dies_leaves_the_live_tables_and_the_next_one_ends_well(studio: Engine) -> None:
    with database.write(studio) as connection:
        record(connection, seeded_history(31, 1500))
    before = hashes(studio)

    def die(position: int) -> None:
        raise Killed

    with pytest.raises(Killed):
        rebuild(of(studio), batch=600, progress=die)
    assert hashes(studio) == before
    rebuild(of(studio), batch=600)
    assert hashes(studio) == before
    assert not [name for name in inspect(studio).get_table_names() if name.startswith("rebuild_")]


def test_two_rebuilds_at_once_are_refused(studio: Engine) -> None:
    with database.write(studio) as connection:
        record(connection, seeded_history(31, 700))
    refusals = []

    def again(position: int) -> None:
        with pytest.raises(TunebusError) as refused:
            rebuild(of(studio))
        refusals.append(refused.value.problem.code)

    rebuild(of(studio), batch=600, progress=again)
    assert refusals
    assert set(refusals) == {Code.CONFLICT}


def test_an_older_version_is_rebuilt_at_start(studio: Engine) -> None:
    with database.write(studio) as connection:
        record(connection, seeded_history(41, 200))
    before = hashes(studio)
    with database.write(studio) as connection:
        connection.execute(ledger_view.projections.update().values(version=tables.VERSION - 1))
        connection.execute(text("DROP TABLE job_checkpoints"))
        connection.execute(text("ALTER TABLE datasets DROP COLUMN warnings"))

    report = ensure(of(studio))

    assert isinstance(report, Rebuilt)
    assert hashes(studio) == before
    with database.read(studio) as connection:
        assert live_version(connection) == tables.VERSION
        assert connection.scalar(select(func.count()).select_from(ledger_view.projections)) == 1
        assert connection.scalar(select(ledger_view.projections.c.name)) == NAME
    assert ensure(of(studio)) is None, "the second start has nothing to do"


def test_an_unknown_event_type_of_a_newer_version_changes_nothing(studio: Engine) -> None:
    events = seeded_history(3, 50)
    newer = RecordedEvent(
        position=events[-1].position + 1,
        event_id="e",
        aggregate="dataset",
        entity_id="d",
        version=1,
        type="DatasetPolished",
        schema_version=1,
        data={},
        recorded_at="2026-01-01T00:00:00.000000Z",
    )
    with database.write(studio) as connection:
        record(connection, events)
        before = {table.name: content_hash(connection, table) for table in PROJECTIONS}
        record(connection, [newer])
    assert hashes(studio) == before


def test_workers_are_not_derived_and_survive_a_rebuild(studio: Engine) -> None:
    row = {
        "worker_id": "w",
        "kind": "fine_tuning_job",
        "host": "h",
        "capabilities": {},
        "first_seen": "a",
        "last_seen": "b",
    }
    with database.write(studio) as connection:
        connection.execute(tables.workers.insert(), [row])
    rebuild(of(studio))
    with database.read(studio) as connection:
        assert connection.scalar(select(func.count()).select_from(tables.workers)) == 1


def test_the_metadata_holds_the_projections_and_the_workers_alone() -> None:
    assert set(metadata.tables.values()) == {*PROJECTIONS, tables.workers, tables.worker_loads}
