"""Queries about prompts."""

from __future__ import annotations

from tunebus.contracts.queries.query import Get, List


class ListPrompts(List):
    dataset_id: str | None = None


class GetPrompt(Get):
    pass
