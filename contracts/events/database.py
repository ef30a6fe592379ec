"""What happens to the record as a whole. Each export and each import is an entity of its own."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field
from tunebus.contracts import subjects
from tunebus.contracts.events.event import Event


class DatabaseExported(Event):
    """`object` is the document's name in the file bucket, which forgets it after a day; `position` that of its newest
    event.
    """

    aggregates = (subjects.DATABASE,)

    object: str
    position: int
    events: int
    projections: bool = False
    bytes: int
    sha256: str


class LeftOut(BaseModel):
    """An entity of a document that was not taken in, or not wholly, and why."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    aggregate: str
    id: str
    name: str | None = None
    events: int
    reason: str


class DatabaseImported(Event):
    """Counts are events but for `held`, jobs that had not ended. `left_out` names the first of the refused entities,
    `left_out_entities` counts them all.
    """

    aggregates = (subjects.DATABASE,)

    object: str
    sha256: str
    studio: str
    exported_at: str
    events: int
    added: int
    skipped: int = Field(description="events that were there already")
    refused: int = Field(description="events that could not be taken in")
    held: int = 0
    missing_files: int = Field(default=0, description="entities whose files are not here")
    missing: list[str] = Field(default_factory=list, description="the first of them, for example `dataset faq`")
    left_out_entities: int = 0
    left_out: list[LeftOut] = Field(default_factory=list)
