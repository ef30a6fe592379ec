"""Decides what becomes of fine-tunings after their end: the same job again, or a new one made from it.

A new job is decided exactly as a start is; only what it asks for, and where its weights come from, is found here.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from tunebus.contracts.changes import SHORTCUTS, command_for, of_another_job
from tunebus.contracts.commands import (
    BranchFineTuningJob,
    CloneFineTuningJob,
    ExtendFineTuningJob,
    RerunFineTuningJob,
    ResumeFineTuningJob,
    RetryFineTuningJob,
    StartFineTuningJob,
)
from tunebus.contracts.errors import Code, Problem
from tunebus.contracts.events import (
    FineTuningJobAdded,
    FineTuningJobChanged,
    JobDependenciesSet,
    JobQueued,
    Origin,
)
from tunebus.contracts.identifiers import new_id, short
from tunebus.contracts.recipes import Checkpoint, FineTuningRecipe, InitialWeights, TrainingArguments
from tunebus.contracts.subjects import FINE_TUNING_JOB
from tunebus.services.platform.decisions import Accepted, Decision, NewEvent
from tunebus.services.registry import fine_tuning_job, jobs, queue, recipe, schedule
from tunebus.services.registry.decision import happened, missing, refused, refused_all
from tunebus.services.registry.fine_tuning_job import Asked
from tunebus.services.registry.jobs import Job, State
from tunebus.services.registry.known import Known, Shelf
from tunebus.services.registry.wanted import Wanted

Derivation = CloneFineTuningJob | BranchFineTuningJob | ExtendFineTuningJob
AGAIN = frozenset({State.FAILED, State.STOPPED})

# Changes that leave a step what it was: as many rows, in the same order, with the same rate.
_OF_NO_STEP = frozenset({"gradient_checkpointing", "save_total_limit", "save_steps", "num_memory", "num_cpu"})


@dataclass(frozen=True)
class Derived:
    """What a new job asks for, found out before the decision: the other job's fields with the changes, as a command,
    what is wrong with them, and how they differ. `start` is None where there is no such job.
    """

    asked: Asked = field(default_factory=Asked)
    start: StartFineTuningJob | None = None
    difference: Mapping[str, list[Any]] = field(default_factory=dict)
    there: Collection[str] = frozenset()
    """The URIs of its checkpoints and of its result whose files are there."""


@dataclass(frozen=True)
class Again:
    """What was found out about a job that is to go on: what is wrong with the files that it is made of, and the URIs of
    its checkpoints whose files are there.
    """

    problems: Sequence[Problem] = ()
    there: Collection[str] = frozenset()


def refer_again(
    wanted: Wanted, _facts: object, command: RetryFineTuningJob | ResumeFineTuningJob | RerunFineTuningJob
) -> None:
    wanted.jobs.add(command.id)
    wanted.with_dependencies = wanted.with_jobs_parts = True
    if isinstance(command, RerunFineTuningJob):
        wanted.with_adapters_jobs = True
        if command.adapter_name:
            wanted.adapters.add(command.adapter_name)
            wanted.job_names.add(command.adapter_name)


def refer_derived(wanted: Wanted, facts: Derived, command: Derivation) -> None:
    wanted.jobs.add(command.id)
    if facts.start is not None:
        fine_tuning_job.refer_start(wanted, facts.asked, facts.start)


# the same job again


def retry(known: Known, facts: Again, command: RetryFineTuningJob) -> Decision:
    job = _found(known, command.id)
    if not isinstance(job, Job):
        return job
    if not command.suggested:
        return _again(known, facts, job, _queued(job, "retried"))
    if not job.suggestion:
        return refused(
            Code.INVALID, f"the end of {job.name} suggests no change", param="suggested", hint="retry it as it was"
        )
    if foreign := of_another_job(job.suggestion):
        return refused(
            Code.NOT_SUPPORTED,
            f"the suggested change of {', '.join(foreign)} makes it another job",
            param="suggested",
            hint=command_for(job.id, job.suggestion),
        )
    settled, changes = changed(job.recipe, job.suggestion)
    model = known.models.get(job.added["base_model_id"])
    if model and (long := recipe.too_long(settled["training_arguments"]["max_length"], [model], "suggested")):
        return refused_all(long)
    restart = not keeps_steps(job.recipe, settled, changes)
    asked = asked_with(job.added["asked"], job.recipe, job.suggestion)
    event = FineTuningJobChanged(recipe=settled, changes=changes, restart=restart, asked=asked)
    return _again(known, facts, job, happened(job.kind, job.id, event), _queued(job, "retried"))


def resume(known: Known, facts: Again, command: ResumeFineTuningJob) -> Decision:
    job = _found(known, command.id)
    if not isinstance(job, Job):
        return job
    points = [point for point in job.checkpoints if point.uri in facts.there]
    none_left = bool(job.checkpoints) and not points
    if none_left or (command.step is not None and command.step not in {point.step for point in points}):
        return refused_all([_no_checkpoint(job, command.step, points)])
    return _again(known, facts, job, _queued(job, "resumed", command.step))


def _found(known: Known, reference: str) -> Job | Decision:
    """A job that has ended without success."""
    job = known.job(FINE_TUNING_JOB, reference)
    if job is None:
        return refused_all([missing("fine-tuning job", reference, "id")])
    if job.is_imported:
        return _ran_elsewhere(job)
    if job.state == State.SUCCEEDED:
        hint = f"go on with its result: tunebus train extend {job.id} --num-epochs 1"
    elif job.state == State.HELD:
        hint = f"release it: tunebus queue release {job.id}"
    else:
        hint = "it goes on by itself"
    if job.state in AGAIN:
        return job
    return refused(Code.WRONG_STATE, f"{job.name} is {job.state}", param="id", hint=hint)


def _missing_parts(known: Known, job: Job) -> list[Problem]:
    """What the job is made of and was removed since."""
    parts: dict[str, tuple[str, Shelf[Any]]] = {
        "base_model_id": ("model", known.models),
        "dataset_id": ("dataset", known.datasets),
        "prompt_id": ("prompt", known.prompts),
    }
    found = []
    for name, (what, shelf) in parts.items():
        reference = job.added.get(name)
        if reference is None or shelf.get(reference) is not None:
            continue
        found.append(
            Problem(
                code=Code.NOT_FOUND,
                message=f"{job.name} needs the {what} {known.gone.get(reference, reference)!r}, which was removed",
                param="id",
                hint=f"start another with what is there: tunebus train clone {job.id} --set {name}=NAME",
            )
        )
    return found


def _ran_elsewhere(job: Job) -> Decision:
    return refused(
        Code.WRONG_STATE,
        f"{job.name} was imported: it ran elsewhere, and its curves are all that is here of it",
        param="id",
        hint="start a job of the studio's own: tunebus train start",
    )


def _again(known: Known, facts: Again, job: Job, *events: NewEvent) -> Decision:
    """These events, unless something that it is made of was removed or is not what it was, or it would wait for what
    never comes: nobody told it how those ended that it waited for."""
    problems = [*facts.problems, *_missing_parts(known, job)]
    found = queue.dependencies(known, job.waiting_for, problems, param="id")
    if problems:
        return refused_all(problems)
    if tuple(found.waiting_for) == job.waiting_for:
        return Accepted(events, id=job.id)
    anew = JobDependenciesSet(depends_on=list(job.depends_on), waiting_for=found.waiting_for, added=[], removed=[])
    return Accepted([happened(job.kind, job.id, anew), *events], id=job.id)


def _queued(job: Job, cause: str, step: int | None = None) -> NewEvent:
    return happened(job.kind, job.id, JobQueued(cause=cause, attempts=job.attempt, resume_step=step))


def changed(recipe: Mapping[str, Any], wanted: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, list[Any]]]:
    """A recipe with some of its command's fields changed, and what they were and are."""
    arguments, top = dict(recipe["training_arguments"]), dict(recipe)
    sources, changes = dict(recipe.get("sources") or {}), {}
    for name, value in wanted.items():
        if name == "training_arguments":
            for key, given in value.items():
                changes[key] = [arguments.get(key), given]
                arguments[key], sources[key] = given, "command"
        elif name in SHORTCUTS:
            key = SHORTCUTS[name]
            changes[name] = [arguments.get(key), value]
            arguments[key], sources[key] = value, "command"
        else:
            key = {"num_memory": "num_memory_gb"}.get(name, name)
            changes[name] = [top.get(key), value]
            top[key], sources[key] = value, "command"
    settled = TrainingArguments.model_validate(arguments).model_dump(mode="json")
    return {**top, "training_arguments": settled, "sources": sources}, changes


