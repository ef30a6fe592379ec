"""What happens to adapters."""

from __future__ import annotations

from tunebus.contracts import subjects
from tunebus.contracts.events.event import Event


class AdapterAdded(Event):
    aggregates = (subjects.ADAPTER,)

    name: str
    type: str
    model_id: str
    location: str
    sha256: str
    fine_tuning_job_id: str | None = None
    prompt_id: str | None = None
    huggingface_name: str | None = None
    revision: str | None = None


class AdapterRenamed(Event):
    aggregates = (subjects.ADAPTER,)

    name: str


class AdapterRemoved(Event):
    """`name` is what it was called last, for those who still refer to it."""

    aggregates = (subjects.ADAPTER,)

    name: str
