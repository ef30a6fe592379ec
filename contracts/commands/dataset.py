"""Commands about datasets."""

from __future__ import annotations

from typing import Literal

from tunebus.contracts import subjects
from tunebus.contracts.commands.command import Command, Description, Location, Name


class AddDataset(Command):
    """Register a file of rows.
    `path` is a file inside an allowed root, or an `artifact:` URI; a missing `type` is its suffix.
    """

    contexts = (subjects.DATASET,)

    name: Name
    path: Location
    type: Literal["csv", "json", "jsonl"] | None = None
    description: Description = ""
