"""Takes a staged document's events into the record: all that fits, in one transaction, with everything left out named.

An entity is taken whole or not at all. What is here already is known by its events' ids; a name that another entity has
here, and what depends on the entity that wanted it, stay out. Jobs that had not ended are held until somebody releases
them.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, select
from sqlalchemy.exc import DataError, IntegrityError
from tunebus.contracts.envelope import CommandEnvelope
from tunebus.contracts.errors import Code, fail
from tunebus.contracts.events import JobHeld, LeftOut, RecordedEvent
from tunebus.contracts.identifiers import new_id, timestamp
from tunebus.contracts.subjects import ADAPTER, CONFIG, DATABASE, DATASET, FINE_TUNING_JOB, MODEL, PROMPT
from tunebus.projections import tables
from tunebus.projections.fold import Fold
from tunebus.services.platform.decisions import Restore
from tunebus.services.platform.ledger import last_position, stream_id
from tunebus.services.platform.schema import events
from tunebus.services.platform.upcasters import UPCASTERS
from tunebus.services.registry.progress import Report
from tunebus.services.registry.transfer import Imported

IMPORTED = "imported"
BATCH = 2000
LOOKED_UP = 500
NAMED = 100  # entities left out, or without their files, that the event names; the others are only counted

_PLAN = """
DROP TABLE IF EXISTS plan;
CREATE TABLE plan (stream TEXT PRIMARY KEY, id TEXT NOT NULL, aggregate TEXT NOT NULL, last INTEGER NOT NULL,
    here INTEGER NOT NULL DEFAULT 0, there INTEGER NOT NULL DEFAULT 0, fate TEXT NOT NULL DEFAULT 'take', reason TEXT);
INSERT INTO plan (stream, id, aggregate, last)
    SELECT stream, substr(stream, instr(stream, '/') + 1), substr(stream, 1, instr(stream, '/') - 1), max(version)
    FROM events GROUP BY stream;
CREATE INDEX plan_id ON plan (id);
DROP TABLE IF EXISTS taken_names;
CREATE TABLE taken_names (space TEXT, key TEXT, owner TEXT, PRIMARY KEY (space, key, owner)) WITHOUT ROWID;
"""
# `here` is the newest version of the entity in this record, `there` how many of the document's events it has already.
_NAMES_IN_THE_WAY = """
SELECT n.stream, n.space, n.shown FROM names n JOIN taken_names t ON t.space = n.space AND t.key = n.key
    JOIN plan p ON p.stream = n.stream LEFT JOIN plan o ON o.stream = t.owner
WHERE p.fate = 'take' AND t.owner <> n.stream AND coalesce(o.fate, '') <> 'take'
    AND NOT EXISTS (SELECT 1 FROM needs w WHERE (w.stream, w.other) IN ((n.stream, t.owner), (t.owner, n.stream)))
"""
_DEPENDENTS = """
SELECT p.stream, culprit.aggregate, culprit.stream FROM plan culprit
    JOIN mentions m ON m.id = culprit.id JOIN plan p ON p.stream = m.stream
