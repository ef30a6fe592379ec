"""Which decision answers which command, and what must be known for it. `HANDLERS` is the table of contents.

It implements the ledger's `Domain`: loads with `IN` look-ups, decides in memory, folds what it decided.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

from sqlalchemy import JSON, Connection, Table, or_, select
from tunebus import projections
from tunebus.contracts import commands as ask
from tunebus.contracts.events import RecordedEvent
from tunebus.contracts.identifiers import is_id
from tunebus.contracts.subjects import DATASET, EVALUATION_JOB, EXPORT_JOB, FINE_TUNING_JOB, JOB_KINDS, MODEL
from tunebus.projections import tables
from tunebus.services.platform import database, leases
from tunebus.services.platform.decisions import Change, Decision, PreparedCommand, Rejected
from tunebus.services.platform.ledger import load_streams
from tunebus.services.registry import (
    adapter,
    claims,
    config,
    copies,
    dataset,
    evaluation_job,
    export_job,
    fine_tuning_job,
    hub_origin,
    imported_run,
    jobs,
    known,
    lifecycle,
    model,
    prompt,
    queue,
    remote_code,
    removal,
    transfer,
    users,
)
from tunebus.services.registry.claims import Candidate
from tunebus.services.registry.fine_tuning_job import MadeModel
from tunebus.services.registry.internal import ClaimWaitingJob, ExpireLease
from tunebus.services.registry.jobs import Job
from tunebus.services.registry.known import Known, Shelf
from tunebus.services.registry.wanted import Decide, Handler, Wanted, given


def _refer_stop(
    wanted: Wanted, _facts: object, command: ask.StopFineTuningJob | ask.StopEvaluationJob | ask.StopExportJob
) -> None:
    wanted.jobs.add(command.id)


def _refer_report(wanted: Wanted, _facts: object, command: Any) -> None:
    wanted.jobs.add(command.job_id)


def _report(decide: Callable[[Job, Any], Decision]) -> Decide:
    """A decision on a worker's report, which only the current attempt may send."""

    def fenced(view: Known, _facts: object, command: Any) -> Decision:
        job = view.any_job(command.job_id)
        refused = jobs.fence(job, command.attempt, command.job_id)
        if refused:
            return refused
        assert job is not None
        return decide(job, command)

    return fenced


def _refer_complete(wanted: Wanted, made: MadeModel | None, command: ask.CompleteAttempt) -> None:
    wanted.jobs.add(command.job_id)
    wanted.models.update([made.name] if made else [])
    wanted.with_results = True


def _complete(view: Known, made: MadeModel | None, command: ask.CompleteAttempt) -> Decision:
    """The good end of an attempt, by the kind of its job; `made` is the model that it reports."""

    def decide(job: Job, asked: ask.CompleteAttempt) -> Decision:
        if job.kind == FINE_TUNING_JOB:
            return fine_tuning_job.complete(view, made, job, asked)
        return export_job.complete(job, asked) if job.kind == EXPORT_JOB else evaluation_job.complete(job, asked)

    return _report(decide)(view, made, command)


def _expire(view: Known, _facts: object, command: ExpireLease) -> Decision:
    """Also a lease that nothing holds any longer goes, or it would be found again and again."""
    decision = jobs.lose_attempt(view.job(command.kind, command.job_id), command.attempt)
    return replace(decision, changes=[leases.released(command.job_id, command.attempt)])


