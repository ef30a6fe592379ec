"""The record: one transaction takes a batch of commands to their outcomes, events and inline projections.

It knows no aggregate and no projection's table (see `decisions`), publishes nothing and waits for nobody.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

from sqlalchemy import Connection, Engine, Table, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.sql import Executable
from tunebus.contracts.envelope import Outcome
from tunebus.contracts.errors import Code, Problem, TunebusError
from tunebus.contracts.events import RecordedEvent
from tunebus.contracts.identifiers import new_id, timestamp
from tunebus.contracts.subjects import AGGREGATES
from tunebus.services.platform import database
from tunebus.services.platform.decisions import (
    Batch,
    Bulk,
    Change,
    Decision,
    Domain,
    NewEvent,
    PreparedCommand,
    Rejected,
)
from tunebus.services.platform.schema import events, inbox
from tunebus.services.platform.upcasters import UPCASTERS

Result = Outcome | Exception
Stream = tuple[str, str]  # (aggregate, entity id)
Parameters = Sequence[Any]

ATTEMPTS = 3  # how often a lone command is decided when another writer was first
_WORTH_COPYING = 4  # rows: COPY takes a quarter of the time of as many inserts, and a round trip more than one


class Ledger:
    """Where commands become outcomes. Safe to share between threads: writers take turns."""

    def __init__(self, engine: Engine, domain: Domain) -> None:
        self._engine = engine
        self._domain = domain
        self._turn = threading.Lock()  # cheaper than polling for SQLite's lock

    def execute(self, commands: Sequence[PreparedCommand]) -> list[Result]:
        """Decide a batch in order and commit once; each result stands where its command stood.

        An `Outcome` is kept for ever and given again to a retry; rejections are outcomes. An exception stands for a
        command whose decision raised or whose rows the database refused: nothing of it is kept, so it may be tried
        again, and the others of its batch are done. Raises `DatabaseError` (`disk_full`, `unavailable`) when nothing
        of the batch was kept.
        """
        if not commands:
            return []
        if any(command.bulk for command in commands):
            return [result for run in _runs(commands) for result in self._execute_run(run)]
        with self._turn:
            try:
                with database.write(self._engine) as connection:
                    return list(_Transaction(connection, in_batch=True).execute(self._domain, commands))
            except database.DatabaseError:
                raise
            except Exception:
                with database.write(self._engine) as connection:
                    return [self._alone(connection, command) for command in commands]

    def outcome(self, command_id: str) -> tuple[str, Outcome] | None:
        """The body hash and the outcome kept for a command id, or None when it was not handled."""
        with database.read(self._engine) as connection:
            row = connection.execute(
                select(inbox.c.body_hash, inbox.c.outcome).where(inbox.c.command_id == command_id)
            ).one_or_none()
        return (row.body_hash, Outcome.model_validate(row.outcome)) if row else None

    def _execute_run(self, commands: Sequence[PreparedCommand]) -> list[Result]:
        """Commands without bulk, or one command with it: in a transaction of its own, and undone as a whole."""
        bulk = commands[0].bulk
        if bulk is None:
            return self.execute(commands)
        result: Result
        try:
            with self._turn, database.write(self._engine) as connection:
                result = _Transaction(connection, in_batch=False).execute_bulk(self._domain, commands[0], bulk)
        except database.DatabaseError:
            raise
        except TunebusError as error:
            result = self.execute([replace(commands[0], bulk=None, rejection=error.problem)])[0]
        except Exception as error:
            result = error
        bulk.close()
        return [result]

    def _alone(self, connection: Connection, command: PreparedCommand) -> Result:
        """Decide one command in a savepoint of its own, so that its failure is nobody else's."""
        failure: Exception | None = None
        for _ in range(ATTEMPTS):
            savepoint = connection.begin_nested()
            try:
                outcome = _Transaction(connection, in_batch=False).execute(self._domain, [command])[0]
                savepoint.commit()
                return outcome
            except Exception as error:
                if isinstance(error, database.DatabaseError) or database.explain(error):
                    # A full disk ends the whole transaction on SQLite, savepoints and all. Going on would commit what
                    # follows piece by piece, and report what came before as done.
                    raise
                savepoint.rollback()
                failure = error
            if not isinstance(failure, IntegrityError):  # else perhaps a race: decide on what is there now
                break
        assert failure is not None
        return failure


