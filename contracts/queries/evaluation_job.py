"""Queries about evaluation jobs."""

from __future__ import annotations

from tunebus.contracts.queries.query import Get, List


class ListEvaluationJobs(List):
    state: str | None = None
    parent_id: str | None = None


class GetEvaluationJob(Get):
    pass


class GetEvaluationRows(List):
    """The scored rows of an evaluation: question, reference, answer and each row's metrics."""

    job_id: str
