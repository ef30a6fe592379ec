"""Queries about prompts."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from tunebus.contracts.commands.command import Template
from tunebus.contracts.queries.query import Get, Query, Searched


class ListPrompts(Searched):
    dataset_id: str | None = None


class GetPrompt(Get):
    pass


class GeneratePrompt(Query):
    """Templates made from the names of a dataset's columns, ready for `AddPrompt`.

    The answer is the column whose name ranks first among the usual ones (answer, response, output, label, target, …),
    else the last, unless `output_column` names it; the other columns are inputs in order.
    """

    answers = "templates"

    dataset_id: str
    output_column: str | None = None


class RenderPrompt(Query):
    """A random row of a dataset as a prompt shows it: input, prompt and completion; the same `seed` takes the same row.

    Through the prompt `prompt_id`, or templates given here, or generated ones where there are none. With `model_id`
    also as that model's chat template writes it.
    """

    answers = "example"

    prompt_id: str | None = None
    dataset_id: str | None = Field(default=None, description="the prompt's own when not given")
    prompt_template: Template | None = None
    input_template: Template | None = None
    completion_template: Template | None = None
    model_id: str | None = None
    seed: Annotated[int, Field(ge=0, lt=2**32, description="which row: the same seed takes the same")] = 0
