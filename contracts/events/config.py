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
