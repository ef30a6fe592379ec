"""Queries about fine-tuning jobs."""

from __future__ import annotations

from tunebus.contracts.commands.fine_tuning_job import FineTuningFields
from tunebus.contracts.queries.job import ListJobs
from tunebus.contracts.queries.query import Get, Query


class ListFineTuningJobs(ListJobs):
    pass


class GetFineTuningJob(Get):
    pass


class EstimateFineTuningJob(FineTuningFields, Query):
    """What a fine-tuning would need: memory term by term, steps, tokens, disk and time, and whether a trainer that is
    present has it. Takes what `StartFineTuningJob` takes, refuses what that refuses, and starts nothing.
    """

    answers = "estimate"
