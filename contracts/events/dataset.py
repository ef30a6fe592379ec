"""What happens to datasets."""

from __future__ import annotations

from pydantic import BaseModel, Field
from tunebus.contracts import subjects
from tunebus.contracts.events.event import Event
from tunebus.contracts.numbers import Int64
from tunebus.contracts.recipes import DatasetFile


class ColumnStatistics(BaseModel):
    """A column's figures; lengths in characters of its values as text, `nulls` are rows without a value."""

    name: str
    nulls: int
    min_length: int | None = None
    mean_length: float | None = None
    max_length: int | None = None


class DatasetStatistics(BaseModel):
    """Figures of all rows, and nothing that any row says. `overlaps` counts rows of a held-out split that are training
    rows as well; `duplicate_rows` those that an earlier row of the same split equals.
    """

    columns: list[ColumnStatistics] = Field(default_factory=list)
    duplicate_rows: int = 0
    empty_answers: int | None = None
    overlaps: dict[str, int] = Field(default_factory=dict)


class DatasetAdded(Event):
    aggregates = (subjects.DATASET,)

    name: str
    type: str
    description: str = ""
    location: str
    format: str = Field(description="how rows become text; plain columns (prompt) need a prompt")
    features: list[str]
    rows: Int64
    bytes: Int64
    sha256: str
    warnings: list[str] = Field(default_factory=list)
    column_mapping: dict[str, str] = Field(default_factory=dict, description="standard name -> column of the file")
    huggingface_name: str | None = None
    revision: str | None = Field(default=None, description="the commit that was fetched")
    config_name: str | None = None
    split: str | None = Field(default=None, description="the one split of the Hub's dataset that was asked for")
    skip_broken: bool = False
    skipped: Int64 = Field(default=0, description="broken rows that were left out")
    files: list[DatasetFile] = Field(default_factory=list, description="where it is a folder: files and their splits")
    statistics: DatasetStatistics | None = None


class DatasetRenamed(Event):
    aggregates = (subjects.DATASET,)

    name: str


class DatasetRemoved(Event):
    """`name` is what it was called last, for those who still refer to it. `location` is that of the studio's copy of an
    upload. `delete_files` is what was asked for; `kept_for` are those for whom the copy stays nevertheless.
    """

    aggregates = (subjects.DATASET,)

    name: str
    location: str | None = None
    delete_files: bool = False
    kept_for: list[str] = Field(default_factory=list)


class DatasetFilesDeleted(Event):
    """The copy of a removed dataset's upload is given up: `bytes` are freed at once."""

    aggregates = (subjects.DATASET,)

    location: str
    bytes: int = 0
