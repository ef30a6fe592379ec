"""Queries about base models."""

from __future__ import annotations

from tunebus.contracts.queries.query import Get, List


class ListModels(List):
    type: str | None = None


class GetModel(Get):
    pass
