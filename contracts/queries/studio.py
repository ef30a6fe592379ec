"""Queries about the studio as a whole."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from tunebus.contracts.queries.query import Moment, Paged, Query


class ListWorkers(Paged):
    """Workers that asked for work lately, with what they offer."""


class GetOverview(Query):
    """What runs, what waits, what failed: the counts and newest jobs of the first page.
    Of an earlier moment it says what events say: no workers, no dead letters.
    """

    answers = "overview"

    as_of: Annotated[Moment | None, Field(description="as it was then: a position or a time")] = None


class ListUses(Query):
    """What refers to an entity: prompts and adapters, then jobs from the newest on. `blocks` marks what stands in the
    way of its removal: entities, and jobs that have not ended. `total` counts all, also those beyond `limit`.
    """

    answers = "uses"

    aggregate: Literal["dataset", "model", "adapter", "prompt", "config"]
    id: Annotated[str, Field(min_length=1, description="an id or a name")]
    limit: Annotated[int, Field(ge=1, le=200)] = 50