class _Transaction:
    """One batch within an open transaction: decided in memory, written at the end with a statement per table.

    In a batch, a command that creates is trusted to name a new stream. Should it not be new, the unique constraint on
    (stream, version) fails the batch, and alone the version is looked up.
    """

    def __init__(self, connection: Connection, *, in_batch: bool) -> None:
        database.lock_ledger(connection)
        self._connection = connection
        self._sql = _sql(connection.dialect.name)
        self._in_batch = in_batch
        self._now = timestamp()
        self._position: int | None = None
        self._versions: dict[Stream, int] = {}
        self._event_rows: list[Parameters] = []
        self._inbox_rows: list[Parameters] = []
        self._changes: list[Change] = []

    def execute(self, domain: Domain, commands: Sequence[PreparedCommand]) -> list[Outcome]:
        handled = self._handled([command.envelope.id for command in commands])
        fresh: dict[str, PreparedCommand] = {}
        for command in commands:
            if command.envelope.id not in handled:
                fresh.setdefault(command.envelope.id, command)
        undecided = [command for command in fresh.values() if command.rejection is None]
        view = domain.open(self._connection, undecided) if undecided else None
        streams = {command.envelope.id: view.stream_of(command) for command in undecided} if view else {}
        self._load_versions({stream for stream in streams.values() if stream is not None})
        outcomes = []
        for command in commands:
            command_id, body_hash = command.envelope.id, command.envelope.body_hash
            if command_id in handled:
                kept_hash, outcome = handled[command_id]
                if kept_hash != body_hash:
                    outcome = _rejected(command_id, _REUSED)
            else:
                outcome = self._handle(view, command, streams.get(command_id))
                handled[command_id] = body_hash, outcome
                self._inbox_rows.append((command_id, body_hash, outcome.text, outcome.position, self._now))
            outcomes.append(outcome)
        self._write()
        return outcomes

    def execute_bulk(self, domain: Domain, command: PreparedCommand, bulk: Bulk) -> Outcome:
        if not self._handled([command.envelope.id]):
            command = replace(command, facts=bulk.write(self._connection, self._restore))
        return self.execute(domain, [command])[0]

    def _restore(self, events: Sequence[RecordedEvent]) -> Sequence[RecordedEvent]:
        """Append events of another record, in this order, under their own ids and versions."""
        first = self._next_position(len(events))
        restored = [event._replace(position=first + number) for number, event in enumerate(events)]
        self._insert(self._sql.events, [_row(event) for event in restored])
        return restored

    def _next_position(self, count: int = 1) -> int:
        """The first of so many positions, which are taken by it."""
        if self._position is None:
            found = database.fetch(self._connection, self._sql.last_position)
            self._position = int(found[0][0] or 0) if found else 0
        self._position += count
        return self._position - count + 1

    def _handle(self, view: Batch | None, command: PreparedCommand, stream: Stream | None) -> Outcome:
        command_id = command.envelope.id
        if view is None or command.rejection is not None:
            assert command.rejection is not None
            return _rejected(command_id, command.rejection)
        decision = self._decide(view, command, stream)
        if isinstance(decision, Rejected):
            return _rejected(command_id, decision.problem)
        recorded = [self._append(command, event, stream) for event in decision.events]
        self._changes.extend(decision.changes)
        if recorded:
            self._changes.extend(view.record(recorded))
        of_entity = [event for event in recorded if event.entity_id == decision.id] or recorded
        return Outcome(
            command_id=command_id,
            outcome="accepted",
            id=decision.id,
            ids=list(decision.ids) if decision.ids is not None else None,
            version=of_entity[-1].version if of_entity else self._versions.get(stream) if stream else None,
            position=recorded[-1].position if recorded else None,
        )

    def _decide(self, view: Batch, command: PreparedCommand, stream: Stream | None) -> Decision:
        expected = command.envelope.expected_version
        current = self._versions[stream] if stream is not None else 0
        if expected is None or expected == current:
            return view.decide(command)
        if current == 0:  # there is no such entity, and the domain says so better than a number does
            decision = view.decide(command)
            if isinstance(decision, Rejected):
                return decision
        return Rejected(
            Problem(
                code=Code.CONFLICT,
                message=f"expected version {expected}, but it is at {current}",
                param="expectedversion",
                hint="look at what changed and decide again, with a new command id",
            )
        )

    def _append(self, command: PreparedCommand, event: NewEvent, stream_of_command: Stream | None) -> RecordedEvent:
        stream = event.aggregate, event.entity_id
        if stream not in self._versions:
            if self._in_batch and stream_of_command is None:
                self._versions[stream] = 0
            else:
                self._load_versions([stream])
        self._versions[stream] += 1
        envelope = command.envelope
        recorded = RecordedEvent(
            position=self._next_position(),
            event_id=new_id(),
            aggregate=event.aggregate,
            entity_id=event.entity_id,
            version=self._versions[stream],
            type=event.type,
            schema_version=event.schema_version,
            data=event.data,
            recorded_at=self._now,
            correlation_id=envelope.correlation_id or envelope.id,
            causation_id=envelope.id,
            actor=envelope.actor,
            meta=command.meta,
        )
        self._event_rows.append(_row(recorded))
        return recorded

    def _handled(self, command_ids: Sequence[str]) -> dict[str, tuple[str, Outcome]]:
        """What the inbox holds of these commands."""
        rows = database.fetch(self._connection, *self._sql.in_list(self._sql.handled, command_ids))
        return {row[0]: (row[1], Outcome.model_validate(_parsed(row[2]))) for row in rows}

    def _load_versions(self, streams: Iterable[Stream]) -> None:
        by_id = {stream_id(*stream): stream for stream in streams}
        if not by_id:
            return
        self._versions.update(dict.fromkeys(by_id.values(), 0))
        for id, version in database.fetch(self._connection, *self._sql.in_list(self._sql.versions, list(by_id))):
            self._versions[by_id[id]] = version or 0

    def _write(self) -> None:
        if self._event_rows:
            self._insert(self._sql.events, self._event_rows)
        if self._position is not None and self._sql.advance is not None:
            database.fetch(self._connection, self._sql.advance, (self._position,))
        for statement, parameters in grouped(self._changes):
            self._connection.execute(statement, parameters if len(parameters) > 1 else parameters[0])
        if self._inbox_rows:
            self._insert(self._sql.inbox, self._inbox_rows)

    def _insert(self, into: _Insertion, rows: Sequence[Parameters]) -> None:
        if into.copy is not None and len(rows) >= _WORTH_COPYING:
            database.copy_rows(self._connection, into.copy, rows)
        else:
            database.run(self._connection, into.insert, rows)


