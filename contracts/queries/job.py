"""Queries about jobs of any kind: where they stand in the queue, what they measured and printed."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from tunebus.contracts.numbers import Int32, Int64
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


class ListAllJobs(List):
    """Jobs of every kind, chosen and sorted: `{"items", "next", "total"}`. `total` counts all that were chosen; `after`
    is how many of them to leave out, so that any page can be had at once. `losses` are a few points of a job's curve.
    """

    kinds: Annotated[list[JobKind] | None, Field(description="only jobs of these kinds")] = None
    states: Annotated[list[str] | None, Field(description="only jobs in these states")] = None
    search: Annotated[
        str | None,
        Field(max_length=200, description="only jobs with this text in their name, or their model's or dataset's"),
    ] = None
    label: Annotated[str | None, Field(max_length=50, description="only jobs with this label")] = None
    model_id: Annotated[str | None, Field(description="only jobs that start from this model, by id or name")] = None
    dataset_id: Annotated[str | None, Field(description="only jobs with this dataset, by id or name")] = None
    sort: Annotated[
        Literal["created", "updated", "name", "state", "duration", "loss"],
        Field(description="what to put them in order by; jobs that lack it come last"),
    ] = "created"
    descending: Annotated[bool, Field(description="the newest, longest, highest first")] = True


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
    since_step: Int64 = -1
    points: Annotated[int, Field(ge=2, le=5000, description="at most so many of each series")] = 5000


class GetSystemMetrics(Query):
    """How busy a job's machine was, by time (Unix seconds): `cpu_percent` and `rss_bytes` of the job's process,
    `machine_cpu_percent`, `memory_bytes`, `disk_percent`, and of each GPU `gpu0_percent`, `gpu0_memory_bytes`,
    `gpu0_temperature_celsius`, `gpu0_power_watts`. Long series are thinned out, their ends and extremes kept.
    """

    answers = "metrics"

    job_id: str
    names: list[str] | None = None
    since_time: Annotated[float | None, Field(description="only later readings: the `last_time` of before")] = None
    points: Annotated[int, Field(ge=2, le=5000, description="at most so many of each series")] = 1500


class GetLog(Query):
    """The text of an attempt's output from a byte offset on, or its last `tail` bytes; the newest attempt when none is
    named.
    """

    answers = "log"

    job_id: str
    attempt: Int32 | None = None
    offset: Annotated[int, Field(ge=0, lt=2**63)] = 0
    limit: Annotated[int, Field(ge=1, le=1_000_000)] = 100_000
    tail: Annotated[
        int | None, Field(ge=1, le=1_000_000, description="the last so many bytes, in place of `offset` and `limit`")
    ] = None


class SearchLog(Query):
    """The lines of an attempt's output that hold a text, or are of a level or a graver one, with the byte at which each
    begins. One answer looks through some megabytes; `next` is the `after_offset` to go on from, null at the end.
    """

    answers = "list"

    job_id: str
    attempt: Int32 | None = None
    text: Annotated[str | None, Field(max_length=500, description="whatever its case")] = None
    level: Annotated[
        Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"] | None,
        Field(description="lines of this level or a graver one; a traceback is ERROR"),
    ] = None
    after_offset: Annotated[int, Field(ge=0, lt=2**63)] = 0
    limit: Annotated[int, Field(ge=1, le=1000)] = 100


class GetSamples(Query):
    """What a fine-tuning's model answered to a few held-out rows at each evaluation, and the base model's answers.
    Of an evaluation of typed prompts, what of its answers is written so far.
    """

    answers = "samples"

    job_id: str
    since_step: Int64 = -1


class CompareRuns(Query):
    """Whether two fine-tunings measured the same: `equal`, `within_tolerance` (of the relative difference), or that
    they part at a step; and which library versions differ.
    """

    answers = "comparison"

    job_id: str
    other_id: str
    tolerance: Annotated[float, Field(ge=0, le=1)] = 1e-3
