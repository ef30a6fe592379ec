"""Every query: its arguments and what it answers. Lists are `{"items": […], "next": null | cursor}`, an entity is its
fields.

Errors are `{"error": {code, message, param, hint}}`. `QUERIES` is the table of contents.
"""

from __future__ import annotations

from tunebus.contracts.queries.adapter import GetAdapter, ListAdapters
from tunebus.contracts.queries.config import GetConfig, ListConfigs
from tunebus.contracts.queries.dataset import GetDataset, ListDatasets, PreviewDataset
from tunebus.contracts.queries.evaluation_job import GetEvaluationJob, GetEvaluationRows, ListEvaluationJobs
from tunebus.contracts.queries.fine_tuning_job import GetFineTuningJob, ListFineTuningJobs
from tunebus.contracts.queries.job import GetLog, GetMetrics
from tunebus.contracts.queries.model import GetModel, ListModels
from tunebus.contracts.queries.prompt import GetPrompt, ListPrompts
from tunebus.contracts.queries.query import Page, Query
from tunebus.contracts.queries.record import GetCommandOutcome, GetDeadLetter, ListDeadLetters, ListEvents
from tunebus.contracts.queries.studio import GetOverview, ListWorkers

__all__ = [
    "QUERIES",
    "GetAdapter",
    "GetCommandOutcome",
    "GetConfig",
    "GetDataset",
    "GetDeadLetter",
    "GetEvaluationJob",
    "GetEvaluationRows",
    "GetFineTuningJob",
    "GetLog",
    "GetMetrics",
    "GetModel",
    "GetOverview",
    "GetPrompt",
    "ListAdapters",
    "ListConfigs",
    "ListDatasets",
    "ListDeadLetters",
    "ListEvaluationJobs",
    "ListEvents",
    "ListFineTuningJobs",
    "ListModels",
    "ListPrompts",
    "ListWorkers",
    "Page",
    "PreviewDataset",
    "Query",
]

QUERIES: dict[str, type[Query]] = {
    kind.__name__: kind
    for kind in (
        ListDatasets,
        ListModels,
        ListAdapters,
        ListPrompts,
        ListConfigs,
        ListFineTuningJobs,
        ListEvaluationJobs,
        GetDataset,
        GetModel,
        GetAdapter,
        GetPrompt,
        GetConfig,
        GetFineTuningJob,
        GetEvaluationJob,
        PreviewDataset,
        GetMetrics,
        GetLog,
        GetEvaluationRows,
        ListEvents,
        GetCommandOutcome,
        ListDeadLetters,
        GetDeadLetter,
        ListWorkers,
        GetOverview,
    )
}
