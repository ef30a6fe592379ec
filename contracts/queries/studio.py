"""Queries about the studio as a whole."""

from __future__ import annotations

from tunebus.contracts.queries.query import Paged, Query


class ListWorkers(Paged):
    """Workers that asked for work lately, with what they offer."""


class GetOverview(Query):
    """What runs, what waits, what failed: the counts and newest jobs of the first page."""

    answers = "overview"