def _row(event: RecordedEvent) -> Parameters:
    """An event as the statement that inserts it wants it."""
    return (
        event.position,
        event.event_id,
        stream_id(event.aggregate, event.entity_id),
        event.version,
        event.type,
        event.schema_version,
        _dumps(event.data),
        event.correlation_id,
        event.causation_id,
        event.actor,
        _dumps(event.meta),
        event.recorded_at,
    )


def _runs(commands: Sequence[PreparedCommand]) -> list[list[PreparedCommand]]:
    """Commands in order, each with bulk by itself."""
    runs: list[list[PreparedCommand]] = []
    for command in commands:
        if runs and command.bulk is None and runs[-1][0].bulk is None:
            runs[-1].append(command)
        else:
            runs.append([command])
    return runs


def grouped(changes: Iterable[Change]) -> list[tuple[Executable, list[Mapping[str, Any]]]]:
    """The fewest `executemany` runs that keep the order of what is done to a row, and to tables tied by foreign keys.

    Should a change take a unique value that one to another row gives up, it may now come first. Then the constraint
    fails the batch, and its commands are done one by one.
    """
    runs: list[_Run] = []
    for change in changes:
        table, row_key = getattr(change.statement, "table", None), change.row_key
        for run in reversed(runs):
            if run.key == change.key:
                break
            if run.precedes(table, row_key):
                runs.append(run := _Run(change.key, table, change.statement))
                break
        else:
            runs.append(run := _Run(change.key, table, change.statement))
        run.parameters.append(change.parameters)
        run.row_keys.add(row_key)
    return [(run.statement, run.parameters) for run in runs]


@dataclass(eq=False, slots=True)
class _Run:
    """Changes of one key, and the rows that they touch."""

    key: Hashable
    table: Table | None
    statement: Executable
    parameters: list[Mapping[str, Any]] = field(default_factory=list)
    row_keys: set[Hashable] = field(default_factory=set)

    def precedes(self, table: Table | None, row_key: Hashable) -> bool:
        """Whether a change to that row must come after this run."""
        if table is not None and table is self.table:
            return row_key in self.row_keys
        return _tied(table, self.table)


@cache
def _tied(one: Table | None, other: Table | None) -> bool:
    """Whether the order of changes to two tables matters; always, where a statement does not tell its table."""
    if one is None or other is None:
        return True
    return any(key.column.table is other for key in one.foreign_keys) or any(
        key.column.table is one for key in other.foreign_keys
    )


# Reading ------------------------------------------------------------------------------------------------------------


def stream_id(aggregate: str, entity_id: str) -> str:
    return f"{aggregate}/{entity_id}"


