"""How far the relay has come in the record on its way to the bus."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, select
from tunebus.services.platform.schema import relay


@dataclass(frozen=True)
class RelayCursor:
    """The last position published and the stream sequence it got. Only a cache: the stream itself knows better."""

    position: int = 0
    stream_seq: int = 0


def relay_cursor(connection: Connection, name: str) -> RelayCursor | None:
    """Where the relay called `name` (its stream) stands; None before its first move."""
    row = connection.execute(select(relay.c.position, relay.c.stream_seq).where(relay.c.name == name)).one_or_none()
    return RelayCursor(row.position, row.stream_seq) if row else None


def move_relay(connection: Connection, name: str, position: int, stream_seq: int) -> None:
    """Set the cursor, making it when it is not there."""
    moved = connection.execute(
        relay.update().where(relay.c.name == name).values(position=position, stream_seq=stream_seq)
    )
    if moved.rowcount == 0:
        connection.execute(relay.insert().values(name=name, position=position, stream_seq=stream_seq))
