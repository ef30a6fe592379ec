"""Old events are read as if written today, while the record keeps them as they were."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine, select
from tunebus.services.platform import database, ledger, schema
from tunebus.services.platform.ledger import Ledger, events_after, load_streams
from tunebus.services.platform.upcasters import Data, Upcasters

from tests.fixtures.things import THING, add


@pytest.fixture
def upcasters(monkeypatch: pytest.MonkeyPatch) -> Upcasters:
    """What a thing's history would need had its name been split twice since."""
    found = Upcasters()

    @found.register("ThingAdded", 1)
    def split(data: Data) -> Data:
        first, _, last = data["name"].partition(" ")
        return {"first": first, "last": last}

    @found.register("ThingAdded", 2)
    def nest(data: Data) -> Data:
        return {"name": dict(data)}

    monkeypatch.setattr(ledger, "UPCASTERS", found)
    return found


def test_an_old_event_is_read_in_its_newest_form(ledger: Ledger, engine: Engine, upcasters: Upcasters) -> None:
    ledger.execute([add("Ada Lovelace")])
    with database.read(engine) as connection:
        event = events_after(connection, 0, 1)[0]
        assert (event.schema_version, event.data) == (3, {"name": {"first": "Ada", "last": "Lovelace"}})
        assert load_streams(connection, [(THING, event.entity_id)]) == {(THING, event.entity_id): [event]}
        kept = connection.execute(select(schema.events.c.schema_version, schema.events.c.data)).one()
    assert tuple(kept) == (1, {"name": "Ada Lovelace"})


def test_other_types_and_newer_versions_pass_unchanged(upcasters: Upcasters) -> None:
    assert upcasters.upcast("ThingRenamed", 1, {"name": "x"}) == (1, {"name": "x"})
    assert upcasters.upcast("ThingAdded", 2, {"first": "x"}) == (3, {"name": {"first": "x"}})
    assert upcasters.upcast("ThingAdded", 3, {"name": {}}) == (3, {"name": {}})


def test_a_step_is_registered_once(upcasters: Upcasters) -> None:
    with pytest.raises(ValueError, match="has an upcaster already"):
        upcasters.register("ThingAdded", 1)(dict)
