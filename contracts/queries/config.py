"""Queries about configs."""

from __future__ import annotations

from pydantic import Field
from tunebus.contracts.queries.query import Get, Searched


class ListConfigs(Searched):
    type: str | None = None
    model_family: str | None = None
    model_id: str | None = Field(
        default=None, description="configs that suit a model: of each type those for its family, else the general ones"
    )


class GetConfig(Get):
    pass
