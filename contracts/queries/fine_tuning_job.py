"""Queries about fine-tuning jobs."""

from __future__ import annotations

from tunebus.contracts.queries.job import ListJobs
from tunebus.contracts.queries.query import Get


class ListFineTuningJobs(ListJobs):
    pass


class GetFineTuningJob(Get):
    pass