WHERE culprit.fate = 'out' AND culprit.here = 0 AND p.fate = 'take' AND p.aggregate <> ?
"""


class StagedImport:
    """The `Bulk` of one `ImportDatabase`.

    `busy` is called now and then while it holds up the writer, `ended` when the command has its outcome.
    """

    def __init__(
        self,
        staged: Path,
        facts: dict[str, Any],
        envelope: CommandEnvelope,
        *,
        report: Report,
        busy: Callable[[], None],
        ended: Callable[[], None],
    ) -> None:
        self._staged = staged
        self._document = facts
        self._envelope = envelope
        self._report = report
        self._busy = busy
        self._ended = ended

    def write(self, connection: Connection, restore: Restore) -> Imported:
        """Errors: `invalid` for values that the database refuses; nothing is kept of the document then."""
        with closing(sqlite3.connect(self._staged, isolation_level=None)) as staged:
            staged.executescript("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;" + _PLAN)
            if last_position(connection):
                _compare(connection, staged)
                _find_names(connection, staged)
            _find_missing(connection, staged)
            _settle(staged)
            try:
                added = self._take_in(connection, staged, restore)
                held = self._hold(connection, staged, restore)
            except (DataError, IntegrityError, OverflowError) as error:
                raise fail(
                    Code.INVALID,
                    f"the document's events do not go together, or do not fit the database: {_reason(error)}",
                    param="upload",
                    hint="nothing of it was taken in",
                ) from error
            return self._summed_up(staged, added, held)

    def close(self) -> None:
        self._staged.unlink(missing_ok=True)
        self._ended()

    def _take_in(self, connection: Connection, staged: sqlite3.Connection, restore: Restore) -> int:
        fold = Fold({table: table for table in tables.PROJECTIONS})
        (total,) = staged.execute("SELECT coalesce(sum(last - there), 0) FROM plan WHERE fate = 'take'").fetchone()
        added = 0
        for rows in _batches(
            staged,
            "SELECT e.* FROM events e JOIN plan p ON p.stream = e.stream"
            " WHERE p.fate = 'take' AND e.version > p.there ORDER BY e.n",
        ):
            _append(connection, fold, restore, [_recorded(row) for row in rows])
            added += len(rows)
            self._report(added, total)
            self._busy()
        return added

    def _hold(self, connection: Connection, staged: sqlite3.Connection, restore: Restore) -> int:
        """Hold the jobs that were taken in and had not ended; nobody can have claimed one within this transaction."""
        now = timestamp()
        data = JobHeld(cause=IMPORTED, message="it had not ended when it was exported").model_dump(mode="json")
        fold = Fold({table: table for table in tables.PROJECTIONS})
        held = 0
        for kind, table in tables.JOB_TABLES.items():
            for rows in _batches(
                staged,
                "SELECT p.id FROM plan p JOIN events e ON e.stream = p.stream AND e.version = 1"
                f" WHERE p.fate = 'take' AND p.there < p.last AND p.aggregate = '{kind}' ORDER BY e.n",
                LOOKED_UP,
            ):
                question = (
                    select(table.c.id, table.c.version)
                    .where(table.c.id.in_([id for (id,) in rows]), table.c.state.in_(tables.LIVE_STATES))
                    .order_by(table.c.position)
                )
                waiting = [
                    RecordedEvent(
                        position=0,
                        event_id=new_id(),
                        aggregate=kind,
                        entity_id=row.id,
                        version=row.version + 1,
                        type=JobHeld.__name__,
                        schema_version=JobHeld.schema_version,
                        data=data,
                        recorded_at=now,
                        correlation_id=self._envelope.correlation_id or self._envelope.id,
                        causation_id=self._envelope.id,
                        actor=self._envelope.actor,
                    )
                    for row in connection.execute(question)
                ]
                _append(connection, fold, restore, waiting)
                held += len(waiting)
        return held

    def _summed_up(self, staged: sqlite3.Connection, added: int, held: int) -> Imported:
        skipped, refused, entities = staged.execute(
            "SELECT coalesce(sum(min(there, last)), 0),"
            " coalesce(sum(CASE WHEN fate = 'out' THEN last - there END), 0), count(CASE WHEN fate = 'out' THEN 1 END)"
            " FROM plan"
        ).fetchone()
        left_out = staged.execute(
            "SELECT p.aggregate, p.id, (SELECT shown FROM names n WHERE n.stream = p.stream LIMIT 1), p.last - p.there,"
            " p.reason FROM plan p JOIN events e ON e.stream = p.stream AND e.version = 1 WHERE p.fate = 'out'"
            " ORDER BY e.n LIMIT ?",
            (NAMED,),
        )
        (missing_files,) = staged.execute(
            "SELECT count(*) FROM missing m JOIN plan p ON p.stream = m.stream WHERE p.fate = 'take'"
        ).fetchone()
        missing = staged.execute(
            "SELECT p.aggregate || ' ' || coalesce((SELECT shown FROM names n WHERE n.stream = p.stream LIMIT 1), p.id)"
            " FROM missing m JOIN plan p ON p.stream = m.stream JOIN events e ON e.stream = p.stream AND e.version = 1"
            " WHERE p.fate = 'take' ORDER BY e.n LIMIT ?",
            (NAMED,),
        )
        return Imported(
            sha256=self._document["sha256"],
            studio=self._document["studio"],
            exported_at=self._document["exported_at"],
            events=self._document["events"],
            added=added,
            skipped=skipped,
            refused=refused,
            held=held,
            missing_files=missing_files,
            missing=[name for (name,) in missing],
            left_out_entities=entities,
            left_out=[
                LeftOut(aggregate=aggregate, id=id, name=None if aggregate == CONFIG else name, events=n, reason=reason)
                for aggregate, id, name, n, reason in left_out
            ],
        )


# What to take ---------------------------------------------------------------------------------------------------------


def _compare(connection: Connection, staged: sqlite3.Connection) -> None:
    """Find what is here already: entities by id, their events by id and version."""
    for rows in _batches(staged, "SELECT stream FROM plan", LOOKED_UP):
        streams = [stream for (stream,) in rows]
        here: dict[str, dict[int, str]] = {}
        question = select(events.c.stream_id, events.c.version, events.c.event_id)
        for row in connection.execute(question.where(events.c.stream_id.in_(streams))):
            here.setdefault(row.stream_id, {})[row.version] = row.event_id
        for stream, ours in here.items():
            theirs = dict(staged.execute("SELECT version, event_id FROM events WHERE stream = ?", (stream,)))
            newest, last = max(ours), max(theirs)
            same = next((v - 1 for v in range(1, newest + 1) if ours.get(v) != theirs.get(v)), newest)
            if same == last:
                fate, reason = "there", None
            elif same == newest:
                fate, reason = "take", None
            else:
                fate, reason = "out", f"it is here, but went another way after version {same}"
            staged.execute(
                "UPDATE plan SET here = ?, there = ?, fate = ?, reason = ? WHERE stream = ?",
                (newest, same, fate, reason, stream),
            )
    for rows in _batches(staged, "SELECT event_id, stream FROM events", LOOKED_UP):
        of_document = dict(rows)
        known = select(events.c.event_id, events.c.stream_id).where(events.c.event_id.in_(list(of_document)))
        for event_id, stream in connection.execute(known):
            if stream != of_document[event_id]:
                _leave_out(staged, of_document[event_id], f"its event {event_id} is another entity's here")


def _find_names(connection: Connection, staged: sqlite3.Connection) -> None:
    """Note whose the names are here that the document's entities have, or once had."""
    configs = tables.configs.c
    spaces: list[tuple[str, Any, str]] = [
        (DATASET, tables.datasets.c.name_key, DATASET),
        (MODEL, tables.models.c.name_key, MODEL),
        (PROMPT, tables.prompts.c.name_key, PROMPT),
        (ADAPTER, tables.adapters.c.name_key, ADAPTER),
        (ADAPTER, tables.fine_tuning_jobs.c.adapter_name, FINE_TUNING_JOB),
        (CONFIG, configs.type + " " + configs.sha256, CONFIG),
    ]
    for space, naming, aggregate in spaces:
        table = naming.table if aggregate != CONFIG else tables.configs
        for rows in _batches(staged, f"SELECT DISTINCT key FROM names WHERE space = '{space}'", LOOKED_UP):
            question = select(naming.label("key"), table.c.id).where(naming.in_([key for (key,) in rows]))
            staged.executemany(
                "INSERT OR IGNORE INTO taken_names VALUES (?, ?, ?)",
                [(space, row.key, stream_id(aggregate, row.id)) for row in connection.execute(question)],
            )


