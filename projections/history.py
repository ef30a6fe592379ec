"""The studio as it was: the projections folded from the events up to an earlier position, and what changed in between.

Telemetry, workers and leases are not history: of the past there is what events say. It writes to scratch files alone.
"""

from __future__ import annotations

import shutil
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, func, select
from tunebus.contracts import queries as ask
from tunebus.contracts.errors import Code, fail
from tunebus.projections import queries
from tunebus.projections.fold import Fold, collector_paused
from tunebus.projections.ledger_view import Upcast, events, position_of, read_events
from tunebus.projections.sorting import number
from tunebus.projections.tables import PROJECTIONS, metadata

BATCH = 5_000
KEPT = 4  # earlier states kept at a time
KEPT_SECONDS = 60.0

Document = dict[str, Any]

_NOT_COMPARED = frozenset({"position", "name_key"})


@dataclass(eq=False)
class _State:
    """The projections as of one position, in a file of its own."""

    path: Path
    engine: Engine
    used_at: float = 0.0
    built: bool = False
    building: threading.Lock = field(default_factory=threading.Lock)


class History:
    """Earlier states of one record, each kept for a short while after its last use. Safe to use from threads."""

    def __init__(self, upcast: Upcast) -> None:
        self._upcast = upcast
        self._states: dict[int, _State] = {}
        self._guard = threading.Lock()
        self._folder: Path | None = None

    def answer(self, query: ask.List | ask.Get | ask.GetOverview, ledger: Connection) -> Document:
        """The answer to a query that says `as_of`, from the state as it was then. Errors: those of the query."""
        assert query.as_of is not None
        position = position_of(ledger, query.as_of)
        with self._at(ledger, position) as then:
            document = queries.answer(query, then)
        for job in queries.jobs_in(document):
            if job.get("state") not in (None, "held"):
                job["waiting_reason"] = None  # who could have taken it then is not recorded
        return document | {"as_of": position}

    def changes(self, query: ask.ListChanges, ledger: Connection) -> Document:
        """What differs between two moments, in the order in which entities were first touched between them."""
        newest = position_of(ledger, None)
        begin, end = position_of(ledger, query.from_moment), position_of(ledger, query.to_moment)
        if begin > end:
            raise fail(
                Code.INVALID,
                f"it is later than `to`: position {begin} comes after {end}",
                param="from",
                hint=f"positions go from 0 to {newest}",
            )
        first = func.min(events.c.position)
        touched = (
            select(events.c.stream_id, first.label("first"))
            .where(events.c.position > begin, events.c.position <= end, *queries.of_entities(ledger, query))
            .group_by(events.c.stream_id)
            .having(first > number(query.after))
            .order_by(first)
            .limit(query.limit + 1)
        )
        found = ledger.execute(touched).all()
        streams = [row.stream_id for row in found[: query.limit]]
        counted = select(events.c.stream_id, events.c.type).where(
            events.c.position > begin, events.c.position <= end, events.c.stream_id.in_(streams)
        )
        types: dict[str, Counter[str]] = {stream: Counter() for stream in streams}
        for stream, type in ledger.execute(counted.order_by(events.c.position)):
            types[stream][type] += 1
        with self._at(ledger, begin) as before, self._at(ledger, end) as after:
            left, right = _rows(before, streams), _rows(after, streams)
        items = [_change(stream, left.get(stream), right.get(stream), types[stream]) for stream in streams]
        more = str(found[query.limit - 1].first) if len(found) > query.limit else None
        return {"items": items, "next": more, "from": begin, "to": end}

    def close(self) -> None:
        """Drop every state kept."""
        with self._guard:
            for position in list(self._states):
                self._drop(position)
            if self._folder is not None:
                shutil.rmtree(self._folder, ignore_errors=True)
                self._folder = None

    @contextmanager
    def _at(self, ledger: Connection, position: int) -> Iterator[Connection]:
        state = self._state(position)
        with state.building:
            if not state.built:
                self._build(ledger, state, position)
                state.built = True
        try:
            with state.engine.connect() as connection:
                yield connection
        finally:
            state.used_at = time.monotonic()

    def _state(self, position: int) -> _State:
        with self._guard:
            now = time.monotonic()
            for other in list(self._states):
                if other != position and self._states[other].used_at < now - KEPT_SECONDS:
                    self._drop(other)
            while len(self._states) >= KEPT and position not in self._states:
                self._drop(min(self._states, key=lambda kept: self._states[kept].used_at))
            if position not in self._states:
                if self._folder is None:
                    self._folder = Path(tempfile.mkdtemp(prefix="tunebus-history-"))
                path = self._folder / f"{position}-{time.monotonic_ns()}.db"
                self._states[position] = _State(path, create_engine(f"sqlite:///{path}"))
            self._states[position].used_at = now
            return self._states[position]

    def _drop(self, position: int) -> None:
        """Forget a state; who reads it still has the file open."""
        state = self._states.pop(position)
        state.engine.dispose()
        state.path.unlink(missing_ok=True)

    def _build(self, ledger: Connection, state: _State, position: int) -> None:
        """Fold the events up to a position, going on from the newest earlier state that is there."""
        begin = self._copy_earlier(state, position)
        with collector_paused(), state.engine.begin() as scratch:
            if begin == 0:
                metadata.drop_all(scratch)  # of a try that failed
                metadata.create_all(scratch)
            fold = Fold({table: table for table in PROJECTIONS})
            at = begin
            while at < position and (recorded := read_events(ledger, self._upcast, at, BATCH)):
                fold.add(scratch, [event for event in recorded if event.position <= position])
                fold.write(scratch)
                at = recorded[-1].position

    def _copy_earlier(self, state: _State, position: int) -> int:
        with self._guard:
            earlier = max((at for at, kept in self._states.items() if kept.built and at < position), default=0)
            if earlier:
                shutil.copyfile(self._states[earlier].path, state.path)
        return earlier


def _rows(connection: Connection, streams: Sequence[str]) -> dict[str, dict[str, Any]]:
    """The rows of entities, by stream; nothing for one that is not there, or has none."""
    by_aggregate: dict[str, list[str]] = {}
    for stream in streams:
        aggregate, _, entity_id = stream.partition("/")
        by_aggregate.setdefault(aggregate, []).append(entity_id)
    found = {}
    for aggregate, ids in by_aggregate.items():
        table = queries.TABLES.get(aggregate)
        if table is not None:
            for row in connection.execute(select(table).where(table.c.id.in_(ids))).mappings():
                found[f"{aggregate}/{row['id']}"] = dict(row)
    return found


def _change(
    stream: str, before: Mapping[str, Any] | None, after: Mapping[str, Any] | None, types: Mapping[str, int]
) -> Document:
    aggregate, _, entity_id = stream.partition("/")
    left, right = before or {}, after or {}
    fields = {
        name: {"before": left.get(name), "after": right.get(name)}
        for name in {**left, **right}
        if name not in _NOT_COMPARED and left.get(name) != right.get(name)
    }
    newest = after or before or {}
    kinds = {(False, True): "added", (True, False): "removed", (True, True): "changed"}
    return {
        "aggregate": aggregate,
        "id": entity_id,
        "name": newest.get("name") or newest.get("adapter_name"),
        "change": kinds.get((before is not None, after is not None), "recorded"),
        "events": dict(types),
        "fields": fields,
    }
