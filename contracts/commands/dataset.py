"""Commands about datasets."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints
from tunebus.contracts import subjects
from tunebus.contracts.commands.command import Command, Description, Location, Name, Reference
from tunebus.contracts.recipes import DataFormat

UploadName = Annotated[str, StringConstraints(min_length=1, max_length=250)]
ColumnName = Annotated[str, StringConstraints(min_length=1, max_length=200)]


class AddDataset(Command):
    """Register rows to train and evaluate on: a file, or a folder of files with named splits, by `path` inside an
    allowed root (or an `artifact:` URI), or a file of the file bucket by the name it was uploaded under.
    """

    contexts = (subjects.DATASET,)

    name: Name
    path: Location | None = None
    upload: UploadName | None = Field(default=None, description="an object of the file bucket, in place of a path")
    type: Literal["csv", "tsv", "json", "jsonl", "parquet", "folder"] | None = Field(
        default=None, description="told from the file's suffix when not given"
    )
    description: Description = ""
    format: DataFormat | None = Field(
        default=None, description="how rows become text; told from the columns when not given"
    )
    column_mapping: Annotated[dict[ColumnName, ColumnName], Field(max_length=16)] = Field(
        default_factory=dict, description="a format's name of a column -> the file's own"
    )
    skip_broken: bool = Field(default=False, description="leave broken rows out, and say how many")


class RenameDataset(Command):
    """Give a dataset another name."""

    contexts = (subjects.DATASET,)

    id: Reference
    name: Name


class RemoveDataset(Command):
    """Remove a dataset; its file stays. Refused `in_use` while a prompt or a job that has not ended uses it;
    `cascade` removes its prompts as well."""

    contexts = (subjects.DATASET,)

    id: Reference
    cascade: bool = False
