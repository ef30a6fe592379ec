"""Which jobs of all kinds a list shows, in which order, and how many there are: read from narrow rows alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, case, func, select
from tunebus.projections.standing import bears, speaks_of
from tunebus.projections.tables import STATES, adapters, all_jobs, models


def chosen(
    *,
    kinds: Sequence[str] | None = None,
    states: Sequence[str] | None = None,
    label: str | None = None,
    search: str | None = None,
    base_model_id: str | None = None,
    dataset_id: str | None = None,
) -> list[ColumnElement[bool]]:
    """The conditions of a choice."""
    table = all_jobs
    among = (("kind", kinds), ("state", states))
    wanted: list[ColumnElement[bool]] = [table.c[name].in_(some) for name, some in among if some is not None]
    equal = {"base_model_id": base_model_id, "dataset_id": dataset_id}
    wanted += [table.c[name] == value for name, value in equal.items() if value is not None]
    if label is not None:
        wanted.append(bears(table, label))
    if search is not None and search.strip():
        wanted.append(speaks_of(table, search))
    return wanted


def total(connection: Connection, wanted: Sequence[ColumnElement[bool]]) -> int:
    return connection.scalar(select(func.count()).select_from(all_jobs).where(*wanted)) or 0


def page(
    connection: Connection,
    wanted: Sequence[ColumnElement[bool]],
    sort: str,
    descending: bool,
    begin: int,
    limit: int,
) -> list[tuple[str, str]]:
    """(kind, id) of `limit` jobs after `begin` others."""
    question: Select[Any] = select(all_jobs.c.kind, all_jobs.c.id).where(*wanted)
    position = all_jobs.c.position
    tie = position.desc() if descending else position
    if sort == "created":
        question = question.order_by(tie)
    else:
        question, key = _sorted(question, sort)
        order = key.desc() if descending else key.asc()
        question = question.order_by(order.nulls_last(), tie)
    return [(kind, job_id) for kind, job_id in connection.execute(question.offset(begin).limit(limit))]


def _sorted(question: Select[Any], sort: str) -> tuple[Select[Any], ColumnElement[Any]]:
    table = all_jobs
    match sort:
        case "name":
            named = question.outerjoin(adapters, adapters.c.id == table.c.adapter_id).outerjoin(
                models, models.c.id == table.c.base_model_id
            )
            return named, func.lower(func.coalesce(table.c.adapter_name, adapters.c.name, models.c.name))
        case "state":
            return question, case({state: number for number, state in enumerate(STATES)}, value=table.c.state)
        case "duration":
            return question, table.c.finished - table.c.started
        case "loss":
            return question, table.c.loss
        case _:
            return question, table.c.updated_at
