"""Decides about adapters, those brought by a user and those that a fine-tuning made."""

from __future__ import annotations

from tunebus.contracts.commands import AddAdapter, RemoveAdapter, RenameAdapter
from tunebus.contracts.errors import Code, Problem
from tunebus.contracts.events import AdapterAdded, AdapterRemoved, AdapterRenamed
from tunebus.contracts.identifiers import new_id, short
from tunebus.contracts.subjects import ADAPTER, FINE_TUNING_JOB
from tunebus.services.platform.decisions import Accepted, Decision, NewEvent, Rejected
from tunebus.services.registry import users
from tunebus.services.registry.adapter_folder import AdapterFolder
from tunebus.services.registry.decision import happened, missing, name_problem, refused_all
from tunebus.services.registry.hub_origin import already_added
from tunebus.services.registry.known import Adapter, Known
from tunebus.services.registry.renaming import rename as renamed
from tunebus.services.registry.wanted import Wanted, given


def refer_add(wanted: Wanted, _facts: object, command: AddAdapter) -> None:
    wanted.adapters.add(command.name)
    wanted.from_hub(ADAPTER, command.huggingface_name)
    wanted.job_names.add(command.name)
    wanted.models.add(command.model_id)
    wanted.jobs.update(given(command.fine_tuning_job_id))
    wanted.prompts.update(given(command.prompt_id))


def add(known: Known, facts: AdapterFolder | None, command: AddAdapter) -> Decision:
    """`facts` is None where the model was unknown when the folder should have been compared with it."""
    problems = []
    job = known.job(FINE_TUNING_JOB, command.fine_tuning_job_id) if command.fine_tuning_job_id else None
    if taken := known.adapter_name_taken(command.name, made_by=job):
        problems.append(_taken(taken))
    elif problem := name_problem("adapter", command.name, taken=False):
        problems.append(problem)
    model = known.models.get(command.model_id)
    if model is None or facts is None:
        problems.append(missing("model", command.model_id, "model_id", "add the model first, and wait for its outcome"))
    if command.fine_tuning_job_id and job is None:
        problems.append(missing("fine-tuning job", command.fine_tuning_job_id, "fine_tuning_job_id"))
    prompt = known.prompts.get(command.prompt_id) if command.prompt_id else None
    if command.prompt_id and prompt is None:
        problems.append(missing("prompt", command.prompt_id, "prompt_id"))
    source = facts.hub.source if facts and facts.hub else None
    if problem := already_added("adapter", source, known.adapters):
        problems.append(problem)
    if problems:
        return refused_all(problems)
    assert model is not None
    assert facts is not None
    adapter_id = new_id()
    event = AdapterAdded(
        name=command.name,
        type="huggingface" if source else "local",
        huggingface_name=source.name if source else None,
        revision=source.revision if source else None,
        model_id=model.id,
        location=facts.location,
        sha256=facts.sha256,
        fine_tuning_job_id=job.id if job else None,
        prompt_id=prompt.id if prompt else None,
    )
    return Accepted((happened(ADAPTER, adapter_id, event),), id=adapter_id)


def made_by_job(
    known: Known, *, name: str, model_id: str, location: str, sha256: str, job_id: str, prompt_id: str | None
) -> tuple[str, NewEvent]:
    """The id and the event of the adapter that a succeeded fine-tuning registers; one that took its name keeps it."""
    adapter_id = new_id()
    if known.adapters.named(name) is not None:
        name = f"{name[:91]}-{short(job_id)}"
    event = AdapterAdded(
        name=name,
        type="local",
        model_id=model_id,
        location=location,
        sha256=sha256,
        fine_tuning_job_id=job_id,
        prompt_id=prompt_id,
    )
    return adapter_id, happened(ADAPTER, adapter_id, event)


def refer_rename(wanted: Wanted, _facts: object, command: RenameAdapter) -> None:
    wanted.adapters.update((command.id, command.name))
    wanted.job_names.add(command.name)
    wanted.with_adapters_jobs = True


def rename(known: Known, _facts: None, command: RenameAdapter) -> Decision:
    """A fine-tuning that is to make an adapter of this name has the name already."""
    adapter = known.adapters.get(command.id)
    if adapter is not None:
        made_by = known.jobs.get(adapter.fine_tuning_job_id or "")
        if taken := known.adapter_name_taken(command.name, but=adapter, made_by=made_by):
            return Rejected(_taken(taken))
    return renamed(ADAPTER, known.adapters, command, AdapterRenamed)


def refer_remove(wanted: Wanted, _facts: object, command: RemoveAdapter) -> None:
    wanted.adapters.add(command.id)
    wanted.leaves(ADAPTER, command.id)


def remove(known: Known, _facts: None, command: RemoveAdapter) -> Decision:
    adapter = known.adapters.get(command.id)
    if adapter is None:
        return Rejected(missing("adapter", command.id, "id"))
    if found := users.of_adapter(known, adapter):
        return users.in_use(f"adapter {adapter.name!r}", found, "stop these or let them end first")
    return Accepted((removed(adapter),), id=adapter.id)


def removed(adapter: Adapter) -> NewEvent:
    return happened(ADAPTER, adapter.id, AdapterRemoved(name=adapter.name))


def _taken(who: str) -> Problem:
    return Problem(code=Code.DUPLICATE_NAME, message=who, param="name", hint="choose another name")
