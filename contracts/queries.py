"""Every query: its arguments and what it answers. Lists are `{"items": […], "next": null | cursor}`, an entity is its
fields.

Errors are `{"error": {code, message, param, hint}}`. `QUERIES` at the end is the table of contents.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field

Limit = Annotated[int, Field(ge=1, le=1000)]


class Query(BaseModel):
    """What every query shares. Unknown arguments are refused with the nearest name."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    answers: ClassVar[str] = "entity"


class _List(Query):
    answers = "list"

    limit: Limit = 50
    after: str | None = None


class ListDatasets(_List):
    type: str | None = None


class ListModels(_List):
    type: str | None = None


class ListAdapters(_List):
    model_id: str | None = None


class ListPrompts(_List):
    dataset_id: str | None = None


class ListConfigs(_List):
    type: str | None = None
    model_family: str | None = None


class ListFineTuningJobs(_List):
    state: str | None = None


class ListEvaluationJobs(_List):
    state: str | None = None
    parent_id: str | None = None


class _Get(Query):
    id: str = Field(min_length=1, description="an id or a name")


class GetDataset(_Get):
    pass


class GetModel(_Get):
    pass


class GetAdapter(_Get):
    pass


class GetPrompt(_Get):
    pass


class GetConfig(_Get):
    pass


class GetFineTuningJob(_Get):
    pass


class GetEvaluationJob(_Get):
    pass


class PreviewDataset(_Get):
    """The first rows with per-column null and length statistics; rendered through a prompt where one is named."""

    limit: Annotated[int, Field(ge=1, le=200)] = 10
    prompt_id: str | None = None


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


class GetEvaluationRows(_List):
    """The scored rows of an evaluation: question, reference, answer and each row's metrics."""

    job_id: str


class ListEvents(_List):
    """The record itself, in order of `position`. `from` is the first position wanted."""

    from_position: Annotated[int, Field(ge=0, alias="from")] = 0
    aggregate: str | None = None
    entity_id: str | None = None
    type: str | None = None

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class GetCommandOutcome(Query):
    """The outcome kept for a command id; `not_found` when the registry has not handled it yet."""

    answers = "outcome"

    command_id: str


class ListDeadLetters(_List):
    pass


class GetDeadLetter(Query):
    id: int


class ListWorkers(_List):
    """Workers that asked for work lately, with what they offer."""


class GetOverview(Query):
    """What runs, what waits, what failed: the counts and newest jobs of the first page."""

    answers = "overview"


QUERIES: dict[str, type[Query]] = {
    kind.__name__: kind
    for kind in (
        ListDatasets,
        ListModels,
        ListAdapters,
        ListPrompts,
        ListConfigs,
        ListFineTuningJobs,
        ListEvaluationJobs,
        GetDataset,
        GetModel,
        GetAdapter,
        GetPrompt,
        GetConfig,
        GetFineTuningJob,
        GetEvaluationJob,
        PreviewDataset,
        GetMetrics,
        GetLog,
        GetEvaluationRows,
        ListEvents,
        GetCommandOutcome,
        ListDeadLetters,
        GetDeadLetter,
        ListWorkers,
        GetOverview,
    )
}


class Page(BaseModel):
    """A list's answer."""

    items: list[dict[str, Any]]
    next: str | None = None
