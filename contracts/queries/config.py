"""Queries about configs."""

from __future__ import annotations

from tunebus.contracts.queries.query import Get, List


class ListConfigs(List):
    type: str | None = None
    model_family: str | None = None


class GetConfig(Get):
    pass
