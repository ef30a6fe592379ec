"""Queries about export jobs."""

from __future__ import annotations

from tunebus.contracts.queries.job import ListJobs
from tunebus.contracts.queries.query import Get


class ListExportJobs(ListJobs):
    adapter_id: str | None = None
    model_id: str | None = None


class GetExportJob(Get):
    pass
