"""Decides about exports: what of an adapter or a model is written where, and what its card says of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tunebus.contracts.commands import CompleteAttempt, StartExportJob, StopExportJob
from tunebus.contracts.errors import Code, Problem, nearest
from tunebus.contracts.events import ExportJobAdded, JobSucceeded
from tunebus.contracts.identifiers import new_id
from tunebus.contracts.recipes import (
    EXPORT_TYPES,
    ExportRecipe,
    FineTuningRecipe,
    ModelCard,
    Place,
)
from tunebus.contracts.subjects import EXPORT_JOB, FINE_TUNING_JOB
from tunebus.services.platform.decisions import Accepted, Decision
from tunebus.services.registry import jobs, queue, recipe, subject
from tunebus.services.registry.decision import happened, missing, refused, refused_all
from tunebus.services.registry.jobs import Job
from tunebus.services.registry.known import Adapter, Known, Model
from tunebus.services.registry.wanted import Wanted, given


@dataclass(frozen=True)
class ExportFacts:
    """What was found out before: files that are gone, where it may go, and how good it was measured to be."""

    problems: Sequence[Problem] = ()
    destination: str | None = None
    dataset_name: str | None = None
    training_metrics: Mapping[str, float | None] = field(default_factory=dict)
    evaluation_job_id: str | None = None
    evaluation_metrics: Mapping[str, float | None] = field(default_factory=dict)


def refer_start(wanted: Wanted, _facts: object, command: StartExportJob) -> None:
    wanted.with_adapters_jobs = True
    wanted.adapters.update(given(command.adapter_id))
    wanted.models.update(given(command.model_id))
    wanted.jobs.update(command.depends_on)
    subject.refer(wanted, given(command.job_id))


def start(known: Known, facts: ExportFacts, command: StartExportJob) -> Decision:
    problems = [*_wrong(command), *facts.problems]
    adapter = known.adapters.get(command.adapter_id) if command.adapter_id else None
    if command.adapter_id and adapter is None:
        problems.append(missing("adapter", command.adapter_id, "adapter_id"))
    model = _model(known, adapter, command, problems)
    awaited = None
    if command.job_id is not None and (made := subject.of_job(known, command.job_id, "job_id", problems)):
        model, adapter, awaited = made.model, made.adapter, made.awaited
        problems += _not_an_adapter(command, adapter, awaited)
    waits = queue.dependencies(known, command.depends_on, problems).also(awaited)
    if problems or model is None:
        return refused_all(problems)
    job_id = new_id()
    destination = None
    if command.type != "registry":
        destination = facts.destination or f"artifact:exports/{job_id}"
    resolved = _recipe(known, facts, command, model, adapter, awaited, destination)
    added = ExportJobAdded(
        type=command.type,
        base_model_id=model.id,
        adapter_id=adapter.id if adapter else None,
        fine_tuning_job_id=awaited.id if awaited else None,
        destination=destination,
        asked=command.model_dump(mode="json", exclude_unset=True),
        recipe=resolved.model_dump(mode="json"),
        out_dir=f"artifact:jobs/{job_id}",
        priority=command.priority,
        depends_on=waits.depends_on,
        waiting_for=waits.waiting_for,
        labels=queue.without_doubles(command.labels),
        notes=command.notes,
    )
    first = jobs.first_event(EXPORT_JOB, job_id, hold=command.hold)
    return Accepted((happened(EXPORT_JOB, job_id, added), first), id=job_id)


def stop(known: Known, _facts: None, command: StopExportJob) -> Decision:
    job = known.job(EXPORT_JOB, command.id)
    if job is None:
        return refused_all([missing("export job", command.id, "id")])
    return jobs.stop(job, force=command.force)


def complete(job: Job, command: CompleteAttempt) -> Decision:
    """What was written is at the destination that the job was added with; the report says what reloading it showed."""
    if command.outcome == "stopped":
        return jobs.stopped_by_itself(job, command.attempt, command.step)
    if command.checked is None:
        return refused(Code.INVALID, "a finished export has been reloaded and compared", param="checked")
    if job.added["type"] == "registry" and command.registered_model is None:
        return refused(Code.INVALID, "a model in the registry has a version", param="registered_model")
    succeeded = JobSucceeded(
        attempt=command.attempt,
        step=command.step,
        result_uri=job.added.get("destination"),
        result_sha256=command.result_sha256,
        metrics=command.metrics,
        checked=command.checked,
        registered_model=command.registered_model,
    )
    return Accepted((happened(job.kind, job.id, succeeded),), id=job.id)


def _wrong(command: StartExportJob) -> list[Problem]:
    """Fields that are wrong whatever there is in the studio."""
    found = []
    if command.type not in EXPORT_TYPES:
        near = nearest(command.type, EXPORT_TYPES)
        hint = f"did you mean {near!r}?" if near else f"supported: {', '.join(EXPORT_TYPES)}"
        message = f"{command.type!r} is no type of export"
        found.append(Problem(code=Code.NOT_SUPPORTED, message=message, param="type", hint=hint))
    subjects = given(command.adapter_id, command.model_id, command.job_id)
    if len(subjects) != 1:
        message = "an export is of an adapter, of a model or of what a job makes, not of several"
        hint = "give adapter_id, model_id or job_id alone"
        found.append(
            Problem(code=Code.INVALID, message=message if subjects else "is required", param="adapter_id", hint=hint)
        )
    elif command.type == "adapter" and command.model_id is not None:
        message = "a model without an adapter has none to export"
        found.append(Problem(code=Code.INVALID, message=message, param="type", hint="use merged or registry"))
    if command.type == "registry" and command.destination is not None:
        message = "the registry is MLflow's; it has no folder"
        found.append(Problem(code=Code.INVALID, message=message, param="destination", hint="leave it out"))
    if command.type in ("adapter", "merged") and command.registered_model is not None:
        message = "only the type registry registers a model"
        found.append(Problem(code=Code.INVALID, message=message, param="registered_model", hint="leave it out"))
    if command.type == "adapter" and command.dtype != "auto":
        message = "an adapter is exported as it is"
        found.append(Problem(code=Code.INVALID, message=message, param="dtype", hint="leave it out"))
    return found


def _not_an_adapter(command: StartExportJob, adapter: Adapter | None, awaited: Job | None) -> list[Problem]:
    """What makes a whole model has no adapter to export alone."""
    if command.type != "adapter" or adapter is not None or (awaited and awaited.added["method"] != "full"):
        return []
    message = "the job makes a model, which has no adapter to export"
    return [Problem(code=Code.INVALID, message=message, param="type", hint="use merged or registry")]


def _model(known: Known, adapter: Adapter | None, command: StartExportJob, problems: list[Problem]) -> Model | None:
    """The model that is exported, or the one that the adapter belongs to."""
    if adapter is not None:
        model = known.models.get(adapter.model_id)
        if model is None:
            problems.append(missing("model", adapter.model_id, "adapter_id", "the adapter's base model is gone"))
        return model
    if command.model_id is None:
        return None
    model = known.models.get(command.model_id)
    if model is None:
        problems.append(missing("model", command.model_id, "model_id"))
    return model


def _recipe(
    known: Known,
    facts: ExportFacts,
    command: StartExportJob,
    model: Model,
    adapter: Adapter | None,
    awaited: Job | None,
    destination: str | None,
) -> ExportRecipe:
    trained_by = awaited.id if awaited else adapter.fine_tuning_job_id if adapter else model.fine_tuning_job_id
    job = (known.job(FINE_TUNING_JOB, trained_by) or known.removed_jobs.get(trained_by)) if trained_by else None
    trained = FineTuningRecipe.model_validate(dict(job.recipe)) if job and not job.is_imported else None
    plain = "chat" if model.has_chat_template else "plain"
    name = awaited.name if awaited else adapter.name if adapter else model.name
    return ExportRecipe.model_validate(
        {
            "type": command.type,
            "model": recipe.model_source(model),
            "adapter": subject.source(adapter) if adapter else None,
            "questions": trained.dataset if trained else None,
            "text_format": (trained.text_format if trained else None) or plain,
            "destination": Place(location=destination) if destination else None,
            "dtype": command.dtype,
            "registered_model": (command.registered_model or _registrable(name))
            if command.type == "registry"
            else None,
            "card": ModelCard(
                name=name,
                base_model=model.name,
                base_sha256=model.sha256,
                adapter=adapter.name if adapter else None,
                adapter_sha256=adapter.sha256 if adapter else None,
                fine_tuning_job_id=trained_by,
                dataset=facts.dataset_name,
                training=_training(trained),
                training_metrics=dict(facts.training_metrics),
                evaluation_job_id=facts.evaluation_job_id,
                evaluation_metrics=dict(facts.evaluation_metrics),
            ),
            "num_cpu": command.num_cpu,
            "num_gpu": command.num_gpu,
            "num_memory_gb": command.num_memory,
        }
    )


def _training(trained: FineTuningRecipe | None) -> dict[str, object] | None:
    """The recipe without the paths of this machine, which are nobody else's affair."""
    if trained is None:
        return None
    document = trained.model_dump(mode="json", exclude={"model": {"location"}, "dataset": {"location", "files"}})
    return {name: value for name, value in document.items() if value is not None}


def _registrable(name: str) -> str:
    """A name that MLflow takes: neither slash nor colon."""
    return "".join("-" if letter in "/:%" else letter for letter in name)
