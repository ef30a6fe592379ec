"""Queries about adapters."""

from __future__ import annotations

from tunebus.contracts.queries.query import Get, Query, Searched


class ListAdapters(Searched):
    model_id: str | None = None


class GetAdapter(Get):
    pass


class GetDatasetSplitByAdapter(Query):
    """The fraction and the split that an adapter's job was trained with, so that others score the same rows; the
    defaults (`source`: default) for an adapter that no job of this studio made.
    """

    answers = "split"

    adapter_id: str
