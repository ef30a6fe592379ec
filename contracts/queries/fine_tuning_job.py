"""Queries about fine-tuning jobs."""

from __future__ import annotations

from tunebus.contracts.queries.query import Get, List


class ListFineTuningJobs(List):
    state: str | None = None


class GetFineTuningJob(Get):
    pass
