"""What refers to an entity, as its removal would find it: prompts and adapters, and jobs, ended ones too.

It reads the projections alone; the registry decides about removals by itself.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Connection, RowMapping, Table, Text, cast, func, or_, select
from tunebus.contracts.subjects import ADAPTER, CONFIG, DATASET, MODEL, PROMPT
from tunebus.projections.tables import ENDED_STATES, JOB_TABLES, adapters, prompts

Document = dict[str, Any]

_ENTITIES: dict[str, tuple[tuple[str, Table, ColumnElement[Any]], ...]] = {
    DATASET: ((PROMPT, prompts, prompts.c.dataset_id),),
    MODEL: ((ADAPTER, adapters, adapters.c.model_id),),
    PROMPT: ((ADAPTER, adapters, adapters.c.prompt_id),),
}
_JOB_COLUMNS = {DATASET: "dataset_id", MODEL: "base_model_id", ADAPTER: "adapter_id", PROMPT: "prompt_id"}


def of(connection: Connection, aggregate: str, row: RowMapping, limit: int) -> Document:
    """`{"items", "total"}`; of a job the ids that its name is made of."""
    items: list[Document] = []
    total = 0
    for kind, table, column in _ENTITIES.get(aggregate, ()):
        uses = column == row["id"]
        total += connection.scalar(select(func.count()).select_from(table).where(uses)) or 0
        question = select(table.c.id, table.c.name, table.c.added_at).where(uses).order_by(table.c.position.desc())
        items += [
            {"aggregate": kind, "id": found.id, "name": found.name, "state": None, "at": found.added_at, "blocks": True}
            for found in connection.execute(question.limit(limit))
        ]
    jobs: list[Document] = []
    for kind, table in JOB_TABLES.items():
        uses = _used_by(table, aggregate, row)
        total += connection.scalar(select(func.count()).select_from(table).where(uses)) or 0
        names = [table.c[name] for name in ("adapter_name", "base_model_id", "adapter_id") if name in table.c]
        question = select(table.c.id, table.c.state, table.c.created_at.label("at"), *names).where(uses)
        for found in connection.execute(question.order_by(table.c.position.desc()).limit(limit)).mappings():
            jobs.append({"aggregate": kind, **found, "blocks": found["state"] not in ENDED_STATES})
    jobs.sort(key=lambda job: (job["blocks"], job["at"]), reverse=True)
    return {"items": [*items, *jobs][:limit], "total": total}


def _used_by(table: Table, aggregate: str, row: RowMapping) -> ColumnElement[bool]:
    """A config is named within what a job was asked for, by its id or by the hash of its body."""
    if aggregate == CONFIG:
        asked = cast(table.c.asked, Text)
        return or_(*(asked.contains(f'"{row[name]}"', autoescape=True) for name in ("id", "sha256")))
    found: ColumnElement[bool] = table.c[_JOB_COLUMNS[aggregate]] == row["id"]
    return found
