"""What every query shares."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field

Limit = Annotated[int, Field(ge=1, le=1000)]


class Query(BaseModel):
    """What every query shares. Unknown arguments are refused with the nearest name."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    answers: ClassVar[str] = "entity"


class List(Query):
    answers = "list"

    limit: Limit = 50
    after: str | None = None


class Get(Query):
    id: str = Field(min_length=1, description="an id or a name")


class Page(BaseModel):
    """A list's answer."""

    items: list[dict[str, Any]]
    next: str | None = None