def asked_with(asked: Mapping[str, Any], recipe: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a job's command with some changed. Of a training_arguments config of which a setting changes, what
    the `recipe` took from it stays, as an object."""
    inline = wanted.get("training_arguments")
    if inline is None:
        return {**asked, **wanted}
    before = asked.get("training_arguments") or {}
    if isinstance(before, str):
        sources = recipe.get("sources") or {}
        before = {name: value for name, value in recipe["training_arguments"].items() if sources.get(name) == "config"}
    return {**asked, **wanted, "training_arguments": {**before, **inline}}


def keeps_steps(before: Mapping[str, Any], after: Mapping[str, Any], changes: Mapping[str, Any]) -> bool:
    """Whether a step of the changed recipe is a step of the old one, so that its checkpoints may be gone on from."""

    def rows(recipe: Mapping[str, Any]) -> int:
        arguments = recipe["training_arguments"]
        batch, accumulated = arguments["per_device_train_batch_size"], arguments["gradient_accumulation_steps"]
        return int(batch) * int(accumulated)

    batches = {"batch_size", "gradient_accumulation_steps"}
    return set(changes) <= batches | _OF_NO_STEP and rows(before) == rows(after)


# new jobs


def clone(known: Known, facts: Derived, command: CloneFineTuningJob) -> Decision:
    job = known.job(FINE_TUNING_JOB, command.id)
    if job is None or facts.start is None:
        return refused_all([missing("fine-tuning job", command.id, "id")])
    if job.is_imported:
        return _ran_elsewhere(job)
    origin = Origin(kind="clone", job_id=job.id, difference=dict(facts.difference))
    return _start(known, facts, job, origin, None)


def branch(known: Known, facts: Derived, command: BranchFineTuningJob) -> Decision:
    job = known.job(FINE_TUNING_JOB, command.id)
    if job is None or facts.start is None:
        return refused_all([missing("fine-tuning job", command.id, "id")])
    if job.is_imported:
        return _ran_elsewhere(job)
    there = [point for point in jobs.newest_first(job) if point.uri in facts.there]
    points = [point for point in there if command.step in (None, point.step)]
    if not points:
        return refused_all([_no_checkpoint(job, command.step, there)])
    origin = Origin(kind="branch", job_id=job.id, step=points[0].step, difference=dict(facts.difference))
    return _start(known, facts, job, origin, _weights_of(job, points[0]))


def extend(known: Known, facts: Derived, command: ExtendFineTuningJob) -> Decision:
    job = known.job(FINE_TUNING_JOB, command.id)
    if job is None or facts.start is None:
        return refused_all([missing("fine-tuning job", command.id, "id")])
    if job.is_imported:
        return _ran_elsewhere(job)
    if (command.num_epochs is None) == (command.max_steps is None):
        return refused(
            Code.INVALID,
            "how much longer is said by one of num_epochs and max_steps",
            param="num_epochs",
            hint="for example --num-epochs 1",
        )
    if job.state != State.SUCCEEDED or job.result is None:
        return refused(
            Code.WRONG_STATE,
            f"{job.name} is {job.state}: only a finished training is extended",
            param="id",
            hint=f"let it go on: tunebus train resume {job.id}" if job.state in AGAIN else "wait for its end",
        )
    uri, sha256 = job.result
    if uri not in facts.there:
        message = f"the result of {job.name} is no longer where it was kept"
        hint = f"branch from one of its checkpoints: tunebus train show {job.id}"
        return refused(Code.NOT_FOUND, message, param="id", hint=hint)
    weights = InitialWeights(
        job_id=job.id, step=job.step, location=uri, sha256=sha256, learning_rate=_rate(job, job.step)
    )
    origin = Origin(kind="extend", job_id=job.id, step=job.step, difference=dict(facts.difference))
    return _start(known, facts, job, origin, weights)


def _start(known: Known, facts: Derived, job: Job, origin: Origin, weights: InitialWeights | None) -> Decision:
    assert facts.start is not None
    wanted = facts.start
    problems = list(facts.asked.problems)
    if weights is not None:
        problems += _of_other_weights(job, wanted)
    if wanted.adapter_name is None:
        wanted = wanted.model_copy(update={"adapter_name": _free_name(known, job)})
    asked = replace(facts.asked, problems=problems)
    return fine_tuning_job.start(
        known, asked, wanted, origin=origin, initial_weights=weights, trained_as=job.recipe if weights else None
    )


def _of_other_weights(job: Job, wanted: StartFineTuningJob) -> list[Problem]:
    """What weights cannot be carried over to."""
    method = str(job.added.get("method"))
    found = []
    if wanted.method != method:
        message = f"the weights are those of the method {method}"
        found.append(Problem(code=Code.INVALID, message=message, param="changes.method", hint="leave it out"))
    if wanted.user_script is not None:
        message = "a script of its own starts from what it likes"
        found.append(
            Problem(code=Code.NOT_SUPPORTED, message=message, param="changes.user_script", hint="clone it instead")
        )
    return found


def rerun(known: Known, asked: Asked, command: RerunFineTuningJob) -> Decision:
    """The recorded recipe as it was resolved, whatever defaults and configs say now."""
    job = known.job(FINE_TUNING_JOB, command.id)
    if job is None:
        return refused_all([missing("fine-tuning job", command.id, "id")])
    if job.is_imported:
        return _ran_elsewhere(job)
    problems = [*asked.problems, *_missing_parts(known, job)]
    if not job.total_steps:
        message = f"{job.name} has never run"
        problems.append(Problem(code=Code.WRONG_STATE, message=message, param="id", hint="clone it instead"))
    if command.adapter_name and (taken := known.adapter_name_taken(command.adapter_name)):
        problems.append(
            Problem(code=Code.DUPLICATE_NAME, message=taken, param="adapter_name", hint="choose another name")
        )
    if problems:
        return refused_all(problems)
    job_id = new_id()
    name = command.adapter_name or _free_name(known, job)
    recorded = FineTuningRecipe.model_validate(dict(job.recipe)).model_copy(
        update={"adapter_name": name, "num_cpu": job.threads or job.recipe.get("num_cpu")}
    )
    added = FineTuningJobAdded(
        base_model_id=job.added["base_model_id"],
        dataset_id=job.added["dataset_id"],
        prompt_id=job.added.get("prompt_id"),
        adapter_name=name,
        method=recorded.method,
        register_adapter=command.adapter_name is not None,
        asked=dict(job.added["asked"]),
        recipe=recorded.model_dump(mode="json"),
        out_dir=f"artifact:jobs/{job_id}",
        origin=Origin(kind="rerun", job_id=job.id),
    )
    first = jobs.first_event(FINE_TUNING_JOB, job_id)
    return Accepted((happened(FINE_TUNING_JOB, job_id, added), first), id=job_id)


def _weights_of(job: Job, point: Checkpoint) -> InitialWeights:
    return InitialWeights(
        job_id=job.id,
        step=point.step,
        location=point.uri,
        manifest_sha256=point.manifest_sha256,
        learning_rate=_rate(job, point.step),
    )


def _rate(job: Job, step: int) -> float:
    return schedule.learning_rate_after(job.recipe, job.total_steps, step)


def _no_checkpoint(job: Job, step: int | None, there: Sequence[Checkpoint]) -> Problem:
    """Why a checkpoint cannot be gone on from: it never was, or its files are gone since."""
    recorded = step in {point.step for point in job.checkpoints} if step is not None else bool(job.checkpoints)
    which = f" of step {step}" if step is not None else ""
    left = ", ".join(str(found) for found in sorted({point.step for point in there}))
    if recorded:
        message = f"{job.name} no longer has {f'its checkpoint{which}' if which else 'any of its checkpoints'}"
    else:
        message = f"{job.name} has no checkpoint{which}"
    if left:
        hint = f"there are those of {left}"
    elif job.checkpoints:
        hint = f"from the beginning: tunebus train retry {job.id}, or clone it"
    else:
        hint = "it ended before its first one"
    return Problem(code=Code.NOT_FOUND, message=message, param="step", hint=hint)


def _free_name(known: Known, job: Job) -> str:
    """The other job's name with a few characters that make it another."""
    return f"{job.name[:88]}-{short(new_id())}"
