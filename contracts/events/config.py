"""What happens to configs."""

from __future__ import annotations

from typing import Any

from tunebus.contracts import subjects
from tunebus.contracts.events.event import Event


class ConfigAdded(Event):
    aggregates = (subjects.CONFIG,)

    type: str
    config: dict[str, Any]
    sha256: str
    description: str = ""
    model_family: str | None = None
    is_default: bool = False


class ConfigDescribed(Event):
    """What it is said to be for from now on, whole."""

    aggregates = (subjects.CONFIG,)

    description: str
    model_family: str | None = None
    is_default: bool = False


class ConfigRemoved(Event):
    """`name` is its type and description, for those who still refer to it."""

    aggregates = (subjects.CONFIG,)

    name: str
