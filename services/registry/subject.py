"""What an evaluation or an export is about, where a fine-tuning has still to make it: found now, or settled when it is.

Pure. A job that waits for its subject names the fine-tuning in `fine_tuning_job_id`, and cannot be made to wait for it
no longer; the success of that one settles adapter or model in the same transaction, by an event.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tunebus.contracts.errors import Code, Problem
from tunebus.contracts.events import SubjectMade
from tunebus.contracts.recipes import AdapterSource
from tunebus.contracts.subjects import ADAPTER, EXPORT_JOB, FINE_TUNING_JOB, MODEL
from tunebus.services.platform.decisions import NewEvent
from tunebus.services.registry import recipe
from tunebus.services.registry.decision import happened, missing
from tunebus.services.registry.jobs import Job, State, gone_wrong
from tunebus.services.registry.known import Adapter, Known, Model, adapter_of, model_of
from tunebus.services.registry.wanted import Wanted


@dataclass(frozen=True)
class Subject:
    """What a fine-tuning made, or (`awaited`) is to make: an adapter of `model`, or a model in its place."""

    model: Model
    adapter: Adapter | None = None
    awaited: Job | None = None


def refer(wanted: Wanted, references: Sequence[str]) -> None:
    wanted.jobs.update(references)
    if references:
        wanted.with_jobs_parts = wanted.with_made = True


def of_job(known: Known, reference: str, param: str, problems: list[Problem]) -> Subject | None:
    """What a fine-tuning makes, or None and why it makes nothing that can be named."""
    job = known.job(FINE_TUNING_JOB, reference)
    if job is None:
        problems.append(missing("fine-tuning job", reference, param))
        return None
    if problem := _without_result(job, param):
        problems.append(problem)
        return None
    if job.state == State.SUCCEEDED:
        adapter = known.adapters.get(job.adapter_id or "")
        model = known.models.get(adapter.model_id if adapter else job.model_id or "")
        if model is None:
            what = "adapter" if job.adapter_id else "model"
            message = f"the {what} that {job.name} made was removed"
            problems.append(Problem(code=Code.NOT_FOUND, message=message, param=param))
            return None
        return Subject(model, adapter)
    base = known.models.get(job.added["base_model_id"])
    if base is None:
        message = f"the model that {job.name} starts from was removed"
        problems.append(Problem(code=Code.NOT_FOUND, message=message, param=param))
        return None
    return Subject(base, awaited=job)


def dropped(known: Known, job: Job, depends_on: Sequence[str]) -> Problem | None:
    """Why a job cannot be made to depend on these alone: what it is about would never come."""
    maker = job.added.get("fine_tuning_job_id")
    if maker is None or maker in depends_on:
        return None
    name = known.jobs[maker].name if maker in known.jobs else maker
    return Problem(
        code=Code.INVALID,
        message=f"{job.name} is about what {name} makes, and cannot go without it",
        param="depends_on",
        hint=f"keep {name} among them, or stop this one",
    )


def gone(known: Known, job: Job) -> Problem | None:
    """Why a job would wait for ever: what it is about was made, and is gone again."""
    maker = known.jobs.get(job.added.get("fine_tuning_job_id") or "")
    if maker is None or maker.state != State.SUCCEEDED or _found(known, maker) is not None:
        return None
    message = f"{job.name} is about what {maker.name} made, which was removed"
    return Problem(code=Code.NOT_FOUND, message=message, param="job_id", hint="stop it, and start another")


def settled(known: Known, job: Job, maker_id: str, events: Sequence[NewEvent] = ()) -> NewEvent | None:
    """The event by which a job gets what it is about from the success of `maker_id`, registered by these events or
    before. None for a job that waits for nothing of that maker's.
    """
    maker = known.jobs.get(maker_id)
    if maker is None or job.added.get("fine_tuning_job_id") != maker_id:
        return None
    made = _registered(events) or _found(known, maker)
    if made is None:
        return None
    event = SubjectMade(
        fine_tuning_job_id=maker.id,
        base_model_id=made.model_id if isinstance(made, Adapter) else made.id,
        adapter_id=made.id if isinstance(made, Adapter) else None,
        recipe=_with(job, maker, made, events),
    )
    return happened(job.kind, job.id, event)


def source(adapter: Adapter) -> AdapterSource:
    return AdapterSource(adapter_id=adapter.id, location=adapter.location, sha256=adapter.sha256)


def _without_result(job: Job, param: str) -> Problem | None:
    if job.is_imported:
        message = f"{job.name} was imported: its curves are all that is here of it"
        return Problem(code=Code.WRONG_STATE, message=message, param=param, hint="name an adapter or a model")
    if not job.added.get("register_adapter", True):
        message = f"{job.name} adds what it makes to no list"
        hint = "start it with register_adapter, or add its folder as an adapter"
        return Problem(code=Code.WRONG_STATE, message=message, param=param, hint=hint)
    if why := gone_wrong(job):
        message = f"{job.name} {why}: nothing can wait for it"
        return Problem(code=Code.WRONG_STATE, message=message, param=param, hint="retry that job first")
    return None


def _registered(events: Sequence[NewEvent]) -> Adapter | Model | None:
    for event in events:
        if event.type == "AdapterAdded" and event.aggregate == ADAPTER:
            return adapter_of({"id": event.entity_id, **event.data})
        if event.type == "ModelAdded" and event.aggregate == MODEL:
            return model_of({"id": event.entity_id, **event.data})
    return None


def _found(known: Known, maker: Job) -> Adapter | Model | None:
    return known.adapters.get(maker.adapter_id or "") or known.models.get(maker.model_id or "")


def _with(job: Job, maker: Job, made: Adapter | Model, events: Sequence[NewEvent]) -> dict[str, Any]:
    """The job's recipe with what was made; the card of an export says how it was made, too."""
    if isinstance(made, Adapter):
        settled = {**job.recipe, "adapter": source(made).model_dump(mode="json")}
    else:
        settled = {**job.recipe, "model": recipe.model_source(made).model_dump(mode="json")}
    if job.kind != EXPORT_JOB:
        return settled
    metrics = next((event.data["metrics"] for event in events if event.type == "JobSucceeded"), dict(maker.metrics))
    named = (
        {"adapter": made.name, "adapter_sha256": made.sha256}
        if isinstance(made, Adapter)
        else {"base_model": made.name, "base_sha256": made.sha256}
    )
    card = {**job.recipe["card"], "name": made.name, **named, "training_metrics": metrics}
    return {**settled, "card": card}
