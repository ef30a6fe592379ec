"""Queries about the record: events, outcomes of commands, dead letters."""

from __future__ import annotations

from typing import Annotated

from pydantic import ConfigDict, Field
from tunebus.contracts.queries.query import List, Query


class ListEvents(List):
    """The record itself, in order of `position`. `from` is the first position wanted."""

    from_position: Annotated[int, Field(ge=0, alias="from")] = 0
    aggregate: str | None = None
    entity_id: str | None = None
    type: str | None = None

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class GetCommandOutcome(Query):
    """The outcome kept for a command id; `not_found` when the registry has not handled it yet."""

    answers = "outcome"

    command_id: str


class ListDeadLetters(List):
    pass


class GetDeadLetter(Query):
    id: int
