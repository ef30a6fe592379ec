"""What the ledger promises, the same on both databases."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, event, func, select, text
from sqlalchemy.exc import IntegrityError
from tunebus.contracts.envelope import Outcome
from tunebus.contracts.errors import Code, Problem
from tunebus.contracts.identifiers import is_id, new_id
from tunebus.services.platform import database, schema
from tunebus.services.platform.decisions import Accepted, NewEvent, PreparedCommand
from tunebus.services.platform.ledger import (
    Ledger,
    Result,
    events_after,
    last_position,
    load_streams,
    stream_id,
)

from tests.fixtures.things import THING, Things, add, break_down, metadata, rename, things

ROOT = Path(__file__).parents[4]


def accepted(result: Result) -> Outcome:
    assert isinstance(result, Outcome), repr(result)
    assert result.outcome == "accepted", result.error
    return result


def code(result: Result) -> Code:
    assert isinstance(result, Outcome), repr(result)
    assert result.error is not None
    return result.error.code


def add_one(ledger: Ledger, name: str) -> str:
    thing = accepted(ledger.execute([add(name)])[0]).id
    assert thing is not None
    return thing


def count(engine: Engine, table: Any) -> int:
    with database.read(engine) as connection:
        return connection.scalar(select(func.count()).select_from(table)) or 0


# Appending and reading


def test_a_batch_appends_events_in_the_order_of_its_commands(ledger: Ledger, engine: Engine) -> None:
    outcomes = [accepted(result) for result in ledger.execute([add(f"thing {n}") for n in range(64)])]

    with database.read(engine) as connection:
        events = events_after(connection, 0, 100)
        assert last_position(connection) == events[-1].position
    assert [event.data["name"] for event in events] == [f"thing {n}" for n in range(64)]
    assert [event.position for event in events] == sorted(event.position for event in events)
    assert [(o.id, o.version, o.position) for o in outcomes] == [(e.entity_id, 1, e.position) for e in events]


def test_an_event_carries_who_asked_and_why(ledger: Ledger, engine: Engine) -> None:
    command = dataclasses.replace(add("Ada", actor="grace", correlation_id="night-run"), meta={"principal": "ui"})
    plain = add("Bob")
    ledger.execute([command, plain])

    with database.read(engine) as connection:
        first, second = events_after(connection, 0, 10)
    assert (first.aggregate, first.type, first.schema_version, first.data) == (THING, "ThingAdded", 1, {"name": "Ada"})
    assert (first.actor, first.correlation_id, first.causation_id) == ("grace", "night-run", command.envelope.id)
    assert first.meta == {"principal": "ui"}
    assert first.recorded_at.endswith("Z")
    assert is_id(first.event_id)
    assert first.event_id[14] == "7"  # UUIDv7
    assert (second.actor, second.correlation_id, second.meta) == (None, plain.envelope.id, {})


def test_data_comes_back_as_it_was_written(ledger: Ledger, engine: Engine) -> None:
    name = "quotes \" ' % ? :x \\ tab\t nul \u0000 umlaut ü emoji 🙂"
    ledger.execute([add("first"), add(name) if engine.dialect.name == "sqlite" else add(name.replace("\0", ""))])
    with database.read(engine) as connection:
        assert events_after(connection, 0, 10)[1].data["name"] == name.replace(
            "\0", "\0" if engine.dialect.name == "sqlite" else ""
        )


def test_events_are_read_from_a_position_by_aggregate_entity_and_type(ledger: Ledger, engine: Engine) -> None:
    ada, bob = add_one(ledger, "Ada"), add_one(ledger, "Bob")
    ledger.execute([rename(ada, "Countess"), rename(bob, "Robert")])

    with database.read(engine) as connection:
        every = events_after(connection, 0, 10)
        assert events_after(connection, every[1].position, 1) == [every[2]]
        assert events_after(connection, 0, 10, aggregate=THING, entity_id=ada) == [every[0], every[2]]
        assert events_after(connection, 0, 10, type="ThingRenamed") == every[2:]
        assert events_after(connection, 0, 10, aggregate=THING) == every
        assert events_after(connection, 0, 10, aggregate="thin_") == []
        assert events_after(connection, every[-1].position, 10) == []
        assert load_streams(connection, [(THING, bob)]) == {(THING, bob): [every[1], every[3]]}
        missing = (THING, new_id())
        assert load_streams(connection, [(THING, ada), missing]) == {(THING, ada): [every[0], every[2]], missing: []}
        assert load_streams(connection, []) == {}


def test_versions_count_within_each_entity_also_across_one_batch(ledger: Ledger) -> None:
    ada = add_one(ledger, "Ada")
    thing = new_id()
    results = ledger.execute(
        [rename(ada, "A1"), add("Bob", thing=thing), rename(ada, "A2"), rename(thing, "B1"), rename(ada, "A3")]
    )
    assert [accepted(result).version for result in results] == [2, 1, 3, 2, 4]


def test_later_commands_of_a_batch_see_what_earlier_ones_did(ledger: Ledger, engine: Engine) -> None:
    ada = add_one(ledger, "Ada")
    results = ledger.execute([rename(ada, "Countess"), add("Ada"), add("Countess")])
    assert accepted(results[1]).id != ada
    assert code(results[2]) is Code.DUPLICATE_NAME
    with database.read(engine) as connection:
        assert set(connection.scalars(select(things.c.name))) == {"Countess", "Ada"}


def test_an_empty_batch_does_nothing(ledger: Ledger, engine: Engine) -> None:
    assert ledger.execute([]) == []
    with database.read(engine) as connection:
        assert last_position(connection) == 0


# expectedversion


def test_expectedversion_is_checked_against_the_entity(ledger: Ledger) -> None:
    ada = add_one(ledger, "Ada")
    good, stale, ahead = ledger.execute(
        [
            rename(ada, "A1", expected_version=1),
            rename(ada, "A2", expected_version=1),
            rename(ada, "A3", expected_version=3),
        ]
    )
    assert accepted(good).version == 2
    assert code(stale) is Code.CONFLICT
    assert code(ahead) is Code.CONFLICT
    assert accepted(ledger.execute([rename(ada, "A4", expected_version=2)])[0]).version == 3


def test_a_new_entity_has_version_zero_and_a_missing_one_is_not_found(ledger: Ledger) -> None:
    new, not_new = ledger.execute([add("Ada", expected_version=0), add("Bob", expected_version=1)])
    assert accepted(new).version == 1
    assert code(not_new) is Code.CONFLICT
    assert code(ledger.execute([rename(new_id(), "X", expected_version=4)])[0]) is Code.NOT_FOUND


# The inbox


def test_the_same_command_three_times_has_one_effect_and_one_outcome(ledger: Ledger, engine: Engine) -> None:
    command = add("Ada")
    outcomes = [ledger.execute([command])[0] for _ in range(3)]
    assert outcomes[0] == outcomes[1] == outcomes[2]
    assert accepted(outcomes[0])
    assert count(engine, schema.events) == count(engine, things) == count(engine, schema.inbox) == 1
    assert ledger.outcome(command.envelope.id) == (command.envelope.body_hash, outcomes[0])


def test_a_retry_is_known_by_its_body_whoever_sends_it(ledger: Ledger) -> None:
    first = add("Ada", source="here", actor="ada")
    second = add("Ada", id=first.envelope.id, source="there", correlation_id="other")
    assert ledger.execute([first]) == ledger.execute([second])


def test_a_reused_command_id_is_refused_and_the_first_outcome_kept(ledger: Ledger, engine: Engine) -> None:
    command = add("Ada")
    first = ledger.execute([command])[0]
    reused = ledger.execute([add("Bob", id=command.envelope.id)])[0]
    assert code(reused) is Code.COMMAND_ID_REUSED
    assert ledger.execute([command])[0] == first
    assert ledger.outcome(command.envelope.id) == (command.envelope.body_hash, first)
    assert count(engine, schema.events) == 1


def test_duplicates_within_one_batch_are_one_command(ledger: Ledger, engine: Engine) -> None:
    command = add("Ada")
    again, other = add("Ada", id=command.envelope.id), add("Bob", id=command.envelope.id)
    results = ledger.execute([command, again, other, command])
    assert accepted(results[0]) == results[1] == results[3]
    assert code(results[2]) is Code.COMMAND_ID_REUSED
    assert count(engine, schema.events) == count(engine, schema.inbox) == 1


def test_a_rejection_is_an_outcome_for_ever(ledger: Ledger, engine: Engine) -> None:
    ada = add_one(ledger, "Ada")
    command = add("Ada")
    assert code(ledger.execute([command])[0]) is Code.DUPLICATE_NAME
    ledger.execute([rename(ada, "Countess")])  # the name is free now, but this command was answered
    again = ledger.execute([command])[0]
    assert code(again) is Code.DUPLICATE_NAME
    assert ledger.outcome(command.envelope.id) == (command.envelope.body_hash, again)
    assert count(engine, things) == 1


def test_a_rejection_found_before_the_transaction_is_kept_without_asking_the_domain(engine: Engine) -> None:
    def never(connection: Connection) -> None:
        raise AssertionError("asked")

    ledger = Ledger(engine, Things(never))
    problem = Problem(code=Code.INVALID, message="must be positive", param="n", hint="try 1")
    command = dataclasses.replace(add("Ada"), rejection=problem)
    outcome = ledger.execute([command])[0]
    assert isinstance(outcome, Outcome)
    assert outcome.error == problem
    assert ledger.outcome(command.envelope.id) == (command.envelope.body_hash, outcome)


def test_an_unhandled_command_has_no_outcome(ledger: Ledger) -> None:
    assert ledger.outcome(new_id()) is None


def test_accepted_without_events_is_an_outcome_too(engine: Engine) -> None:
    class Existing:
        def stream_of(self, command: PreparedCommand) -> tuple[str, str] | None:
            return None

        def decide(self, command: PreparedCommand) -> Accepted:
            return Accepted(id="that-one", ids=["that-one", "another"])

        def record(self, events: object) -> list[Any]:
            raise AssertionError("nothing to record")

    class Domain:
        def open(self, connection: Connection, commands: object) -> Existing:
            return Existing()

    command = add("Ada")
    outcome = accepted(Ledger(engine, Domain()).execute([command])[0])
    assert (outcome.id, outcome.ids, outcome.version, outcome.position) == (
        "that-one",
        ["that-one", "another"],
        None,
        None,
    )
    assert Ledger(engine, Domain()).outcome(command.envelope.id) == (command.envelope.body_hash, outcome)


# Failures


@pytest.mark.parametrize(("how", "error"), [("raise", ZeroDivisionError), ("row", IntegrityError)])
def test_one_failing_command_fails_alone(ledger: Ledger, engine: Engine, how: str, error: type[Exception]) -> None:
    broken = break_down(how)
    results = ledger.execute([add("Ada"), broken, add("Bob"), broken, add("Ada")])
    assert accepted(results[0]).version == accepted(results[2]).version == 1
    assert isinstance(results[1], error)
    assert isinstance(results[3], error)
    assert code(results[4]) is Code.DUPLICATE_NAME
    assert ledger.outcome(broken.envelope.id) is None, "it may be tried again"
    with database.read(engine) as connection:
        assert [event.data["name"] for event in events_after(connection, 0, 10)] == ["Ada", "Bob"]
        assert set(connection.scalars(select(things.c.name))) == {"Ada", "Bob"}


def test_data_that_is_no_json_fails_alone(ledger: Ledger, engine: Engine) -> None:
    class NaN(Things):
        def open(self, connection: Connection, commands: Any) -> Any:
            batch = super().open(connection, commands)
            decide = batch.decide

            def with_nan(command: PreparedCommand) -> Any:
                if command.envelope.data["name"] == "NaN":
                    return Accepted([NewEvent(THING, new_id(), "ThingAdded", 1, {"name": float("nan")})])
                return decide(command)

            batch.decide = with_nan  # type: ignore[method-assign]
            return batch

    good, bad = Ledger(engine, NaN()).execute([add("Ada"), add("NaN")])
    assert accepted(good)
    assert isinstance(bad, ValueError)
    assert count(engine, schema.events) == 1


def test_a_creating_command_that_names_an_old_stream_continues_it(ledger: Ledger, engine: Engine) -> None:
    """In a batch such a stream is taken for new; the unique constraint notices, and the batch is done one by one."""
    thing = add_one(ledger, "Ada")
    with database.write(engine) as connection:
        connection.execute(things.delete())
    results = ledger.execute([add("Bob"), add("Ada again", thing=thing)])
    assert [accepted(result).version for result in results] == [1, 2]


def test_a_race_for_a_version_is_decided_anew(engine: Engine) -> None:
    if engine.dialect.name == "sqlite":
        pytest.skip("nobody else can write once a transaction has begun")
    metadata.create_all(engine)
    ada = add_one(Ledger(engine, Things()), "Ada")
    intruders = 0

    def another_writer(connection: Connection) -> None:
        nonlocal intruders
        if intruders >= 2:
            return
        intruders += 1
        foreign = {
            "event_id": new_id(),
            "stream_id": stream_id(THING, ada),
            "version": 1 + intruders,
            "type": "ThingRenamed",
            "schema_version": 1,
            "data": {"name": f"intruder {intruders}"},
            "meta": {},
            "recorded_at": "2026-01-01T00:00:00.000000Z",
        }
        with database.write(engine) as other:  # one that takes no lock
            other.execute(schema.events.insert().values(foreign))

    class Raced(Things):
        """Lets the other writer in after the versions were read."""

        def open(self, connection: Connection, commands: Any) -> Any:
            batch = super().open(connection, commands)
            decide = batch.decide

            def decide_late(command: PreparedCommand) -> Any:
                another_writer(connection)
                return decide(command)

            batch.decide = decide_late  # type: ignore[method-assign]
            return batch

    outcome = accepted(Ledger(engine, Raced()).execute([rename(ada, "Countess")])[0])
    assert intruders == 2
    assert outcome.version == 4
    with database.read(engine) as connection:
        assert [event.version for event in load_streams(connection, [(THING, ada)])[THING, ada]] == [1, 2, 3, 4]


DYING = """
import os, signal, sys
from sqlalchemy import event
from tests.fixtures.things import Things, add
from tunebus.services.platform import database
from tunebus.services.platform.ledger import Ledger

