"""Every command: its fields, limits and the contexts it may be sent to. `COMMANDS` is the table of contents.

Fields that take an id take a name as well. Whether a thing exists is decided by the registry, not here.
"""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError
from tunebus.contracts.commands.adapter import AddAdapter, RemoveAdapter, RenameAdapter
from tunebus.contracts.commands.command import (
    AdapterName,
    Command,
    ConfigReference,
    Description,
    Location,
    Name,
    Reference,
    Template,
)
from tunebus.contracts.commands.config import AddConfig, DescribeConfig, RemoveConfig
from tunebus.contracts.commands.database import ExportDatabase, ImportDatabase
from tunebus.contracts.commands.dataset import AddDataset, RemoveDataset, RenameDataset
from tunebus.contracts.commands.evaluation_job import (
    EvaluationCombination,
    RemoveEvaluationJob,
    StartEvaluationJob,
    StopEvaluationJob,
)
from tunebus.contracts.commands.export_job import RemoveExportJob, StartExportJob, StopExportJob
from tunebus.contracts.commands.fine_tuning_job import (
    BranchFineTuningJob,
    CloneFineTuningJob,
    ExtendFineTuningJob,
    ImportRun,
    RemoveFineTuningJob,
    RerunFineTuningJob,
    ResumeFineTuningJob,
    RetryFineTuningJob,
    StartFineTuningJob,
    StopFineTuningJob,
)
from tunebus.contracts.commands.job import (
    HoldJob,
    LabelJob,
    MoveJob,
    NoteJob,
    PrioritizeJob,
    ReleaseJob,
    SetJobDependencies,
)
from tunebus.contracts.commands.model import AddModel, ApproveRemoteCode, RemoveModel, RenameModel
from tunebus.contracts.commands.prompt import AddPrompt, RemovePrompt, RenamePrompt
from tunebus.contracts.commands.worker import (
    CompleteAttempt,
    FailAttempt,
    FailureCause,
    RecordCheckpoint,
    ReportAttemptRunning,
)
from tunebus.contracts.errors import Code, Problem, TunebusError, from_validation, nearest

__all__ = [
    "COMMANDS",
    "AdapterName",
    "AddAdapter",
    "AddConfig",
    "AddDataset",
    "AddModel",
    "AddPrompt",
    "ApproveRemoteCode",
    "BranchFineTuningJob",
    "CloneFineTuningJob",
    "Command",
    "CompleteAttempt",
    "ConfigReference",
    "DescribeConfig",
    "Description",
    "EvaluationCombination",
    "ExportDatabase",
    "ExtendFineTuningJob",
    "FailAttempt",
    "FailureCause",
    "HoldJob",
    "ImportDatabase",
    "ImportRun",
    "LabelJob",
    "Location",
    "MoveJob",
    "Name",
    "NoteJob",
    "PrioritizeJob",
    "RecordCheckpoint",
    "Reference",
    "ReleaseJob",
    "RemoveAdapter",
    "RemoveConfig",
    "RemoveDataset",
    "RemoveEvaluationJob",
    "RemoveExportJob",
    "RemoveFineTuningJob",
    "RemoveModel",
    "RemovePrompt",
    "RenameAdapter",
    "RenameDataset",
    "RenameModel",
    "RenamePrompt",
    "ReportAttemptRunning",
    "RerunFineTuningJob",
    "ResumeFineTuningJob",
    "RetryFineTuningJob",
    "SetJobDependencies",
    "StartEvaluationJob",
    "StartExportJob",
    "StartFineTuningJob",
    "StopEvaluationJob",
    "StopExportJob",
    "StopFineTuningJob",
    "Template",
    "command_type",
    "validate",
]

COMMANDS: dict[str, type[Command]] = {
    kind.__name__: kind
    for kind in (
        AddDataset,
        AddModel,
        ApproveRemoteCode,
        AddAdapter,
        AddPrompt,
        AddConfig,
        RenameDataset,
        RenameModel,
        RenameAdapter,
        RenamePrompt,
        DescribeConfig,
        RemoveDataset,
        RemoveModel,
        RemoveAdapter,
        RemovePrompt,
        RemoveConfig,
        StartFineTuningJob,
        StopFineTuningJob,
        RetryFineTuningJob,
        ResumeFineTuningJob,
        CloneFineTuningJob,
        BranchFineTuningJob,
        ExtendFineTuningJob,
        RerunFineTuningJob,
        ImportRun,
        StartEvaluationJob,
        StopEvaluationJob,
        StartExportJob,
        StopExportJob,
        RemoveFineTuningJob,
        RemoveEvaluationJob,
        RemoveExportJob,
        PrioritizeJob,
        HoldJob,
        ReleaseJob,
        MoveJob,
        LabelJob,
        NoteJob,
        SetJobDependencies,
        ExportDatabase,
        ImportDatabase,
        ReportAttemptRunning,
        RecordCheckpoint,
        CompleteAttempt,
        FailAttempt,
    )
}


def command_type(name: str) -> type[Command]:
    """The class of a command. Errors: `unknown_type`, with the nearest name."""
    kind = COMMANDS.get(name)
    if kind is None:
        near = nearest(name, COMMANDS)
        raise TunebusError(
            Problem(
                code=Code.UNKNOWN_TYPE,
                message=f"unknown command {name!r}",
                param="type",
                hint=f"did you mean {near!r}?" if near else f"known commands: {', '.join(COMMANDS)}",
            )
        )
    return kind


def validate(kind: type[Command], data: dict[str, Any]) -> Command:
    """The command with checked fields.
    Errors: one problem naming every wrong field; unknown fields with the nearest name.
    """
    try:
        return kind.model_validate(data)
    except ValidationError as error:
        raise TunebusError(from_validation(error, kind.model_fields)) from None
