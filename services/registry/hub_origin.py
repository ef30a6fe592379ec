"""What came from the Hub: the same repository, commit and choice of it is added once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

from sqlalchemy import Connection, Table, select
from tunebus.contracts.errors import Code, Problem
from tunebus.contracts.subjects import ADAPTER, DATASET, MODEL
from tunebus.projections import tables
from tunebus.services.registry import known
from tunebus.services.registry.hub_source import HubSource
from tunebus.services.registry.known import Known
from tunebus.services.registry.wanted import Wanted

_FROM: dict[str, tuple[Table, Callable[[Mapping[str, Any]], Any]]] = {
    DATASET: (tables.datasets, known.dataset_of),
    MODEL: (tables.models, known.model_of),
    ADAPTER: (tables.adapters, known.adapter_of),
}


class _FromHub(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def hub(self) -> HubSource | None: ...


def load(connection: Connection, view: Known, wanted: Wanted) -> None:
    """Put on the shelves whatever came from the Hub by the names that a batch's commands give."""
    for aggregate, names in wanted.hub_names.items():
        table, entity_of = _FROM[aggregate]
        shelf: Any = view.shelf(aggregate)
        for row in connection.execute(select(table).where(table.c.huggingface_name.in_(names))).mappings():
            shelf.put(entity_of(dict(row)))


def already_added(kind: str, source: HubSource | None, present: Iterable[_FromHub]) -> Problem | None:
    """The refusal of what is there under another name."""
    found = next((entity for entity in present if source is not None and entity.hub == source), None)
    if found is None or source is None:
        return None
    chosen = "".join(f", {part}" for part in (source.config_name, source.split) if part)
    return Problem(
        code=Code.DUPLICATE_NAME,
        message=f"{source.name!r}{chosen} at {source.revision[:12]} is the {kind} {found.name!r}",
        param="huggingface_name",
        hint=f"use {found.name!r}, or name another revision",
    )
