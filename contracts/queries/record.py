"""Queries about the record: events, what changed between two moments, outcomes of commands, dead letters."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, ConfigDict, Field
from tunebus.contracts.numbers import Int64
from tunebus.contracts.queries.query import List, Moment, Paged, Query
from tunebus.contracts.subjects import Aggregate


def _command_id(text: str) -> str:
    try:
        return str(UUID(text))
    except ValueError:
        raise ValueError("must be a UUID, as the id of every command is") from None


CommandId = Annotated[str, AfterValidator(_command_id)]


class ListEvents(List):
    """The record itself, in order of `position`, or backwards. `from` is the first position wanted."""

    from_position: Annotated[int, Field(ge=0, lt=2**63, alias="from")] = 0
    since: Annotated[Moment | None, Field(description="what happened after this position or time")] = None
    aggregate: Aggregate | None = None
    entity_id: str | None = None
    type: str | None = None
    actor: str | None = None
    correlation_id: Annotated[str | None, Field(description="of the request that everything followed from")] = None
    causation_id: Annotated[str | None, Field(description="of the command that decided it")] = None
    search: Annotated[str | None, Field(max_length=200, description="a text in the data, type or actor")] = None
    newest: Annotated[bool, Field(description="the newest first")] = False
    named: Annotated[bool, Field(description="with what each entity is called by now, as `entity_name`")] = False

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class ListChanges(Paged):
    """What differs between the state after one moment and the state after a later one, entity by entity and field by
    field. A moment is a position or a time; without `to` it is now.
    """

    from_moment: Annotated[Moment, Field(alias="from", description="a position or a time; 0 is before all")] = 0
    to_moment: Annotated[Moment | None, Field(alias="to", description="a later position or time; now if absent")] = None
    aggregate: Aggregate | None = None
    entity_id: str | None = None

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class GetCommandOutcome(Query):
    """The outcome kept for a command id; `not_found` when the registry has not handled it yet."""

    answers = "outcome"

    command_id: CommandId


class GetCommandProgress(Query):
    """How far a command that takes long has come before it is decided. `phase` is null while nothing is known of it:
    not begun yet, or over.
    """

    answers = "progress"

    command_id: CommandId


class GetDatabase(Query):
    """The record as a whole: its kind of database, its size in bytes, its events and its projections."""


class GetDatabaseExport(Query):
    """Where an export's document lies and what it holds."""

    id: str


class GetDatabaseImport(Query):
    """What an import took in, what it found there already, and what it left out and why."""

    id: str


class ListDeadLetters(Paged):
    pass


class GetDeadLetter(Query):
    id: Int64