def _find_missing(connection: Connection, staged: sqlite3.Connection) -> None:
    """Leave out what is made of things that are neither in the document nor here."""
    question = "SELECT DISTINCT other FROM needs WHERE other NOT IN (SELECT stream FROM plan)"
    for rows in _batches(staged, question, LOOKED_UP):
        wanted = {stream for (stream,) in rows}
        found = connection.scalars(select(events.c.stream_id).where(events.c.stream_id.in_(wanted)).distinct())
        for other in wanted - set(found):
            for (stream,) in staged.execute("SELECT stream FROM needs WHERE other = ?", (other,)).fetchall():
                _leave_out(staged, stream, f"the {_words(other)} it needs is neither here nor in the document")


def _settle(staged: sqlite3.Connection) -> None:
    """Leave out those whose name is taken, and those that depend on what is left out, until nothing changes."""
    while True:
        named = staged.execute(_NAMES_IN_THE_WAY).fetchall()
        for stream, space, name in named:
            taken = f"the name {name!r} is another {space}'s here"
            _leave_out(staged, stream, "an equal config is here under another id" if space == CONFIG else taken)
        dependents = staged.execute(_DEPENDENTS, (DATABASE,)).fetchall()
        for stream, _, culprit in dependents:
            _leave_out(staged, stream, f"it depends on {_words(culprit)}, which was left out")
        if not named and not dependents:
            return


def _leave_out(staged: sqlite3.Connection, stream: str, reason: str) -> None:
    staged.execute("UPDATE plan SET fate = 'out', reason = ? WHERE stream = ? AND fate = 'take'", (reason, stream))


def _words(stream: str) -> str:
    aggregate, _, entity_id = stream.partition("/")
    return f"{aggregate.replace('_', ' ')} {entity_id}"


# Rows -----------------------------------------------------------------------------------------------------------------


def _batches(staged: sqlite3.Connection, question: str, size: int = BATCH) -> Iterator[list[Any]]:
    cursor = staged.execute(question)
    while rows := cursor.fetchmany(size):
        yield rows


def _recorded(row: Sequence[Any]) -> RecordedEvent:
    n, stream, version, event_id, type, schema_version, data, correlation, causation, actor, meta, recorded_at = row
    aggregate, _, entity_id = stream.partition("/")
    return RecordedEvent(
        n,
        event_id,
        aggregate,
        entity_id,
        version,
        type,
        schema_version,
        json.loads(data),
        recorded_at,
        correlation,
        causation,
        actor,
        json.loads(meta),
    )


def _append(connection: Connection, fold: Fold, restore: Restore, recorded: Sequence[RecordedEvent]) -> None:
    """Append events as they were recorded, and fold them into the live rows as they are read today."""
    if recorded:
        fold.add(connection, map(_upcast, restore(recorded)))
        fold.write(connection)


def _upcast(event: RecordedEvent) -> RecordedEvent:
    schema_version, data = UPCASTERS.upcast(event.type, event.schema_version, event.data)
    return event._replace(schema_version=schema_version, data=data)


def _reason(error: Exception) -> str:
    return str(getattr(error, "orig", error)).strip().split("\n")[0][:200]
