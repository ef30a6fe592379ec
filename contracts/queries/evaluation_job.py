"""Queries about evaluation jobs."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from tunebus.contracts.queries.job import ListJobs
from tunebus.contracts.queries.query import Get, List, Query

Order = Literal["original", "best", "worst", "random"]


class ListEvaluationJobs(ListJobs):
    parent_id: str | None = None
    adapter_id: str | None = None
    model_id: str | None = Field(default=None, description="of the base model, with or without an adapter")
    typed: bool | None = Field(
        default=None, description="only those of typed prompts (true), or only those of a dataset's rows (false)"
    )


class GetEvaluationJob(Get):
    pass


class _Rows(List):
    order: Order = Field(default="original", description="of the dataset, or the best, worst or random rows first")
    metric: str | None = Field(default=None, description="what best and worst go by; rouge_l when not given")
    seed: Annotated[int, Field(ge=0, lt=2**32)] = Field(default=0, description="of the random order")


class GetEvaluationRows(_Rows):
    """The scored rows of an evaluation: question, reference, answer and each row's metrics."""

    job_id: str


class CompareEvaluations(_Rows):
    """The evaluations of one parent side by side: each metric with its differences to the first combination and the
    best marked, and the same rows with everyone's answers. `job_id` is the one whose rows make the order; the last when
    not given.
    """

    answers = "comparison"

    parent_id: str
    job_id: str | None = None


class ExportEvaluations(Query):
    """A comparison as the text of a file, in pieces: ask again with `next` as `after` until there is none; join them.

    `part`: every metric of every combination, or every row with everyone's answers and figures. In CSV a cell that a
    spreadsheet would take for a formula begins with an apostrophe.
    """

    answers = "text"

    parent_id: str
    part: Literal["metrics", "rows"] = "rows"
    format: Literal["csv", "json"] = "csv"
    after: str | None = None
