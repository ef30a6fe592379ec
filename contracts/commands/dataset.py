"""Commands about datasets."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints
from tunebus.contracts import subjects
from tunebus.contracts.commands.command import Command, Description, HubName, Location, Name, Reference, Revision
from tunebus.contracts.recipes import DataFormat

UploadName = Annotated[str, StringConstraints(min_length=1, max_length=250)]
ColumnName = Annotated[str, StringConstraints(min_length=1, max_length=200)]


class AddDataset(Command):
    """Register rows to train and evaluate on: a file, or a folder of files with named splits, by `path` inside an
    allowed root (or an `artifact:` URI), a file of the file bucket by the name it was uploaded under, or a dataset of
    the Hub, pinned to the commit that `revision` (main, if not given) stands for now.
    """

    contexts = (subjects.DATASET,)

    name: Name
    path: Location | None = None
    upload: UploadName | None = Field(default=None, description="an object of the file bucket, in place of a path")
    type: Literal["csv", "tsv", "json", "jsonl", "parquet", "folder", "huggingface"] | None = Field(
        default=None, description="told from the file's suffix when not given"
    )
    huggingface_name: HubName | None = Field(default=None, description="owner/name on the Hub, in place of a path")
    config_name: HubName | None = Field(default=None, description="the Hub dataset's config, where it has several")
    split: HubName | None = Field(default=None, description="of the Hub dataset; all its splits when not given")
    revision: Revision | None = Field(default=None, description="branch, tag or commit of the Hub dataset")
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
    `cascade` removes its prompts as well.

    With `delete_files` the studio's copy of a dataset that was uploaded is deleted, unless another dataset, or a job
    that has not ended, reads the same copy; the event says who. Sent again with it, by id, it deletes the copy of a
    dataset that was removed before. What was added by its path is never deleted.
    """

    contexts = (subjects.DATASET,)

    id: Reference
    cascade: bool = False
    delete_files: bool = Field(default=False, description="delete the studio's copy of an upload as well")
