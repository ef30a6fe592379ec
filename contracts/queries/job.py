"""Queries about what any job measured and printed."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from tunebus.contracts.queries.query import Query


class GetMetrics(Query):
    """A job's curves. Per step and name the value of the highest attempt; `since_step` leaves out what a client has."""

    answers = "metrics"

    job_id: str
    names: list[str] | None = None
    since_step: int = -1


class GetLog(Query):
    """The text of an attempt's output from a byte offset on; the newest attempt when none is named."""

    answers = "log"

    job_id: str
    attempt: int | None = None
    offset: Annotated[int, Field(ge=0)] = 0
    limit: Annotated[int, Field(ge=1, le=1_000_000)] = 100_000