def handlers(max_crash_retries: int) -> dict[type, Handler]:
    """What the registry does, command by command."""

    def fail_attempt(job: Job, command: ask.FailAttempt) -> Decision:
        return jobs.fail_attempt(job, command, max_crash_retries=max_crash_retries)

    return {
        ask.AddDataset: Handler(dataset.add, dataset.refer_add),
        ask.AddModel: Handler(model.add, model.refer_add),
        ask.ApproveRemoteCode: Handler(remote_code.approve, remote_code.refer_approve),
        ask.AddAdapter: Handler(adapter.add, adapter.refer_add),
        ask.AddPrompt: Handler(prompt.add, prompt.refer_add),
        ask.AddConfig: Handler(config.add, config.refer_add),
        ask.RenameDataset: Handler(dataset.rename, dataset.refer_rename),
        ask.RenameModel: Handler(model.rename, model.refer_rename),
        ask.RenameAdapter: Handler(adapter.rename, adapter.refer_rename),
        ask.RenamePrompt: Handler(prompt.rename, prompt.refer_rename),
        ask.DescribeConfig: Handler(config.describe, config.refer_describe),
        ask.RemoveDataset: Handler(dataset.remove, dataset.refer_remove),
        ask.RemoveModel: Handler(model.remove, model.refer_remove),
        ask.RemoveAdapter: Handler(adapter.remove, adapter.refer_remove),
        ask.RemovePrompt: Handler(prompt.remove, prompt.refer_remove),
        ask.RemoveConfig: Handler(config.remove, config.refer_remove),
        ask.RemoveFineTuningJob: removal.handler(FINE_TUNING_JOB),
        ask.RemoveEvaluationJob: removal.handler(EVALUATION_JOB),
        ask.RemoveExportJob: removal.handler(EXPORT_JOB),
        ask.StartFineTuningJob: Handler(fine_tuning_job.start, fine_tuning_job.refer_start),
        ask.ImportRun: Handler(imported_run.add, imported_run.refer),
        ask.StopFineTuningJob: Handler(fine_tuning_job.stop, _refer_stop),
        ask.RetryFineTuningJob: Handler(lifecycle.retry, lifecycle.refer_again),
        ask.ResumeFineTuningJob: Handler(lifecycle.resume, lifecycle.refer_again),
        ask.CloneFineTuningJob: Handler(lifecycle.clone, lifecycle.refer_derived),
        ask.BranchFineTuningJob: Handler(lifecycle.branch, lifecycle.refer_derived),
        ask.ExtendFineTuningJob: Handler(lifecycle.extend, lifecycle.refer_derived),
        ask.RerunFineTuningJob: Handler(lifecycle.rerun, lifecycle.refer_again),
        ask.StartEvaluationJob: Handler(evaluation_job.start, evaluation_job.refer_start),
        ask.StopEvaluationJob: Handler(evaluation_job.stop, _refer_stop),
        ask.StartExportJob: Handler(export_job.start, export_job.refer_start),
        ask.StopExportJob: Handler(export_job.stop, _refer_stop),
        ask.PrioritizeJob: Handler(queue.prioritize, queue.refer_job),
        ask.HoldJob: Handler(queue.hold, queue.refer_job),
        ask.ReleaseJob: Handler(queue.release, queue.refer_release),
        ask.MoveJob: Handler(queue.move, queue.refer_move),
        ask.LabelJob: Handler(queue.label, queue.refer_job),
        ask.NoteJob: Handler(queue.note, queue.refer_job),
        ask.SetJobDependencies: Handler(queue.set_dependencies, queue.refer_dependencies),
        ask.ExportDatabase: Handler(transfer.exported, transfer.refer),
        ask.ImportDatabase: Handler(transfer.imported, transfer.refer),
        ask.ReportAttemptRunning: Handler(_report(jobs.report_running), _refer_report),
        ask.RecordCheckpoint: Handler(_report(jobs.record_checkpoint), _refer_report),
        ask.CompleteAttempt: Handler(_complete, _refer_complete),
        ask.FailAttempt: Handler(_report(fail_attempt), _refer_report),
        ExpireLease: Handler(_expire, _refer_report),
    }


class RegistryDomain:
    """The ledger's `Domain`."""

    def __init__(self, *, max_crash_retries: int) -> None:
        self._handlers = handlers(max_crash_retries)

    def open(self, connection: Connection, commands: Sequence[PreparedCommand]) -> RegistryBatch:
        wanted = Wanted()
        asking: list[PreparedCommand] = []
        for prepared in commands:
            if isinstance(prepared.command, ClaimWaitingJob):
                asking.append(prepared)
            else:
                self._handlers[type(prepared.command)].refer(wanted, prepared.facts, prepared.command)
        candidates = claims.candidates(connection, asking)
        wanted.jobs.update(candidate.job_id for candidate in candidates.values())
        return RegistryBatch(self._handlers, load(connection, wanted), candidates)


