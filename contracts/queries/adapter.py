"""Queries about adapters."""

from __future__ import annotations

from tunebus.contracts.queries.query import Get, List


class ListAdapters(List):
    model_id: str | None = None


class GetAdapter(Get):
    pass
