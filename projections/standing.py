"""Where jobs stand: their places in the queue, why they wait, and what the running ones hold of their machines.

It reads rows of jobs and workers and writes nothing; the words are `waiting`'s.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, func, or_, select
from tunebus.contracts.identifiers import timestamp, utc_now
from tunebus.projections.tables import (
    JOB_TABLES,
    adapters,
    datasets,
    models,
    worker_loads,
    workers,
)
from tunebus.projections.waiting import WORKERS, Usage, waiting_reason

Document = dict[str, Any]

PRESENT_SECONDS = 120.0  # a worker asks or beats several times in this long
WITH_WORKER = ("starting", "running", "stopping")


def present_workers(connection: Connection) -> list[Document]:
    """Workers heard of lately, with what they offer and how busy their machine was when they last said."""
    since = timestamp(utc_now() - timedelta(seconds=PRESENT_SECONDS))
    question = (
        select(workers, worker_loads.c.load)
        .outerjoin(worker_loads, worker_loads.c.worker_id == workers.c.worker_id)
        .where(workers.c.last_seen >= since)
        .order_by(workers.c.first_seen, workers.c.worker_id)
    )
    return [dict(row) for row in connection.execute(question).mappings()]


def used_resources(connection: Connection) -> Usage:
    """What the jobs that workers have hold of each machine. A lease that ran out holds until it is taken back."""
    rows: list[Document] = []
    for table in JOB_TABLES.values():
        columns = (table.c.host, table.c.num_cpu, table.c.num_memory, table.c.gpus)
        rows += map(dict, connection.execute(select(*columns).where(table.c.state.in_(WITH_WORKER))).mappings())
    return Usage(rows)


class Standings:
    """Everything that says where waiting jobs stand, read once for all of an answer's jobs, and only when asked for."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._read = False

    def describe(self, kind: str, documents: Iterable[Document]) -> None:
        """Add `queue_position` (from 1, among those that the same workers do), `waiting_reason` and, where there are
        any, `dependencies`: the jobs it depends on, each with `id`, `kind`, `name` and `state`."""
        for document in documents:
            document["queue_position"] = document["waiting_reason"] = None
            others = self._dependencies(document["depends_on"]) if document["depends_on"] else []
            if others:
                document["dependencies"] = others
            if document["state"] not in ("queued", "held", "interrupted"):
                continue
            self._look()
            line, ready = self._lines[WORKERS[kind]]
            place = line.get(document["id"])
            ahead = 0
            if place is not None:
                document["queue_position"] = place + 1
                ahead = bisect_left(ready, place)
            unmet = [other for other in others if other["id"] in document["waiting_for"]]
            document["waiting_reason"] = waiting_reason(
                kind, document, self._workers, ahead, usage=self._usage, dependencies=unmet
            )

    def _look(self) -> None:
        if self._read:
            return
        self._read = True
        self._workers = present_workers(self.connection)
        self._usage = used_resources(self.connection)
        waiting: dict[str, list[tuple[int, str, str, int]]] = {name: [] for name in WORKERS.values()}
        for kind, table in JOB_TABLES.items():
            columns = (table.c.id, table.c.priority, table.c.rank, table.c.unmet)
            for row in self.connection.execute(select(*columns).where(table.c.state == "queued")):
                waiting[WORKERS[kind]].append((-row.priority, row.rank, row.id, row.unmet))
        self._lines: dict[str, tuple[dict[str, int], list[int]]] = {}
        for name, found in waiting.items():
            found.sort()
            places = {job_id: place for place, (_, _, job_id, _) in enumerate(found)}
            self._lines[name] = places, [place for place, (*_, unmet) in enumerate(found) if not unmet]

    def _dependencies(self, ids: Sequence[str]) -> list[Document]:
        found: dict[str, Document] = {}
        for kind, table in JOB_TABLES.items():
            name = table.c.adapter_name if "adapter_name" in table.c else table.c.id
            question = select(table.c.id, name.label("name"), table.c.state).where(table.c.id.in_(ids))
            for row in self.connection.execute(question):
                found[row.id] = {"id": row.id, "kind": kind, "name": row.name, "state": row.state}
        gone = {"kind": None, "state": "removed"}
        return [found.get(job_id) or {"id": job_id, "name": job_id, **gone} for job_id in ids]


def bears(table: Table, label: str) -> ColumnElement[bool]:
    """Whether a job has a label, whatever its case."""
    return table.c.labels_key.contains(f"\n{label.strip().casefold()}\n", autoescape=True)


def speaks_of(table: Table, text: str) -> ColumnElement[bool]:
    """Whether a text is in the name of a job, or of the model, dataset or adapter that it is about."""

    def has(column: ColumnElement[str]) -> ColumnElement[bool]:
        return func.lower(column).contains(text.strip().lower(), autoescape=True)

    found: list[ColumnElement[bool]] = [
        table.c[field].in_(select(named.c.id).where(has(named.c.name)))
        for field, named in (("base_model_id", models), ("dataset_id", datasets), ("adapter_id", adapters))
    ]
    if "adapter_name" in table.c:
        found.append(has(table.c.adapter_name))
    return or_(*found)
