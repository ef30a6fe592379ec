"""Queries about base models."""

from __future__ import annotations

from tunebus.contracts.queries.query import Get, List, Searched


class ListModels(Searched):
    type: str | None = None


class ListRemoteCodeApprovals(List):
    """Which commits of Hub models may run code of their own, who said so and why."""

    huggingface_name: str | None = None


class GetModel(Get):
    pass
