"""Queries about datasets."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from tunebus.contracts.commands.command import Location
from tunebus.contracts.commands.dataset import ColumnName, UploadName
from tunebus.contracts.queries.query import Get, Named, Query, Searched
from tunebus.contracts.recipes import DataFormat, TextFormat


class ListDatasets(Searched):
    type: str | None = None


class GetDataset(Get):
    pass


class PreviewDataset(Named):
    """Rows from `offset` on, as they are and as they are trained on: through a prompt where one is named, else as their
    format says. With a model, also its tokens with the part that carries loss, and how many tokens rows have.
    """

    limit: Annotated[int, Field(ge=1, le=200)] = 10
    offset: Annotated[int, Field(ge=0, lt=2**53, description="how many rows to pass over")] = 0
    prompt_id: str | None = None
    model_id: str | None = None
    text_format: TextFormat | None = None
    max_length: Annotated[int, Field(ge=1, lt=2**31)] | None = Field(
        default=None, description="count rows that are longer than so many tokens; the model's context when not given"
    )
    lengths: Annotated[bool, Field(description="count how many tokens rows have, with a model")] = True


class InspectDataset(Query):
    """What a file or folder would be recognised as, judged by its first rows; nothing is added. Takes what `AddDataset`
    takes of a file. `formats` says of each format what it needs and what is missing for it.
    """

    answers = "inspection"

    path: Location | None = None
    upload: UploadName | None = Field(default=None, description="an object of the file bucket, in place of a path")
    type: Literal["csv", "tsv", "json", "jsonl", "parquet", "folder"] | None = Field(
        default=None, description="told from the file's suffix when not given"
    )
    format: DataFormat | None = Field(default=None, description="told from the columns when not given")
    column_mapping: Annotated[dict[ColumnName, ColumnName], Field(max_length=16)] = Field(
        default_factory=dict, description="a format's name of a column -> the file's own"
    )
    limit: Annotated[int, Field(ge=1, le=50)] = 5


class ListDatasetFindings(Named):
    """Rows of a dataset that deserve a look, each with its number, its place in its file and its beginning: those that
    an earlier row of the same split equals, those whose answer is empty, held-out rows that are training rows as well,
    and those that were left out as broken. `looked_at` counts those that were looked at, `complete` says whether
    that was all.
    """

    answers = "findings"

    kind: Literal["duplicate", "empty_answer", "overlap", "broken"]
    limit: Annotated[int, Field(ge=1, le=200)] = 50
    after: str | None = None
