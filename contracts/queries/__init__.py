"""Every query: its arguments and what it answers. Lists are `{"items": […], "next": null | cursor}`, an entity is its
fields.

Errors are `{"error": {code, message, param, hint}}`. `QUERIES` is the table of contents.
"""

from __future__ import annotations

from tunebus.contracts.queries.adapter import GetAdapter, GetDatasetSplitByAdapter, ListAdapters
from tunebus.contracts.queries.config import GetConfig, ListConfigs
from tunebus.contracts.queries.dataset import (
    GetDataset,
    InspectDataset,
    ListDatasetFindings,
    ListDatasets,
    PreviewDataset,
)
from tunebus.contracts.queries.evaluation_job import (
    CompareEvaluations,
    ExportEvaluations,
    GetEvaluationJob,
    GetEvaluationRows,
    ListEvaluationJobs,
)
from tunebus.contracts.queries.export_job import GetExportJob, ListExportJobs
from tunebus.contracts.queries.fine_tuning_job import EstimateFineTuningJob, GetFineTuningJob, ListFineTuningJobs
from tunebus.contracts.queries.job import (
    CompareRuns,
    GetLog,
    GetMetrics,
    GetSamples,
    GetSystemMetrics,
    ListAllJobs,
    ListJobs,
    ListQueue,
    SearchLog,
)
from tunebus.contracts.queries.model import GetModel, ListModels, ListRemoteCodeApprovals
from tunebus.contracts.queries.prompt import GeneratePrompt, GetPrompt, ListPrompts, RenderPrompt
from tunebus.contracts.queries.query import Get, List, Page, Query, Searched
from tunebus.contracts.queries.record import (
    GetCommandOutcome,
    GetCommandProgress,
    GetDatabase,
    GetDatabaseExport,
    GetDatabaseImport,
    GetDeadLetter,
    ListChanges,
    ListDeadLetters,
    ListEvents,
)
from tunebus.contracts.queries.studio import GetOverview, ListUses, ListWorkers

__all__ = [
    "QUERIES",
    "CompareEvaluations",
    "CompareRuns",
    "EstimateFineTuningJob",
    "ExportEvaluations",
    "GeneratePrompt",
    "Get",
    "GetAdapter",
    "GetCommandOutcome",
    "GetCommandProgress",
    "GetConfig",
    "GetDatabase",
    "GetDatabaseExport",
    "GetDatabaseImport",
    "GetDataset",
    "GetDatasetSplitByAdapter",
    "GetDeadLetter",
    "GetEvaluationJob",
    "GetEvaluationRows",
    "GetExportJob",
    "GetFineTuningJob",
    "GetLog",
    "GetMetrics",
    "GetModel",
    "GetOverview",
    "GetPrompt",
    "GetSamples",
    "GetSystemMetrics",
    "InspectDataset",
    "List",
    "ListAdapters",
    "ListAllJobs",
    "ListChanges",
    "ListConfigs",
    "ListDatasetFindings",
    "ListDatasets",
    "ListDeadLetters",
    "ListEvaluationJobs",
    "ListEvents",
    "ListExportJobs",
    "ListFineTuningJobs",
    "ListJobs",
    "ListModels",
    "ListPrompts",
    "ListQueue",
    "ListRemoteCodeApprovals",
    "ListUses",
    "ListWorkers",
    "Page",
    "PreviewDataset",
    "Query",
    "RenderPrompt",
    "SearchLog",
    "Searched",
]

QUERIES: dict[str, type[Query]] = {
    kind.__name__: kind
    for kind in (
        ListDatasets,
        ListModels,
        ListRemoteCodeApprovals,
        ListAdapters,
        ListPrompts,
        ListConfigs,
        ListFineTuningJobs,
        ListEvaluationJobs,
        ListExportJobs,
        ListAllJobs,
        GetDataset,
        GetModel,
        GetAdapter,
        GetPrompt,
        GetConfig,
        GeneratePrompt,
        RenderPrompt,
        GetDatasetSplitByAdapter,
        GetFineTuningJob,
        EstimateFineTuningJob,
        GetEvaluationJob,
        GetExportJob,
        PreviewDataset,
        InspectDataset,
        ListDatasetFindings,
        GetMetrics,
        GetSystemMetrics,
        CompareRuns,
        GetLog,
        SearchLog,
        GetSamples,
        GetEvaluationRows,
        CompareEvaluations,
        ExportEvaluations,
        ListEvents,
        GetCommandOutcome,
        GetCommandProgress,
        ListChanges,
        GetDatabase,
        GetDatabaseExport,
        GetDatabaseImport,
        ListDeadLetters,
        GetDeadLetter,
        ListQueue,
        ListWorkers,
        ListUses,
        GetOverview,
    )
}
