"""Writes the record as one JSON document (see `document`), in bounded memory, as of one moment. It changes nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

from sqlalchemy import Connection, func, select
from tunebus.contracts import strictjson
from tunebus.contracts.identifiers import timestamp
from tunebus.projections.tables import PROJECTIONS
from tunebus.services.platform.ledger import last_position
from tunebus.services.platform.schema import events
from tunebus.services.registry.document import FORMAT, VERSION, Chain

BATCH = 500


@dataclass(frozen=True)
class Written:
    """What a document holds. `position` is that of its newest event."""

    position: int
    events: int
    bytes: int
    sha256: str


def write(
    connection: Connection,
    file: BinaryIO,
    *,
    studio: str,
    projections: bool = False,
    report: Callable[[int, int | None], None] = lambda _done, _total: None,
) -> Written:
    """Write everything that `connection`'s reading transaction sees; `report` is told how many events of how many."""
    count = connection.scalar(select(func.count()).select_from(events)) or 0
    position = last_position(connection)
    header = {
        "format": FORMAT,
        "version": VERSION,
        "exported_at": timestamp(),
        "studio": studio,
        "position": position,
        "count": count,
    }
    out = _Counted(file)
    chain = Chain()
    out.write(strictjson.dumps(header)[:-1] + b',\n"events":[')
    written = 0
    for event in _events(connection):
        line = strictjson.canonical(event)
        out.write(b'%s\n%s,"hash":"%s"}' % (b"," if written else b"", line[:-1], chain.add(line).encode()))
        written += 1
        if written % BATCH == 0:
            report(written, count)
    out.write(b"\n]")
    if projections:
        _write_projections(connection, out, chain)
    out.write(b',\n"hash":"%s"}\n' % chain.add(strictjson.canonical(header)).encode())
    report(written, count)
    return Written(position, written, out.size, out.digest.hexdigest())


def _events(connection: Connection) -> Iterator[dict[str, Any]]:
    """Every event as it was recorded: older schema versions stay what they are."""
    position = 0
    while True:
        rows = connection.execute(
            select(events).where(events.c.position > position).order_by(events.c.position).limit(BATCH)
        ).all()
        for row in rows:
            event = row._asdict()
            event["aggregate"], _, event["entity_id"] = event.pop("stream_id").partition("/")
            yield event
        if not rows:
            return
        position = rows[-1].position


def _write_projections(connection: Connection, out: _Counted, chain: Chain) -> None:
    out.write(b',\n"projections":{')
    for number, table in enumerate(PROJECTIONS):
        out.write(b"%s\n%s:[" % (b"," if number else b"", strictjson.dumps(table.name)))
        rows = connection.execute(select(table).order_by(*table.primary_key).execution_options(yield_per=BATCH))
        for at, row in enumerate(rows):
            document = row._asdict()
            chain.add(strictjson.canonical({"row": document, "table": table.name}))
            out.write((b",\n" if at else b"\n") + strictjson.dumps(document))
        out.write(b"]")
    out.write(b"\n}")


class _Counted:
    """A file that is written to once, with its size and its hash."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.size = 0
        self.digest = hashlib.sha256()

    def write(self, data: bytes) -> None:
        self._file.write(data)
        self.digest.update(data)
        self.size += len(data)
