"""Rows of export jobs from their events. What all jobs share is in `jobs`."""

from __future__ import annotations

from dataclasses import replace

from tunebus.contracts.events import RecordedEvent
from tunebus.projections import jobs
from tunebus.projections.changes import Change, Insert, Update
from tunebus.projections.tables import export_jobs


def _added(event: RecordedEvent) -> list[Change]:
    data = event.data
    row = jobs.new_row(event) | {
        "model_id": None if data.get("adapter_id") or data.get("fine_tuning_job_id") else data["base_model_id"],
        "fine_tuning_job_id": data.get("fine_tuning_job_id"),
        "type": data["type"],
        "destination": data.get("destination"),
        "checked": None,
        "registered_model": None,
    }
    return [Insert(export_jobs, row), *jobs.new_dependencies(event)]


def _subject_made(event: RecordedEvent) -> list[Change]:
    own = {} if event.data.get("adapter_id") else {"model_id": event.data["base_model_id"]}
    return jobs.subject_made(event, **own)


def _succeeded(event: RecordedEvent) -> list[Change]:
    return [_finished(event, change) for change in jobs.HANDLERS["JobSucceeded"](event)]


def _finished(event: RecordedEvent, change: Change) -> Change:
    """With what reloading the export showed, on the job's own row."""
    if not isinstance(change, Update) or change.table is not export_jobs:
        return change
    found = {name: event.data.get(name) for name in ("checked", "registered_model")}
    return replace(change, values={**change.values, **found})


HANDLERS = {
    **jobs.HANDLERS,
    "ExportJobAdded": _added,
    "SubjectMade": _subject_made,
    "JobSucceeded": _succeeded,
}
