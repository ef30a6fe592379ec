"""Queries about the studio as a whole."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from tunebus.contracts.queries.query import Paged, Query


class ListWorkers(Paged):
    """Workers that asked for work lately, with what they offer."""


class GetOverview(Query):
    """What runs, what waits, what failed: the counts and newest jobs of the first page."""

    answers = "overview"


class ListUses(Query):
    """What refers to an entity: prompts and adapters, then jobs from the newest on. `blocks` marks what stands in the
    way of its removal: entities, and jobs that have not ended. `total` counts all, also those beyond `limit`.
    """

    answers = "uses"

    aggregate: Literal["dataset", "model", "adapter", "prompt", "config"]
    id: Annotated[str, Field(min_length=1, description="an id or a name")]
    limit: Annotated[int, Field(ge=1, le=200)] = 50