url, moment, *ids = sys.argv[1:]
engine = database.open_engine(url)
die = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
if moment == "before":
    event.listen(engine, "commit", die)
Ledger(engine, Things()).execute([add(f"thing {n}", id=id) for n, id in enumerate(ids)])
die()
"""


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_process_killed_around_its_commit_leaves_all_or_nothing(
    ledger: Ledger, engine: Engine, database_url: str, moment: str
) -> None:
    commands = [add(f"thing {n}") for n in range(20)]
    ids = [command.envelope.id for command in commands]
    child = subprocess.run(
        [sys.executable, "-c", DYING, database_url, moment, *ids],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        timeout=60,
        check=False,
    )
    assert child.returncode == -signal.SIGKILL
    kept = 20 if moment == "after" else 0
    assert count(engine, schema.events) == count(engine, schema.inbox) == count(engine, things) == kept

    outcomes = [accepted(result) for result in ledger.execute(commands)]
    assert len({outcome.id for outcome in outcomes}) == 20
    assert count(engine, schema.events) == count(engine, schema.inbox) == count(engine, things) == 20


# Order


def test_a_reader_never_skips_a_position_while_writers_race(ledger: Ledger, engine: Engine, database_url: str) -> None:
    writers, batches, seen = 4, 12, []
    problems: list[Result] = []

    def write_things(writer: int) -> None:
        own = database.open_engine(database_url)
        mine = Ledger(own, Things())
        for batch in range(batches):
            names = [f"{writer}-{batch}-{n}" for n in range(batch % 3 + 1)]
            problems.extend(r for r in mine.execute([add(name) for name in names]) if not isinstance(r, Outcome))
        own.dispose()

    threads = [threading.Thread(target=write_things, args=(n,)) for n in range(writers)]
    for thread in threads:
        thread.start()
    cursor, running = 0, True
    while running:
        running = any(thread.is_alive() for thread in threads)  # looked at before reading, so the last read sees all
        with database.read(engine) as connection:
            for found in events_after(connection, cursor, 5):
                seen.append(found.position)
                cursor, running = found.position, True

    assert problems == []
    with database.read(engine) as connection:
        assert seen == list(connection.scalars(select(schema.events.c.position).order_by(schema.events.c.position)))
    assert len(seen) == writers * sum(batch % 3 + 1 for batch in range(batches))


def test_writers_wait_for_each_other_so_that_positions_are_in_commit_order(engine: Engine, database_url: str) -> None:
    metadata.create_all(engine)
    inside, go_on = threading.Event(), threading.Event()

    def linger(connection: Connection) -> None:
        inside.set()
        assert go_on.wait(30)

    slow, fast = Ledger(engine, Things(linger)), Ledger(engine, Things())
    done: dict[str, Outcome] = {}
    order: list[str] = []

    def run(name: str, ledger: Ledger) -> None:
        done[name] = accepted(ledger.execute([add(name)])[0])
        order.append(name)

    first = threading.Thread(target=run, args=("slow", slow))
    first.start()
    assert inside.wait(30)
    second = threading.Thread(target=run, args=("fast", fast))
    second.start()
    if engine.dialect.name == "postgresql":
        _wait_for_a_waiter(engine)
    go_on.set()
    first.join(30)
    second.join(30)
    assert order == ["slow", "fast"]
    assert (done["slow"].position or 0) < (done["fast"].position or 0)


def _wait_for_a_waiter(engine: Engine) -> None:
    for _ in range(100_000):
        with database.read(engine) as connection:
            if connection.scalar(text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")):
                return
    pytest.fail("the second writer did not wait for the first")


# Group commit equals one by one

_IDS = [f"00000000-0000-7000-8000-{n:012d}" for n in range(40)]
_NAMES = st.sampled_from(["Ada", "Bob", "Cyd", "Dan"])
_THINGS = st.sampled_from(_IDS[:4])
_VERSIONS = st.none() | st.integers(0, 3)
_COMMANDS = st.one_of(
    st.builds(lambda name, thing, version: ("add", name, thing, version), _NAMES, _THINGS, _VERSIONS),
    st.builds(lambda name, thing, version: ("rename", name, thing, version), _NAMES, _THINGS, _VERSIONS),
    st.builds(lambda how: ("break", how, "", None), st.sampled_from(["raise", "row"])),
)
_SCRIPTS = st.lists(st.tuples(st.integers(4, 20), _COMMANDS, st.booleans()), min_size=1, max_size=14)


def _command(id: str, spec: tuple[str, str, str, int | None]) -> PreparedCommand:
    kind, first, thing, version = spec
    if kind == "break":
        return break_down(first, id=id)
    make = add if kind == "add" else rename
    return (
        make(first, thing=thing, id=id, expected_version=version)
        if make is add
        else rename(thing, first, id=id, expected_version=version)
    )


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(script=_SCRIPTS)
def test_group_commit_equals_one_by_one(ledger: Ledger, engine: Engine, script: list[Any]) -> None:
    """Whatever the commands (repeated, reused, stale, failing) and wherever the batches are cut."""
    commands = [_command(_IDS[id], spec) for id, spec, _ in script]
    batches: list[list[PreparedCommand]] = [[]]
    for command, (_, _, cut) in zip(commands, script, strict=True):
        batches[-1].append(command)
        if cut:
            batches.append([])

    together = _history(engine, ledger, batches)
    alone = _history(engine, ledger, [[command] for command in commands])
    assert together == alone


def _history(engine: Engine, ledger: Ledger, batches: list[list[PreparedCommand]]) -> tuple[Any, ...]:
    """Everything that a run of batches leaves in an empty ledger; positions by their rank, since gaps are allowed."""
    with database.write(engine) as connection:
        for table in (schema.events, schema.inbox, things):
            connection.execute(table.delete())
    results = [result for batch in batches for result in ledger.execute(batch)]
    with database.read(engine) as connection:
        events = events_after(connection, 0, 1000)
        rank = {event.position: number for number, event in enumerate(events)}
        inbox = {
            row.command_id: (row.body_hash, _comparable(Outcome.model_validate(row.outcome), rank))
            for row in connection.execute(select(schema.inbox))
        }
        rows = connection.execute(select(things.c.id, things.c.name, things.c.version).order_by(things.c.id)).all()
    return (
        [_comparable(result, rank) for result in results],
        [(e.entity_id, e.version, e.type, e.data, e.causation_id) for e in events],
        inbox,
        [tuple(row) for row in rows],
    )


def _comparable(result: Result, rank: dict[int, int]) -> Any:
    if isinstance(result, Exception):
        return type(result)
    return result.document() | {"position": None if result.position is None else rank[result.position]}


@pytest.fixture
def statements(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The statements run from now on."""
    found: list[str] = []

    def noted(way: Callable[..., Any]) -> Callable[..., Any]:
        def run(connection: Connection, sql: str, *rest: Any) -> Any:
            found.append(sql)
            return way(connection, sql, *rest)

        return run

    event.listen(engine, "before_cursor_execute", lambda c, cursor, statement, *rest: found.append(statement))
    for name in ("fetch", "run", "copy_rows"):
        monkeypatch.setattr(database, name, noted(getattr(database, name)))
    return found


def test_no_statement_is_left_behind_by_a_batch(ledger: Ledger, statements: list[str]) -> None:
    """A batch takes a fixed number of statements, whatever its size: that is what makes it fast."""
    known = [add_one(ledger, f"thing {n}") for n in range(32)]
    statements.clear()
    accepted(ledger.execute([add("one")])[0])
    accepted(ledger.execute([rename(known[0], "two")])[0])
    alone = len(statements)
    statements.clear()
    mixed = [command for n in range(1, 32) for command in (add(f"new {n}"), rename(known[n], f"renamed {n}"))]
    for result in ledger.execute(mixed):
        accepted(result)
    assert 5 < len(statements) < alone


def test_a_name_given_up_in_a_batch_can_be_taken_in_it(ledger: Ledger, engine: Engine) -> None:
    """Whatever order the rows are changed in."""
    first = add_one(ledger, "first")
    results = ledger.execute(
        [add("other"), rename(first, "second"), add("first"), rename(first, "third"), add("second")]
    )
    assert [accepted(result).outcome for result in results] == ["accepted"] * 5
    with database.read(engine) as connection:
        assert set(connection.scalars(select(things.c.name))) == {"other", "first", "second", "third"}
