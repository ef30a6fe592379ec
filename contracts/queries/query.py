"""What every query shares."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from tunebus.contracts.identifiers import timestamp

Limit = Annotated[int, Field(ge=1, le=1000)]

_MOMENTS = "a moment is a position, for example 120, or an RFC 3339 time, for example 2026-01-31T09:30:00Z"


def _moment(value: Any) -> Any:
    """A position as a number, a time in the record's own spelling; one without an offset is UTC."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 18:
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63:
        return value
    if isinstance(value, str):
        try:
            found = datetime.fromisoformat(value.strip())
            return timestamp(found if found.tzinfo is not None else found.replace(tzinfo=UTC))
        except (ValueError, OverflowError):
            pass
    raise ValueError(_MOMENTS)


Moment = Annotated[Annotated[int, Field(ge=0, lt=2**63)] | str, BeforeValidator(_moment)]
"""A position of the record, or a time; digits alone are a position."""


class Query(BaseModel):
    """What every query shares. Unknown arguments are refused with the nearest name."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    answers: ClassVar[str] = "entity"


class Paged(Query):
    """A list of what is kept as it is now."""

    answers = "list"

    limit: Limit = 50
    after: str | None = None


class List(Paged):
    """A list of what events say, so that it can be had as of any moment."""

    as_of: Annotated[Moment | None, Field(description="as it was then: a position or a time")] = None


class Searched(List):
    """A list of things that people name or describe."""

    search: Annotated[
        str | None, Field(max_length=200, description="only those with this text in their name or description")
    ] = None
    order: Annotated[Literal["added", "newest"], Field(description="as added, or the newest first")] = "added"


class Named(Query):
    id: str = Field(min_length=1, description="an id or a name")


class Get(Named):
    """An entity, now or as of any moment."""

    as_of: Annotated[Moment | None, Field(description="as it was then: a position or a time")] = None


class Page(BaseModel):
    """A list's answer."""

    items: list[dict[str, Any]]
    next: str | None = None
