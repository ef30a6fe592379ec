"""Rows of evaluation jobs from their events. What all jobs share is in `jobs`."""

from __future__ import annotations

from tunebus.contracts.events import RecordedEvent
from tunebus.projections import jobs
from tunebus.projections.changes import Change, Insert
from tunebus.projections.tables import evaluation_jobs


def _added(event: RecordedEvent) -> list[Change]:
    data = event.data
    row = jobs.new_row(event) | {
        "parent_id": data["parent_id"],
        "fine_tuning_job_id": data.get("fine_tuning_job_id"),
        "generation": data["recipe"].get("generation"),
        "selected_features": data["asked"].get("selected_features"),
    }
    return [Insert(evaluation_jobs, row), *jobs.new_dependencies(event)]


HANDLERS = {**jobs.HANDLERS, "EvaluationJobAdded": _added, "SubjectMade": jobs.subject_made}
