"""Leases: one attempt holds a job, an older one can do nothing, and only the reaper ends what nobody renewed."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import IntegrityError
from tunebus.contracts.envelope import Outcome
from tunebus.services.platform import database, leases
from tunebus.services.platform.decisions import Accepted, PreparedCommand
from tunebus.services.platform.leases import Lease
from tunebus.services.platform.ledger import Ledger

from tests.fixtures.things import Things, add, metadata


def test_a_lease_is_taken_renewed_and_released(engine: Engine) -> None:
    with database.write(engine) as connection:
        assert leases.acquire(connection, "job", 1, "ann", 30.0)
        assert leases.get(connection, "job") == Lease("job", 1, "ann", 30.0)
        assert leases.renew(connection, "job", 1, "ann", 60.0)
        assert leases.get(connection, "job") == Lease("job", 1, "ann", 60.0)
        assert leases.release(connection, "job", 1)
        assert leases.get(connection, "job") is None
        assert not leases.release(connection, "job", 1)


def test_a_newer_attempt_fences_an_older_one(engine: Engine) -> None:
    with database.write(engine) as connection:
        assert leases.acquire(connection, "job", 1, "ann", 30.0)
        assert leases.acquire(connection, "job", 2, "bob", 40.0)
        assert not leases.acquire(connection, "job", 1, "ann", 99.0)
        assert not leases.acquire(connection, "job", 2, "cyd", 99.0)
        assert not leases.renew(connection, "job", 1, "ann", 99.0)
        assert not leases.renew(connection, "job", 2, "ann", 99.0), "the attempt is bob's"
        assert not leases.renew(connection, "job", 1, "bob", 99.0), "bob's own older attempt"
        assert not leases.release(connection, "job", 1)
        assert leases.get(connection, "job") == Lease("job", 2, "bob", 40.0)


def test_expired_leases_are_found_until_renewed(engine: Engine) -> None:
    with database.write(engine) as connection:
        for job, ends in (("a", 10.0), ("b", 5.0), ("c", 20.0)):
            leases.acquire(connection, job, 1, "ann", ends)
        assert [lease.job_id for lease in leases.expired(connection, 10.5)] == ["b", "a"]
        assert leases.renew(connection, "b", 1, "ann", 50.0), "late, but nobody took it away"
        assert [lease.job_id for lease in leases.expired(connection, 10.5)] == ["a"]


class Claiming(Things):
    """Adds a thing and takes its lease in one decision."""

    def __init__(self, attempt: int, release: bool = False) -> None:
        super().__init__()
        self._attempt, self._release = attempt, release

    def open(self, connection: Connection, commands: Any) -> Any:
        batch = super().open(connection, commands)
        decide = batch.decide

        def claim(command: PreparedCommand) -> Any:
            decision = decide(command)
            assert isinstance(decision, Accepted)
            changes = leases.acquired("job", self._attempt, command.envelope.data["name"], 30.0)
            return Accepted(
                decision.events,
                id=decision.id,
                changes=[leases.released("job", self._attempt)] if self._release else changes,
            )

        batch.decide = claim  # type: ignore[method-assign]
        return batch


def test_a_lease_commits_with_the_events_of_its_decision(engine: Engine) -> None:
    metadata.create_all(engine)
    assert isinstance(Ledger(engine, Claiming(1)).execute([add("ann")])[0], Outcome)
    assert isinstance(Ledger(engine, Claiming(2)).execute([add("bob")])[0], Outcome)
    with database.read(engine) as connection:
        assert leases.get(connection, "job") == Lease("job", 2, "bob", 30.0)

    stale = Ledger(engine, Claiming(1)).execute([add("cyd")])[0]
    assert isinstance(stale, IntegrityError), "a claim that would overtake a newer attempt is a bug, not an outcome"

    Ledger(engine, Claiming(1, release=True)).execute([add("dan")])
    with database.read(engine) as connection:
        assert leases.get(connection, "job") == Lease("job", 2, "bob", 30.0)
    Ledger(engine, Claiming(2, release=True)).execute([add("eve")])
    with database.read(engine) as connection:
        assert leases.get(connection, "job") is None


@pytest.mark.parametrize("attempt", [1, 3])
def test_several_claims_of_one_batch_leave_the_last(engine: Engine, attempt: int) -> None:
    metadata.create_all(engine)
    Ledger(engine, Claiming(attempt)).execute([add("ann")])
    with database.read(engine) as connection:
        held = leases.get(connection, "job")
    assert held is not None
    assert held.attempt == attempt
