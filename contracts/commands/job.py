"""Commands that apply to every kind of job: its place in the queue, what it waits for, and what people write on it.

They may be sent to the context of any kind of job; `job_id` says which job is meant.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints
from tunebus.contracts import subjects
from tunebus.contracts.commands.command import Command, Reference

Priority = Annotated[int, Field(ge=-1000, le=1000, strict=True, description="higher goes first, -1000 to 1000")]
Label = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=50, pattern=r"^[^\r\n]*$")]
Labels = Annotated[list[Label], Field(max_length=20, description="words to find the job by")]
Notes = Annotated[str, StringConstraints(max_length=10_000), Field(description="what people want to remember of it")]
Dependencies = Annotated[
    list[Reference], Field(max_length=64, description="jobs that must have succeeded first, by id or name")
]
Hold = Annotated[bool, Field(description="put it in the queue, but do not start it until it is released")]


class _JobCommand(Command):
    contexts = subjects.JOB_KINDS

    job_id: Reference


class PrioritizeJob(_JobCommand):
    """Change the priority of a job that waits: higher goes first, whatever came before."""

    priority: Priority


class HoldJob(_JobCommand):
    """Keep a job that waits from being started, until `ReleaseJob`. `reason` is shown beside it."""

    reason: Annotated[str, StringConstraints(strip_whitespace=True, max_length=500)] = ""


class ReleaseJob(_JobCommand):
    """Let a held job be started again. Refused `wrong_state` while a job it depends on has failed or was stopped."""


class MoveJob(_JobCommand):
    """Change the order among the jobs of the same kind and priority that wait."""

    to: Literal["up", "down", "top", "bottom"]


class LabelJob(_JobCommand):
    """Give a job these labels, in place of those it had; an empty list takes them away."""

    labels: Labels


class NoteJob(_JobCommand):
    """Write notes on a job, in place of those it had."""

    notes: Notes


class SetJobDependencies(_JobCommand):
    """Let a job that waits depend on these jobs, in place of those it depended on. It starts when all have succeeded;
    one that fails or is stopped holds it."""

    depends_on: Dependencies
