"""From an event to the changes it makes: the handlers of each aggregate. The table of contents of the read side."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tunebus.contracts import subjects
from tunebus.contracts.events import RecordedEvent
from tunebus.projections import (
    adapters,
    all_jobs,
    configs,
    datasets,
    evaluation_jobs,
    export_jobs,
    fine_tuning_jobs,
    models,
    prompts,
)
from tunebus.projections.changes import Change

AGGREGATES: dict[str, Mapping[str, Callable[[RecordedEvent], list[Change]]]] = {
    subjects.DATASET: datasets.HANDLERS,
    subjects.MODEL: models.HANDLERS,
    subjects.ADAPTER: adapters.HANDLERS,
    subjects.PROMPT: prompts.HANDLERS,
    subjects.CONFIG: configs.HANDLERS,
    subjects.FINE_TUNING_JOB: fine_tuning_jobs.HANDLERS,
    subjects.EVALUATION_JOB: evaluation_jobs.HANDLERS,
    subjects.EXPORT_JOB: export_jobs.HANDLERS,
}


_NONE: Mapping[str, Callable[[RecordedEvent], list[Change]]] = {}


def apply(event: RecordedEvent) -> list[Change]:
    """The changes of one event; none for an aggregate or a type that only a newer version knows."""
    return all_jobs.followed(apply_own(event))


def apply_own(event: RecordedEvent) -> list[Change]:
    """Those of `apply` but for `all_jobs`, whose rows follow from the jobs' own: see `all_jobs.row_of`."""
    handler = AGGREGATES.get(event.aggregate, _NONE).get(event.type)
    return handler(event) if handler else []