class RegistryBatch:
    """The ledger's `Batch`. `candidates` are the jobs found for claims, by command id."""

    def __init__(self, by_type: Mapping[type, Handler], view: Known, candidates: Mapping[str, Candidate]) -> None:
        self._handlers = by_type
        self._known = view
        self._candidates = candidates

    def stream_of(self, command: PreparedCommand) -> tuple[str, str] | None:
        asked = command.command
        if isinstance(asked, ClaimWaitingJob):
            candidate = self._candidates.get(command.envelope.id)
            return (candidate.kind, candidate.job_id) if candidate else None
        if isinstance(asked, ask.StartExportJob):  # its job_id is of a job that it speaks of
            return None
        if hasattr(asked, "job_id"):
            job = self._known.any_job(asked.job_id)
            return (job.kind, job.id) if job else None
        if not hasattr(asked, "id"):
            return None
        aggregate = asked.context()
        if aggregate in JOB_KINDS:
            found: Any = self._known.job(aggregate, asked.id) or self._known.removed_jobs.get(asked.id)
        else:
            shelf = self._known.shelf(aggregate)
            found = shelf.get(asked.id) if shelf else None
            if found is None and aggregate == DATASET:
                found = self._known.removed_datasets.get(asked.id)
        return (aggregate, found.id) if found else None

    def decide(self, command: PreparedCommand) -> Decision:
        asked = command.command
        if isinstance(asked, ClaimWaitingJob):
            return self._claim(command.envelope.id, asked)
        decision = self._handlers[type(asked)].decide(self._known, command.facts, asked)
        if isinstance(decision, Rejected):
            return decision
        if follow := queue.consequences(self._known, decision.events):
            decision = replace(decision, events=[*decision.events, *follow])
        if not jobs.leaves_worker(decision.events):
            return decision
        # The lease ends in the same transaction as the attempt.
        job = self._known.jobs[decision.id or ""]
        return replace(decision, changes=[*decision.changes, leases.released(job.id, job.attempt)])

    def record(self, events: Sequence[RecordedEvent]) -> Sequence[Change]:
        changes: list[Change] = []
        for event in events:
            self._known.fold(event)
            changes += projections.apply(event)
        return changes

    def _claim(self, command_id: str, asked: ClaimWaitingJob) -> Decision:
        candidate = self._candidates.get(command_id)
        job = self._known.jobs.get(candidate.job_id) if candidate else None
        decision = jobs.claim(job, asked.worker_id, asked.host, candidate.gpus if candidate else ())
        if isinstance(decision, Rejected) or job is None or not decision.events:
            return decision
        return replace(decision, changes=leases.acquired(job.id, job.attempt + 1, asked.worker_id, asked.lease_until))


