"""Decides about taking ended jobs of any kind out of the lists. It deletes no file: `sweeper` does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from tunebus.services.platform.decisions import Decision, Rejected
from tunebus.services.registry import jobs, users
from tunebus.services.registry.decision import missing
from tunebus.services.registry.known import Known
from tunebus.services.registry.wanted import Decide, Handler, Wanted


@dataclass(frozen=True)
class JobFiles:
    """What the prepare step found in the job's folder."""

    bytes: int = 0


class RemoveJob(Protocol):
    """A command that removes a job."""

    @property
    def id(self) -> str: ...

    @property
    def delete_files(self) -> bool: ...


def handler(kind: str) -> Handler:
    """How to remove jobs of a kind."""

    def refer(wanted: Wanted, _facts: object, command: RemoveJob) -> None:
        wanted.jobs.add(command.id)
        wanted.leaves(kind, command.id)

    return Handler(_remove(kind), refer)


def _remove(kind: str) -> Decide:
    def remove(known: Known, facts: JobFiles, command: RemoveJob) -> Decision:
        job = known.job(kind, command.id)
        if job is None and command.delete_files:
            gone = known.removed_jobs.get(command.id)
            job = gone if gone is not None and gone.kind == kind else None
        if job is None:
            return Rejected(missing(kind.replace("_", "-", 1).replace("_", " "), command.id, "id"))
        if found := users.of_job(known, job):
            return users.in_use(f"the work of {job.name!r}", found, "remove these, or let the jobs end first")
        return jobs.remove(job, bytes_of_files=facts.bytes, delete_files=command.delete_files)

    return remove