def events_after(
    connection: Connection,
    position: int,
    limit: int,
    *,
    aggregate: str | None = None,
    entity_id: str | None = None,
    type: str | None = None,
) -> list[RecordedEvent]:
    """Up to `limit` events after a position, in order, upcast; only one aggregate's, entity's or type's if named."""
    query = select(events).where(events.c.position > position).order_by(events.c.position).limit(limit)
    if entity_id is not None:
        aggregates = AGGREGATES if aggregate is None else (aggregate,)
        query = query.where(events.c.stream_id.in_([stream_id(name, entity_id) for name in aggregates]))
    elif aggregate is not None:
        query = query.where(events.c.stream_id.startswith(stream_id(aggregate, ""), autoescape=True))
    if type is not None:
        query = query.where(events.c.type == type)
    return [_recorded(row) for row in connection.execute(query)]


def load_streams(connection: Connection, streams: Iterable[Stream]) -> dict[Stream, list[RecordedEvent]]:
    """The events of several entities, each in order of version; an empty list for one that never was."""
    found: dict[Stream, list[RecordedEvent]] = {stream: [] for stream in streams}
    query = (
        select(events)
        .where(events.c.stream_id.in_([stream_id(*stream) for stream in found]))
        .order_by(events.c.position)
    )
    for row in connection.execute(query) if found else ():
        event = _recorded(row)
        found[event.aggregate, event.entity_id].append(event)
    return found


def last_position(connection: Connection) -> int:
    """The position of the newest event; 0 when there is none."""
    return connection.scalar(select(func.max(events.c.position))) or 0


def _recorded(row: Sequence[Any]) -> RecordedEvent:
    position, event_id, stream, version, type, written_as, data, correlation, causation, actor, meta, recorded_at = row
    aggregate, _, entity_id = stream.partition("/")
    schema_version, data = UPCASTERS.upcast(type, written_as, data)
    return RecordedEvent(
        position=position,
        event_id=event_id,
        aggregate=aggregate,
        entity_id=entity_id,
        version=version,
        type=type,
        schema_version=schema_version,
        data=data,
        recorded_at=recorded_at,
        correlation_id=correlation,
        causation_id=causation,
        actor=actor,
        meta=meta,
    )


# Statements ---------------------------------------------------------------------------------------------------------
# The handful that every batch runs are plain SQL: building them anew as expressions costs more than running them.

_REUSED = Problem(
    code=Code.COMMAND_ID_REUSED,
    message="this command id was used for another command",
    param="id",
    hint="make a new id for each command; only a retry repeats one",
)


@dataclass(frozen=True)
class _Insertion:
    insert: str
    copy: str | None


class _Sql:
    """The statements of a batch in one database's dialect."""

    def __init__(self, dialect: str) -> None:
        self._arrays = dialect == "postgresql"
        self.handled = "SELECT command_id, body_hash, outcome FROM inbox WHERE command_id {}"
        self.events = _insertion(events, dialect)
        self.inbox = _insertion(inbox, dialect)
        self.advance: str | None = None  # SQLite's AUTOINCREMENT follows what is inserted
        if dialect == "postgresql":
            # One probe of the index for each stream. With IN and GROUP BY, a server that has not yet counted its rows
            # reads the whole table, and the more commands come the longer it takes.
            version = "(SELECT max(version) FROM events WHERE stream_id = asked.stream_id)"
            self.versions = f"SELECT stream_id, {version} FROM unnest(%s::text[]) AS asked(stream_id)"
            sequence = "events_position_seq"
            self.last_position = f"SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM {sequence}"
            self.advance = f"SELECT setval('{sequence}', %s)"
        else:
            self.versions = "SELECT stream_id, max(version) FROM events WHERE stream_id {} GROUP BY stream_id"
            self.last_position = "SELECT seq FROM sqlite_sequence WHERE name = 'events'"

    def in_list(self, query: str, values: Sequence[str]) -> tuple[str, tuple[Any, ...]]:
        if self._arrays:
            return query.format("= ANY(%s)"), (list(values),)
        return query.format(f"IN ({','.join('?' * len(values))})"), tuple(values)


@cache
def _sql(dialect: str) -> _Sql:
    return _Sql(dialect)


def _insertion(table: Table, dialect: str) -> _Insertion:
    names = [column.name for column in table.columns]
    into = f"{table.name} ({', '.join(names)})"
    if dialect == "postgresql":
        return _Insertion(f"INSERT INTO {into} VALUES ({', '.join(['%s'] * len(names))})", f"COPY {into} FROM STDIN")
    return _Insertion(f"INSERT INTO {into} VALUES ({', '.join('?' * len(names))})", None)


def _rejected(command_id: str, problem: Problem) -> Outcome:
    return Outcome(command_id=command_id, outcome="rejected", error=problem)


_dumps = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode


def _parsed(document: Any) -> Any:
    """A JSON column as its driver gives it: SQLite's as text, psycopg's parsed."""
    return json.loads(document) if isinstance(document, str) else document
