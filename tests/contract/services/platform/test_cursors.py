"""The relay's cursor."""

from __future__ import annotations

from sqlalchemy import Engine
from tunebus.services.platform import cursors, database
from tunebus.services.platform.cursors import RelayCursor


def test_the_relay_remembers_where_it_was(engine: Engine) -> None:
    with database.write(engine) as connection:
        assert cursors.relay_cursor(connection, "EVENTS") is None
        cursors.move_relay(connection, "EVENTS", 10, 8)
        cursors.move_relay(connection, "EVENTS", 20, 17)
    with database.read(engine) as connection:
        assert cursors.relay_cursor(connection, "EVENTS") == RelayCursor(20, 17)
        assert cursors.relay_cursor(connection, "OTHER") is None
