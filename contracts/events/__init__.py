"""Every event: what happened, as it is kept for ever. Events hold ids, URIs, hashes and settings; never rows or
secrets.

Additive only: a new field has a default; a change of meaning is a new `schema_version` with an upcaster.
`EVENTS` is the table of contents.
"""

from __future__ import annotations

from tunebus.contracts.events.adapter import AdapterAdded, AdapterRemoved, AdapterRenamed
from tunebus.contracts.events.config import ConfigAdded, ConfigDescribed, ConfigRemoved
from tunebus.contracts.events.database import DatabaseExported, DatabaseImported, LeftOut
from tunebus.contracts.events.dataset import (
    ColumnStatistics,
    DatasetAdded,
    DatasetFilesDeleted,
    DatasetRemoved,
    DatasetRenamed,
    DatasetStatistics,
)
from tunebus.contracts.events.evaluation_job import EvaluationJobAdded
from tunebus.contracts.events.event import Event
from tunebus.contracts.events.export_job import ExportJobAdded
from tunebus.contracts.events.fine_tuning_job import (
    FineTuningJobAdded,
    FineTuningJobChanged,
    ImportedJobAdded,
    ImportedRun,
    Origin,
)
from tunebus.contracts.events.job import (
    AttemptFailed,
    AttemptLost,
    AttemptRunning,
    AttemptStarted,
    CheckpointRecorded,
    DependencyMet,
    JobDependenciesSet,
    JobFailed,
    JobFilesDeleted,
    JobHeld,
    JobLabeled,
    JobMoved,
    JobNoted,
    JobPrioritized,
    JobQueued,
    JobRemoved,
    JobStopped,
    JobSucceeded,
    StopRequested,
    SubjectMade,
    uses_up_a_retry,
)
from tunebus.contracts.events.model import ModelAdded, ModelRemoved, ModelRenamed, ModelShape, RemoteCodeApproved
from tunebus.contracts.events.prompt import PromptAdded, PromptRemoved, PromptRenamed
from tunebus.contracts.events.recorded import RecordedEvent

__all__ = [
    "EVENTS",
    "AdapterAdded",
    "AdapterRemoved",
    "AdapterRenamed",
    "AttemptFailed",
    "AttemptLost",
    "AttemptRunning",
    "AttemptStarted",
    "CheckpointRecorded",
    "ColumnStatistics",
    "ConfigAdded",
    "ConfigDescribed",
    "ConfigRemoved",
    "DatabaseExported",
    "DatabaseImported",
    "DatasetAdded",
    "DatasetFilesDeleted",
    "DatasetRemoved",
    "DatasetRenamed",
    "DatasetStatistics",
    "DependencyMet",
    "EvaluationJobAdded",
    "Event",
    "ExportJobAdded",
    "FineTuningJobAdded",
    "FineTuningJobChanged",
    "ImportedJobAdded",
    "ImportedRun",
    "JobDependenciesSet",
    "JobFailed",
    "JobFilesDeleted",
    "JobHeld",
    "JobLabeled",
    "JobMoved",
    "JobNoted",
    "JobPrioritized",
    "JobQueued",
    "JobRemoved",
    "JobStopped",
    "JobSucceeded",
    "LeftOut",
    "ModelAdded",
    "ModelRemoved",
    "ModelRenamed",
    "ModelShape",
    "Origin",
    "PromptAdded",
    "PromptRemoved",
    "PromptRenamed",
    "RecordedEvent",
    "RemoteCodeApproved",
    "StopRequested",
    "SubjectMade",
    "uses_up_a_retry",
]

EVENTS: dict[str, type[Event]] = {
    kind.__name__: kind
    for kind in (
        DatasetAdded,
        ModelAdded,
        RemoteCodeApproved,
        AdapterAdded,
        PromptAdded,
        ConfigAdded,
        DatasetRenamed,
        ModelRenamed,
        AdapterRenamed,
        PromptRenamed,
        ConfigDescribed,
        DatasetRemoved,
        DatasetFilesDeleted,
        ModelRemoved,
        AdapterRemoved,
        PromptRemoved,
        ConfigRemoved,
        FineTuningJobAdded,
        FineTuningJobChanged,
        ImportedJobAdded,
        EvaluationJobAdded,
        ExportJobAdded,
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
        JobHeld,
        JobPrioritized,
        JobMoved,
        JobLabeled,
        JobNoted,
        JobDependenciesSet,
        DependencyMet,
        SubjectMade,
        JobRemoved,
        JobFilesDeleted,
        DatabaseExported,
        DatabaseImported,
    )
}
