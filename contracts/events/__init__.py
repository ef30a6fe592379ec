"""Every event: what happened, as it is kept for ever. Events hold ids, URIs, hashes and settings; never rows or
secrets.

Additive only: a new field has a default; a change of meaning is a new `schema_version` with an upcaster.
`EVENTS` is the table of contents.
"""

from __future__ import annotations

from tunebus.contracts.events.adapter import AdapterAdded
from tunebus.contracts.events.config import ConfigAdded
from tunebus.contracts.events.dataset import DatasetAdded
from tunebus.contracts.events.evaluation_job import EvaluationJobAdded
from tunebus.contracts.events.event import Event
from tunebus.contracts.events.fine_tuning_job import FineTuningJobAdded
from tunebus.contracts.events.job import (
    AttemptFailed,
    AttemptLost,
    AttemptRunning,
    AttemptStarted,
    CheckpointRecorded,
    JobFailed,
    JobQueued,
    JobStopped,
    JobSucceeded,
    StopRequested,
    uses_up_a_retry,
)
from tunebus.contracts.events.model import ModelAdded
from tunebus.contracts.events.prompt import PromptAdded
from tunebus.contracts.events.recorded import RecordedEvent

__all__ = [
    "EVENTS",
    "AdapterAdded",
    "AttemptFailed",
    "AttemptLost",
    "AttemptRunning",
    "AttemptStarted",
    "CheckpointRecorded",
    "ConfigAdded",
    "DatasetAdded",
    "EvaluationJobAdded",
    "Event",
    "FineTuningJobAdded",
    "JobFailed",
    "JobQueued",
    "JobStopped",
    "JobSucceeded",
    "ModelAdded",
    "PromptAdded",
    "RecordedEvent",
    "StopRequested",
    "uses_up_a_retry",
]

EVENTS: dict[str, type[Event]] = {
    kind.__name__: kind
    for kind in (
        DatasetAdded,
        ModelAdded,
        AdapterAdded,
        PromptAdded,
        ConfigAdded,
        FineTuningJobAdded,
        EvaluationJobAdded,
        JobQueued,
        AttemptStarted,
        AttemptRunning,
        CheckpointRecorded,
        AttemptLost,
        AttemptFailed,
        StopRequested,
        JobStopped,
        JobFailed,
        JobSucceeded,
    )
}
