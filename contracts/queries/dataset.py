"""Queries about datasets."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from tunebus.contracts.queries.query import Get, List, Named
from tunebus.contracts.recipes import TextFormat


class ListDatasets(List):
    type: str | None = None


class GetDataset(Get):
    pass


class PreviewDataset(Named):
    """The first rows, as they are and as they are trained on: through a prompt where one is named, else as their format
    says. With a model, also its tokens with the part that carries loss, and how many tokens rows have.
    """

    limit: Annotated[int, Field(ge=1, le=200)] = 10
    prompt_id: str | None = None
    model_id: str | None = None
    text_format: TextFormat | None = None
    max_length: Annotated[int, Field(ge=1, lt=2**31)] | None = Field(
        default=None, description="count rows that are longer than so many tokens; the model's context when not given"
    )
