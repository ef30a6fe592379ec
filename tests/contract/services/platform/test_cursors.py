"""The relay's cursor, the versions of projections and the studio's own facts."""

from __future__ import annotations

from sqlalchemy import Engine
from tunebus.services.platform import cursors, database, studio
from tunebus.services.platform.cursors import ProjectionCursor, RelayCursor


def test_the_relay_remembers_where_it_was(engine: Engine) -> None:
    with database.write(engine) as connection:
        assert cursors.relay_cursor(connection, "EVENTS") is None
        cursors.move_relay(connection, "EVENTS", 10, 8)
        cursors.move_relay(connection, "EVENTS", 20, 17)
    with database.read(engine) as connection:
        assert cursors.relay_cursor(connection, "EVENTS") == RelayCursor(20, 17)
        assert cursors.relay_cursor(connection, "OTHER") is None


def test_a_projection_is_rebuilt_beside_the_live_version(engine: Engine) -> None:
    with database.write(engine) as connection:
        assert cursors.live_projection(connection, "datasets") is None
        cursors.set_projection(connection, "datasets", 1, 90, "live")
        cursors.set_projection(connection, "datasets", 2, 0, "building")
        cursors.set_projection(connection, "datasets", 2, 64, "building")
        assert cursors.live_projection(connection, "datasets") == ProjectionCursor("datasets", 1, 90, "live")
        cursors.set_projection(connection, "datasets", 2, 90, "live")
        cursors.remove_projection(connection, "datasets", 1)
        cursors.set_projection(connection, "models", 1, 3, "live")
    with database.read(engine) as connection:
        assert cursors.live_projection(connection, "datasets") == ProjectionCursor("datasets", 2, 90, "live")
        assert [found.name for found in cursors.projection_versions(connection)] == ["datasets", "models"]
        assert [found.version for found in cursors.projection_versions(connection, "datasets")] == [2]


def test_facts_are_any_json(engine: Engine) -> None:
    with database.write(engine) as connection:
        assert studio.get_fact(connection, "namespace") is None
        studio.set_fact(connection, "namespace", "night")
        studio.set_fact(connection, "namespace", {"name": "day", "since": [1, None]})
    with database.read(engine) as connection:
        assert studio.get_fact(connection, "namespace") == {"name": "day", "since": [1, None]}
