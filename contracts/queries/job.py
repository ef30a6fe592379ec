"""Queries about jobs of any kind: where they stand in the queue, what they measured and printed."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from tunebus.contracts.queries.query import List, Paged, Query
from tunebus.contracts.rpc import JobKind


class ListJobs(List):
    """What the lists of every kind of job can be asked for."""

    state: str | None = None
    label: Annotated[str | None, Field(max_length=50, description="only jobs with this label")] = None
    search: Annotated[
        str | None,
        Field(max_length=200, description="only jobs with this text in their name, or their model's or dataset's"),
    ] = None
    order: Annotated[
        Literal["added", "newest", "queue"],
        Field(description="as added, the newest first, or as they are given out"),
    ] = "added"


class ListQueue(Paged):
    """The jobs that have not ended, of every kind: those that run, then those that wait, as they are given out, then
    those held. `queue_position` counts from 1, `waiting_reason` says why a job does not run yet.
    """

    kind: Annotated[JobKind | None, Field(description="only jobs of this kind")] = None


class GetMetrics(Query):
    """A job's curves. Per step and name the value of the highest attempt and when it was measured; `since_step` leaves
    out what a client has. A series of more than `points` is thinned out, its ends, extremes and gaps kept.
    """

    answers = "metrics"

    job_id: str
    names: list[str] | None = None
    since_step: int = -1
    points: Annotated[int, Field(ge=2, le=5000, description="at most so many of each series")] = 5000


class GetLog(Query):
    """The text of an attempt's output from a byte offset on; the newest attempt when none is named."""

    answers = "log"

    job_id: str
    attempt: int | None = None
    offset: Annotated[int, Field(ge=0)] = 0
    limit: Annotated[int, Field(ge=1, le=1_000_000)] = 100_000


class GetSamples(Query):
    """What a fine-tuning's model answered to a few held-out rows at each evaluation, and the base model's answers.
    Of an evaluation of typed prompts, what of its answers is written so far.
    """

    answers = "samples"

    job_id: str
    since_step: int = -1


class CompareRuns(Query):
    """Whether two fine-tunings measured the same: `equal`, `within_tolerance` (of the relative difference), or that
    they part at a step; and which library versions differ.
    """

    answers = "comparison"

    job_id: str
    other_id: str
    tolerance: Annotated[float, Field(ge=0, le=1)] = 1e-3
