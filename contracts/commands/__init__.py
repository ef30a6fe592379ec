"""Every command: its fields, limits and the contexts it may be sent to. `COMMANDS` is the table of contents.

Fields that take an id take a name as well. Whether a thing exists is decided by the registry, not here.
"""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError
from tunebus.contracts.commands.adapter import AddAdapter
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
from tunebus.contracts.commands.config import AddConfig
from tunebus.contracts.commands.dataset import AddDataset
from tunebus.contracts.commands.evaluation_job import EvaluationCombination, StartEvaluationJob, StopEvaluationJob
from tunebus.contracts.commands.fine_tuning_job import StartFineTuningJob, StopFineTuningJob
from tunebus.contracts.commands.model import AddModel
from tunebus.contracts.commands.prompt import AddPrompt
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
    "Command",
    "CompleteAttempt",
    "ConfigReference",
    "Description",
    "EvaluationCombination",
    "FailAttempt",
    "FailureCause",
    "Location",
    "Name",
    "RecordCheckpoint",
    "Reference",
    "ReportAttemptRunning",
    "StartEvaluationJob",
    "StartFineTuningJob",
    "StopEvaluationJob",
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
        AddAdapter,
        AddPrompt,
        AddConfig,
        StartFineTuningJob,
        StopFineTuningJob,
        StartEvaluationJob,
        StopEvaluationJob,
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
