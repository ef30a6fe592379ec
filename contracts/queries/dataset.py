"""Queries about datasets."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from tunebus.contracts.queries.query import Get, List


class ListDatasets(List):
    type: str | None = None


class GetDataset(Get):
    pass


class PreviewDataset(Get):
    """The first rows with per-column null and length statistics; rendered through a prompt where one is named."""

    limit: Annotated[int, Field(ge=1, le=200)] = 10
    prompt_id: str | None = None