def load(connection: Connection, wanted: Wanted) -> Known:
    """Read everything a batch refers to, one query a table."""
    view = Known()
    _load(connection, view.datasets, tables.datasets, wanted.datasets, known.dataset_of)
    _load(connection, view.prompts, tables.prompts, wanted.prompts, known.prompt_of)
    if wanted.with_datasets_prompts:
        table = tables.prompts
        of_datasets = select(table).where(table.c.dataset_id.in_(view.datasets.ids()))
        for row in connection.execute(of_datasets).mappings():
            view.put_prompt(known.prompt_of(dict(row)))
    for adapter_row in _rows(connection, tables.adapters, wanted.adapters):
        found = known.adapter_of(adapter_row)
        view.adapters.put(found)
        if wanted.with_adapters_jobs:
            wanted.models.add(found.model_id)  # to name it when it is not the one asked for
            wanted.jobs.update(given(found.fine_tuning_job_id))
    _load(connection, view.models, tables.models, wanted.models, known.model_of)
    hub_origin.load(connection, view, wanted)
    if wanted.with_adapters_jobs:
        wanted.jobs.update(given(*(one.fine_tuning_job_id for one in view.models)))
    if wanted.configs:
        table = tables.configs
        either = or_(table.c.id.in_(wanted.configs), table.c.sha256.in_(wanted.configs))
        for row in connection.execute(select(table).where(either)).mappings():
            view.configs.put(known.config_of(dict(row)))
    users.load(connection, view, wanted)
    copies.load(connection, view, wanted)
    if wanted.runs:
        table = tables.fine_tuning_jobs
        imported = select(table.c.imported_sha256, table.c.id).where(table.c.imported_sha256.in_(wanted.runs))
        view.runs.update({row.imported_sha256: row.id for row in connection.execute(imported)})
    if wanted.jobs or wanted.job_names:
        _load_jobs(connection, view, wanted)
    if wanted.with_jobs_parts:
        _load_parts(connection, view)
    if wanted.with_made:
        _load_made(connection, view)
    if wanted.with_lineage:
        _load_lineage(connection, view)
    if wanted.with_results:
        names = {str(job.added["adapter_name"]) for job in view.jobs.values() if job.kind == FINE_TUNING_JOB}
        _load(connection, view.adapters, tables.adapters, names, known.adapter_of)
    return view


def _load(
    connection: Connection,
    shelf: Shelf[Any],
    table: Table,
    references: set[str],
    entity_of: Callable[[Mapping[str, Any]], Any],
) -> None:
    for row in _rows(connection, table, references):
        shelf.put(entity_of(row))


def _rows(connection: Connection, table: Table, references: set[str]) -> Iterable[Mapping[str, Any]]:
    """The rows that references name. No name reads as an id, so each is looked up one way only."""
    if not references:
        return []
    ids = [reference for reference in references if is_id(reference)]
    names = [tables.name_key(reference) for reference in references if not is_id(reference)]
    find = _find(table, connection.dialect.name)
    rows: list[Mapping[str, Any]] = []
    for column, values in (("id", ids), ("name_key", names)):
        if values:
            rows += find(connection, column, values)
    return rows


class _Find:
    """Look-ups of one table as plain SQL: every command makes some, and building them as expressions costs more than
    running them."""

    def __init__(self, table: Table, dialect: str) -> None:
        self._columns = [column.name for column in table.columns]
        self._documents = [column.name for column in table.columns if isinstance(column.type, JSON)]
        self._select = f"SELECT {', '.join(self._columns)} FROM {table.name} WHERE "
        self._arrays = dialect == "postgresql"

    def __call__(self, connection: Connection, column: str, values: list[str]) -> list[dict[str, Any]]:
        if self._arrays:
            rows = database.fetch(connection, f"{self._select}{column} = ANY(%s)", (values,))
        else:
            marks = ",".join("?" * len(values))
            rows = database.fetch(connection, f"{self._select}{column} IN ({marks})", values)
        found = [dict(zip(self._columns, row, strict=True)) for row in rows]
        for row in found:
            for name in self._documents:
                if isinstance(row[name], str):  # SQLite's driver gives the text
                    row[name] = json.loads(row[name])
        return found


@cache
def _find(table: Table, dialect: str) -> _Find:
    return _Find(table, dialect)


def _load_jobs(connection: Connection, view: Known, wanted: Wanted) -> None:
    """Whole streams for the jobs referred to; for names that may be taken only whose they are."""
    table = tables.fine_tuning_jobs
    ids = {reference for reference in wanted.jobs if is_id(reference)}
    names = {reference.strip() for reference in wanted.jobs - ids}
    asked_names = names | {name.strip() for name in wanted.job_names}
    if asked_names:
        for row in connection.execute(
            select(table.c.id, table.c.adapter_name).where(table.c.adapter_name.in_(asked_names))
        ):
            view.job_names[row.adapter_name] = row.id
            if row.adapter_name in names:
                ids.add(row.id)
    _put_streams(connection, view, ids)
    others = _dependants(connection, ids)
    if wanted.with_dependencies:
        others |= _load_dependencies(connection, view, ids)
    _put_streams(connection, view, others - view.jobs.keys())
    if wanted.with_queues:
        _load_queues(connection, view)


