"""Decides about adapters, those brought by a user and those that a fine-tuning made."""

from __future__ import annotations

from tunebus.contracts.commands import AddAdapter
from tunebus.contracts.errors import Code, Problem
from tunebus.contracts.events import AdapterAdded
from tunebus.contracts.identifiers import new_id
from tunebus.contracts.subjects import ADAPTER, FINE_TUNING_JOB
from tunebus.services.platform.decisions import Accepted, Decision, NewEvent
from tunebus.services.registry.adapter_folder import AdapterFolder
from tunebus.services.registry.decision import happened, missing, name_problem, refused_all
from tunebus.services.registry.known import Known
from tunebus.services.registry.wanted import Wanted, given


def refer_add(wanted: Wanted, _facts: object, command: AddAdapter) -> None:
    wanted.adapters.add(command.name)
    wanted.job_names.add(command.name)
    wanted.models.add(command.model_id)
    wanted.jobs.update(given(command.fine_tuning_job_id))
    wanted.prompts.update(given(command.prompt_id))


def add(known: Known, facts: AdapterFolder | None, command: AddAdapter) -> Decision:
    """`facts` is None where the model was unknown when the folder should have been compared with it."""
    problems = []
    taken = known.adapter_name_taken(command.name)
    if taken:
        problems.append(
            Problem(code=Code.DUPLICATE_NAME, message=taken, param="name", hint="choose another name")
        )  # fmt: skip
    elif problem := name_problem("adapter", command.name, taken=False):
        problems.append(problem)
    model = known.models.get(command.model_id)
    if model is None or facts is None:
        problems.append(missing("model", command.model_id, "model_id", "add the model first, and wait for its outcome"))
    job = known.job(FINE_TUNING_JOB, command.fine_tuning_job_id) if command.fine_tuning_job_id else None
    if command.fine_tuning_job_id and job is None:
        problems.append(missing("fine-tuning job", command.fine_tuning_job_id, "fine_tuning_job_id"))
    prompt = known.prompts.get(command.prompt_id) if command.prompt_id else None
    if command.prompt_id and prompt is None:
        problems.append(missing("prompt", command.prompt_id, "prompt_id"))
    if problems:
        return refused_all(problems)
    assert model is not None
    assert facts is not None
    adapter_id = new_id()
    event = AdapterAdded(
        name=command.name,
        type=command.type,
        model_id=model.id,
        location=facts.location,
        sha256=facts.sha256,
        fine_tuning_job_id=job.id if job else None,
        prompt_id=prompt.id if prompt else None,
    )
    return Accepted((happened(ADAPTER, adapter_id, event),), id=adapter_id)


def made_by_job(
    *, name: str, model_id: str, location: str, sha256: str, job_id: str, prompt_id: str | None
) -> tuple[str, NewEvent]:
    """The id and the event of the adapter that a succeeded fine-tuning registers."""
    adapter_id = new_id()
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
