"""Decides about jobs that wait: their order, holding and releasing, and the jobs that they depend on.

The same for every kind of job. Pure: who waits and who depends on whom is in `Known`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tunebus.contracts.commands import (
    HoldJob,
    LabelJob,
    MoveJob,
    NoteJob,
    PrioritizeJob,
    ReleaseJob,
    SetJobDependencies,
)
from tunebus.contracts.errors import Code, Problem
from tunebus.contracts.events import (
    DependencyMet,
    JobDependenciesSet,
    JobHeld,
    JobLabeled,
    JobMoved,
    JobNoted,
    JobPrioritized,
    JobQueued,
)
from tunebus.services.platform.decisions import Accepted, Decision, NewEvent, Rejected
from tunebus.services.registry import subject
from tunebus.services.registry.decision import happened, missing, refused, refused_all
from tunebus.services.registry.jobs import ENDED, Job, State, gone_wrong
from tunebus.services.registry.known import Known, Place
from tunebus.services.registry.wanted import Wanted

_OUTCOMES = {"JobSucceeded": "succeeded", "JobFailed": "failed", "JobStopped": "was stopped"}


@dataclass(frozen=True)
class Dependencies:
    """The jobs that another depends on, and those among them that have not succeeded yet; both as ids."""

    depends_on: list[str]
    waiting_for: list[str]

    def also(self, job: Job | None) -> Dependencies:
        """With one more that has not succeeded yet, if any."""
        if job is None or job.id in self.depends_on:
            return self
        return Dependencies([*self.depends_on, job.id], [*self.waiting_for, job.id])


def refer_job(wanted: Wanted, _facts: object, command: PrioritizeJob | HoldJob | LabelJob | NoteJob) -> None:
    wanted.jobs.add(command.job_id)


def refer_release(wanted: Wanted, _facts: object, command: ReleaseJob) -> None:
    wanted.jobs.add(command.job_id)
    wanted.with_dependencies = wanted.with_made = True


def refer_move(wanted: Wanted, _facts: object, command: MoveJob) -> None:
    wanted.jobs.add(command.job_id)
    wanted.with_queues = True


def refer_dependencies(wanted: Wanted, _facts: object, command: SetJobDependencies) -> None:
    wanted.jobs.update((command.job_id, *command.depends_on))
    wanted.with_dependencies = wanted.with_made = True


def prioritize(known: Known, _facts: object, command: PrioritizeJob) -> Decision:
    job = known.any_job(command.job_id)
    if job is None or not job.is_waiting:
        return _not_waiting(job, command.job_id, "given another priority")
    if job.priority == command.priority:
        return Accepted(id=job.id)
    return Accepted((happened(job.kind, job.id, JobPrioritized(priority=command.priority)),), id=job.id)


def hold(known: Known, _facts: object, command: HoldJob) -> Decision:
    """A held job stays held, for the cause it has."""
    job = known.any_job(command.job_id)
    if job is None or not job.is_waiting:
        return _not_waiting(job, command.job_id, "held", hint="stop it")
    if job.state == State.HELD:
        return Accepted(id=job.id)
    event = JobHeld(cause="requested", message=command.reason)
    return Accepted((happened(job.kind, job.id, event),), id=job.id)


def release(known: Known, _facts: object, command: ReleaseJob) -> Decision:
    job = known.any_job(command.job_id)
    if job is None or not job.is_waiting:
        return _not_waiting(job, command.job_id, "released")
    if job.state != State.HELD:
        return Accepted(id=job.id)
    problems = [
        Problem(
            code=Code.WRONG_STATE,
            message=f"{job.name} depends on {known.jobs[other].name if other in known.jobs else other}, which {why}",
            param="job_id",
            hint="retry that job, or take it out of depends_on (SetJobDependencies)",
        )
        for other in job.waiting_for
        if (why := gone_wrong(known.jobs.get(other)))
    ]
    if problem := subject.gone(known, job):
        problems.append(problem)
    if problems:
        return refused_all(problems)
    return Accepted([*_met_unheard(known, job), _queued(job, "released")], id=job.id)


def _met_unheard(known: Known, job: Job) -> list[NewEvent]:
    """Dependencies whose success was recorded where nobody told this job: both came by an import."""
    events: list[NewEvent] = []
    left = job.waiting_for
    for other in job.waiting_for:
        if other in known.jobs and known.jobs[other].state == State.SUCCEEDED:
            left = tuple(one for one in left if one != other)
            events.append(happened(job.kind, job.id, DependencyMet(dependency_id=other, waiting_for=list(left))))
            if made := subject.settled(known, job, other):
                events.append(made)
    return events


def move(known: Known, _facts: object, command: MoveJob) -> Decision:
    """Among the waiting jobs of its kind and priority. One that is there already stays, and nothing is written."""
    job = known.any_job(command.job_id)
    if job is None or not job.is_waiting:
        return _not_waiting(job, command.job_id, "moved")
    own = Place(job.rank, job.id)
    line = sorted({*known.line(job.kind, job.priority), own})
    at = line.index(own)
    goal = {"up": max(0, at - 1), "down": min(len(line) - 1, at + 1), "top": 0, "bottom": len(line) - 1}[command.to]
    if goal == at:
        return Accepted(id=job.id)
    others = [place.rank for place in line if place != own]
    step = -1 if goal < at else 1
    while 0 < goal < len(others) and others[goal - 1] == others[goal]:  # no place between equals: past them
        goal += step
    before = others[goal - 1] if goal else ""
    after = others[goal] if goal < len(others) else None
    event = JobMoved(to=command.to, rank=rank_between(before, after))
    return Accepted((happened(job.kind, job.id, event),), id=job.id)


def label(known: Known, _facts: object, command: LabelJob) -> Decision:
    job = known.any_job(command.job_id)
    if job is None:
        return _not_waiting(None, command.job_id, "")
    labels = without_doubles(command.labels)
    if tuple(labels) == job.labels:
        return Accepted(id=job.id)
    return Accepted((happened(job.kind, job.id, JobLabeled(labels=labels)),), id=job.id)


def note(known: Known, _facts: object, command: NoteJob) -> Decision:
    job = known.any_job(command.job_id)
    if job is None:
        return _not_waiting(None, command.job_id, "")
    if command.notes == job.notes:
        return Accepted(id=job.id)
    return Accepted((happened(job.kind, job.id, JobNoted(notes=command.notes)),), id=job.id)


def set_dependencies(known: Known, _facts: object, command: SetJobDependencies) -> Decision:
    """A job that no longer waits for anything may be started at once; one that is held stays so until released."""
    job = known.any_job(command.job_id)
    if job is None or not job.is_waiting:
        return _not_waiting(job, command.job_id, "made to depend on others")
    problems: list[Problem] = []
    found = dependencies(known, command.depends_on, problems)
    for number, other in enumerate(found.depends_on):
        if job.id == other or job.id in known.all_dependencies(other):
            name = known.jobs[other].name
            why = "a job cannot depend on itself" if job.id == other else f"{name} depends on {job.name} already"
            problems.append(Problem(code=Code.INVALID, message=why, param=f"depends_on.{number}"))
    if problem := subject.dropped(known, job, found.depends_on) or subject.gone(known, job):
        problems.append(problem)
    if problems:
        return refused_all(problems)
    if tuple(found.depends_on) == job.depends_on:
        return Accepted(id=job.id)
    event = JobDependenciesSet(
        depends_on=found.depends_on,
        waiting_for=found.waiting_for,
        added=[other for other in found.depends_on if other not in job.depends_on],
        removed=[other for other in job.depends_on if other not in found.depends_on],
    )
    events = [happened(job.kind, job.id, event)]
    maker = job.added.get("fine_tuning_job_id")
    if maker and maker not in found.waiting_for and (made := subject.settled(known, job, maker)):
        events.append(made)
    if job.state == State.QUEUED and job.waiting_for and not found.waiting_for:
        events.append(_queued(job, "dependencies_met"))
    return Accepted(events, id=job.id)


def dependencies(
    known: Known, references: Sequence[str], problems: list[Problem], param: str = "depends_on"
) -> Dependencies:
    """What a job is to depend on; adds to `problems` jobs that are unknown or have not succeeded and never will."""
    depends_on: list[str] = []
    waiting_for: list[str] = []
    for number, reference in enumerate(references):
        job = known.any_job(reference)
        where = f"{param}.{number}"
        if job is None:
            problems.append(missing("job", reference, where, "give a job's id, or the name of the adapter it makes"))
        elif why := gone_wrong(job):
            problems.append(
                Problem(
                    code=Code.WRONG_STATE,
                    message=f"{job.name} {why}: nothing can wait for it",
                    param=where,
                    hint="retry that job first, or leave it out",
                )
            )
        elif job.id not in depends_on:
            depends_on.append(job.id)
            if job.state != State.SUCCEEDED:
                waiting_for.append(job.id)
    return Dependencies(depends_on, waiting_for)


def consequences(known: Known, events: Sequence[NewEvent]) -> list[NewEvent]:
    """What the ends among these events mean for the jobs that depend on those that ended: for the same transaction.

    A success may free them, also those that an earlier end of the same job had held; any other end holds them.
    """
    follow: list[NewEvent] = []
    left: dict[str, tuple[str, ...]] = {}
    for event in events:
        outcome = _OUTCOMES.get(event.type)
        for job in known.dependants(event.entity_id) if outcome else ():
            waiting_for = left.get(job.id, job.waiting_for)
            if event.entity_id not in waiting_for or job.state in ENDED:
                continue
            if event.type == "JobSucceeded":
                left[job.id] = remaining = tuple(other for other in waiting_for if other != event.entity_id)
                met = DependencyMet(dependency_id=event.entity_id, waiting_for=list(remaining))
                follow.append(happened(job.kind, job.id, met))
                if made := subject.settled(known, job, event.entity_id, events):
                    follow.append(made)
                held_by_an_end = job.state == State.HELD and job.held == "dependency_failed"
                if not remaining and (job.state == State.QUEUED or held_by_an_end):
                    follow.append(_queued(job, "dependencies_met"))
            elif job.state == State.QUEUED:
                ended = known.jobs.get(event.entity_id)
                name = ended.name if ended else event.entity_id
                held = JobHeld(
                    cause="dependency_failed",
                    message=f"it depends on {name!r}, which {outcome}",
                    dependency_id=event.entity_id,
                )
                follow.append(happened(job.kind, job.id, held))
    return follow


def rank_between(before: str, after: str | None) -> str:
    """A rank after `before` (empty: the very first) and before `after` (None: before that of any job still to come).

    Ranks are read as the digits of decimal fractions, and none ends in 0: as text they sort as the fractions do, and
    between any two there is always another.
    """
    if after is None:
        return before + "5"
    digits = max(len(before), len(after)) + 1
    middle = (int(before.ljust(digits, "0") or "0") + int(after.ljust(digits, "0"))) // 2
    return str(middle).rjust(digits, "0").rstrip("0")


def without_doubles(labels: Sequence[str]) -> list[str]:
    """Labels as given, each once whatever its case."""
    seen: dict[str, str] = {}
    for text in labels:
        seen.setdefault(text.casefold(), text)
    return list(seen.values())


def _not_waiting(job: Job | None, reference: str, what: str, hint: str | None = None) -> Rejected:
    if job is None:
        return refused_all(
            [missing("job", reference, "job_id", "give a job's id, or the name of the adapter it makes")]
        )
    if job.state in ENDED:
        hint = None
    return refused(
        Code.WRONG_STATE,
        f"{job.name} is {job.state}; only a job that waits can be {what}",
        param="job_id",
        hint=hint,
    )


def _queued(job: Job, cause: str) -> NewEvent:
    return happened(job.kind, job.id, JobQueued(cause=cause, attempts=job.attempt))
