"""What every event shares."""

from __future__ import annotations

from typing import ClassVar

from pydantic import BaseModel, ConfigDict


class Event(BaseModel):
    """What every event shares. `aggregates` are the kinds of entity it may happen to."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    aggregates: ClassVar[tuple[str, ...]]
    schema_version: ClassVar[int] = 1
