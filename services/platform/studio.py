"""The studio's own facts by key, such as the namespace it was set up for. Not domain history: that is events."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, select
from tunebus.services.platform.schema import meta


def get_fact(connection: Connection, key: str) -> Any:
    """The JSON value of a fact, or None."""
    return connection.scalar(select(meta.c.value).where(meta.c.key == key))


def set_fact(connection: Connection, key: str, value: Any) -> None:
    changed = connection.execute(meta.update().where(meta.c.key == key).values(value=value))
    if changed.rowcount == 0:
        connection.execute(meta.insert().values(key=key, value=value))
