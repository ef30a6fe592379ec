"""What the studio has on record of an adapter or a model that is to be exported: how it was trained and measured."""

from __future__ import annotations

from sqlalchemy import Connection, RowMapping, select
from tunebus.contracts.commands import StartExportJob
from tunebus.contracts.errors import TunebusError
from tunebus.contracts.subjects import ADAPTER, FINE_TUNING_JOB, MODEL
from tunebus.projections.queries import find
from tunebus.projections.tables import datasets, evaluation_jobs, fine_tuning_jobs
from tunebus.services.registry.export_job import ExportFacts


def on_record(connection: Connection, asked: StartExportJob) -> ExportFacts:
    """Empty for what is not known: the decision says so."""
    try:
        job_id, adapter_id, model_id = _speaks_of(connection, asked)
    except TunebusError:
        return ExportFacts()
    scored = evaluation_jobs.c.adapter_id == adapter_id
    if adapter_id is None:
        scored = (evaluation_jobs.c.base_model_id == model_id) & evaluation_jobs.c.adapter_id.is_(None)
    table = fine_tuning_jobs
    trained = (
        connection.execute(select(table.c.metrics, table.c.dataset_id).where(table.c.id == job_id)).mappings().first()
    )
    newest = (
        connection.execute(
            select(evaluation_jobs.c.id, evaluation_jobs.c.metrics)
            .where(scored, evaluation_jobs.c.state == "succeeded", evaluation_jobs.c.dataset_id.is_not(None))
            .order_by(evaluation_jobs.c.position.desc())
            .limit(1)
        )
        .mappings()
        .first()
    )
    return ExportFacts(
        dataset_name=_dataset(connection, trained),
        training_metrics=dict(trained["metrics"]) if trained else {},
        evaluation_job_id=newest["id"] if newest else None,
        evaluation_metrics=dict(newest["metrics"]) if newest else {},
    )


def _speaks_of(connection: Connection, asked: StartExportJob) -> tuple[str | None, str | None, str | None]:
    """The ids of the training, and of the adapter or model. Errors: `not_found`."""
    if asked.adapter_id is not None:
        found = find(connection, ADAPTER, asked.adapter_id)
        return found["fine_tuning_job_id"], found["id"], None
    if asked.model_id is not None:
        found = find(connection, MODEL, asked.model_id)
        return found["fine_tuning_job_id"], None, found["id"]
    if asked.job_id is not None:
        found = find(connection, FINE_TUNING_JOB, asked.job_id)
        return found["id"], found["adapter_id"], found["model_id"]
    return None, None, None


def _dataset(connection: Connection, trained: RowMapping | None) -> str | None:
    if trained is None:
        return None
    name: str | None = connection.scalar(select(datasets.c.name).where(datasets.c.id == trained["dataset_id"]))
    return name
