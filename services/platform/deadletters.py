"""Messages that nobody could handle, kept whole, with the reason, until somebody looks at them or sends them again.

A dead letter is recorded before its message is terminated, so nothing is dropped silently.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from sqlalchemy import Connection, Row, select
from sqlalchemy.dialects import postgresql, sqlite
from tunebus.contracts.identifiers import timestamp
from tunebus.contracts.texts import storable
from tunebus.services.platform.schema import dead_letters


@dataclass(frozen=True)
class DeadLetter:
    id: int
    stream: str
    seq: int
    subject: str
    data: bytes
    reason: str
    seen_at: str
    headers: Mapping[str, str] = field(default_factory=dict)
    consumer: str | None = None
    resent_at: str | None = None


def record(
    connection: Connection,
    *,
    stream: str,
    seq: int,
    subject: str,
    data: bytes,
    reason: str,
    headers: Mapping[str, str] | None = None,
    consumer: str | None = None,
) -> int:
    """Keep a message and return its id. The same message of the same stream and sequence is kept once."""
    stream, subject, reason = storable(stream), storable(subject), storable(reason)
    digest = hashlib.sha256(subject.encode() + b"\0" + data).hexdigest()
    same = (dead_letters.c.stream == stream, dead_letters.c.seq == seq, dead_letters.c.digest == digest)
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    connection.execute(
        insert(dead_letters)
        .values(
            stream=stream,
            seq=seq,
            digest=digest,
            consumer=storable(consumer) if consumer is not None else None,
            subject=subject,
            headers={storable(name): storable(value) for name, value in (headers or {}).items()},
            data=data,
            reason=reason,
            seen_at=timestamp(),
        )
        .on_conflict_do_nothing(index_elements=["stream", "seq", "digest"])
    )
    return int(connection.scalars(select(dead_letters.c.id).where(*same)).one())


def get(connection: Connection, id: int) -> DeadLetter | None:
    row = connection.execute(select(dead_letters).where(dead_letters.c.id == id)).one_or_none()
    return _dead_letter(row) if row else None


def mark_resent(connection: Connection, id: int) -> bool:
    """Note that a dead letter was sent again. False when there is none of that id."""
    marked = connection.execute(dead_letters.update().where(dead_letters.c.id == id).values(resent_at=timestamp()))
    return marked.rowcount == 1


def _dead_letter(row: Row[tuple[object, ...]]) -> DeadLetter:
    values = dict(row._mapping)
    del values["digest"]
    values["data"] = bytes(values["data"])
    return DeadLetter(**values)
