"""An event as it stands in the record."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

_NO_META: Mapping[str, Any] = {}


class RecordedEvent(NamedTuple):
    """An event of the record, upcast to its newest schema version.
    `position` is the total order, `version` its entity's.

    A named tuple, since a rebuild makes one for each event there ever was: a frozen dataclass costs five times as much.
    """

    position: int
    event_id: str
    aggregate: str
    entity_id: str
    version: int
    type: str
    schema_version: int
    data: Mapping[str, Any]
    recorded_at: str
    correlation_id: str | None = None
    causation_id: str | None = None
    actor: str | None = None
    meta: Mapping[str, Any] = _NO_META
