"""From an event to the changes it makes: which module folds which aggregate. The table of contents of the read side."""

from __future__ import annotations

from collections.abc import Callable

from tunebus.contracts import subjects
from tunebus.contracts.events import RecordedEvent
from tunebus.projections import (
    adapters,
    configs,
    datasets,
    evaluation_jobs,
    export_jobs,
    fine_tuning_jobs,
    models,
    prompts,
)
from tunebus.projections.changes import Change

AGGREGATES: dict[str, Callable[[RecordedEvent], list[Change]]] = {
    subjects.DATASET: datasets.apply,
    subjects.MODEL: models.apply,
    subjects.ADAPTER: adapters.apply,
    subjects.PROMPT: prompts.apply,
    subjects.CONFIG: configs.apply,
    subjects.FINE_TUNING_JOB: fine_tuning_jobs.apply,
    subjects.EVALUATION_JOB: evaluation_jobs.apply,
    subjects.EXPORT_JOB: export_jobs.apply,
}


def apply(event: RecordedEvent) -> list[Change]:
    """The changes of one event; none for an aggregate or a type that only a newer version knows."""
    fold = AGGREGATES.get(event.aggregate)
    return fold(event) if fold else []