def _load_parts(connection: Connection, view: Known) -> None:
    """What the jobs are made of that were asked for, and how that was called which is gone."""
    ids: set[str] = set()
    for name, shelf, table, entity_of in (
        ("base_model_id", view.models, tables.models, known.model_of),
        ("dataset_id", view.datasets, tables.datasets, known.dataset_of),
        ("prompt_id", view.prompts, tables.prompts, known.prompt_of),
    ):
        parts = {str(job.added[name]) for job in view.jobs.values() if job.added.get(name)}
        _load(connection, shelf, table, parts, entity_of)
        ids |= parts
    table = tables.removed
    for row in connection.execute(select(table.c.id, table.c.name).where(table.c.id.in_(ids))):
        view.gone[row.id] = row.name


def _load_made(connection: Connection, view: Known) -> None:
    """The adapters and models that the fine-tunings among the jobs have made, and who made the models known by now."""
    made = [job for job in view.jobs.values() if job.kind == FINE_TUNING_JOB]
    _load(connection, view.adapters, tables.adapters, {*given(*(job.adapter_id for job in made))}, known.adapter_of)
    _load(connection, view.models, tables.models, {*given(*(job.model_id for job in made))}, known.model_of)
    makers = {*given(*(one.fine_tuning_job_id for one in view.models))}
    _put_streams(connection, view, makers - view.jobs.keys())


def _load_lineage(connection: Connection, view: Known) -> None:
    """The trainings that those known by now began with, back to the first of each line, removed or not."""
    left = [job for job in (*view.jobs.values(), *view.removed_jobs.values()) if job.kind == FINE_TUNING_JOB]
    while left:
        bases = {*given(*(job.added.get("base_model_id") for job in left))} - view.makers.keys()
        for (_, model_id), events in load_streams(connection, [(MODEL, base) for base in bases]).items():
            view.makers[model_id] = events[0].data.get("fine_tuning_job_id") if events else None
        ids = {job_id for job in left for job_id in view.before(job)} - view.jobs.keys() - view.removed_jobs.keys()
        _put_streams(connection, view, ids)
        left = [job for job_id in ids if (job := view.jobs.get(job_id) or view.removed_jobs.get(job_id))]


def _put_streams(connection: Connection, view: Known, ids: Collection[str]) -> None:
    streams = load_streams(connection, [(kind, job_id) for job_id in ids for kind in JOB_KINDS])
    for events in streams.values():
        job: Job | None = None
        for event in events:
            job = jobs.evolve(job, event)
        if job is not None:
            view.put_job(job)


def _dependants(connection: Connection, ids: Collection[str]) -> set[str]:
    """The jobs that depend on these."""
    table = tables.job_dependencies
    return set(connection.scalars(select(table.c.job_id).where(table.c.dependency_id.in_(ids)))) if ids else set()


def _load_dependencies(connection: Connection, view: Known, ids: Collection[str]) -> set[str]:
    """Read what these jobs depend on, through whatever others; returns those that they depend on directly."""
    table = tables.job_dependencies
    direct: set[str] = set()
    seen: set[str] = set()
    left = set(ids)
    while left:
        seen |= left
        found: dict[str, list[str]] = {}
        for row in connection.execute(select(table.c.job_id, table.c.dependency_id).where(table.c.job_id.in_(left))):
            found.setdefault(row.job_id, []).append(row.dependency_id)
        view.dependencies.update({job_id: tuple(others) for job_id, others in found.items()})
        left = {other for others in found.values() for other in others}
        direct = direct or set(left)
        left -= seen
    return direct


def _load_queues(connection: Connection, view: Known) -> None:
    for kind, table in tables.JOB_TABLES.items():
        columns = (table.c.id, table.c.priority, table.c.rank)
        for row in connection.execute(select(*columns).where(table.c.state.in_(jobs.WAITING))):
            view.queues[row.id] = (kind, row.priority, row.rank)
