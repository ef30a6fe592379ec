"""How far others have come in the record: the relay on its way to the bus, and each version of each projection."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sqlalchemy import Connection, select
from tunebus.services.platform.schema import projections, relay

Status = Literal["building", "live", "retired"]


@dataclass(frozen=True)
class RelayCursor:
    """The last position published and the stream sequence it got. Only a cache: the stream itself knows better."""

    position: int = 0
    stream_seq: int = 0


@dataclass(frozen=True)
class ProjectionCursor:
    """One version of a projection: how far it has come and whether readers are sent to it."""

    name: str
    version: int
    position: int
    status: Status


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


def projection_versions(connection: Connection, name: str | None = None) -> list[ProjectionCursor]:
    """Every version kept of one projection, or of all, oldest first."""
    query = select(projections).order_by(projections.c.name, projections.c.version)
    if name is not None:
        query = query.where(projections.c.name == name)
    return [ProjectionCursor(*row) for row in connection.execute(query)]


def live_projection(connection: Connection, name: str) -> ProjectionCursor | None:
    """The version that readers are sent to."""
    live = [found for found in projection_versions(connection, name) if found.status == "live"]
    return live[-1] if live else None


def set_projection(connection: Connection, name: str, version: int, position: int, status: Status) -> None:
    """Write down a version's position and status, making its row when it is not there."""
    of_version = (projections.c.name == name, projections.c.version == version)
    moved = connection.execute(projections.update().where(*of_version).values(position=position, status=status))
    if moved.rowcount == 0:
        connection.execute(projections.insert().values(name=name, version=version, position=position, status=status))


def remove_projection(connection: Connection, name: str, version: int) -> None:
    connection.execute(projections.delete().where(projections.c.name == name, projections.c.version == version))
