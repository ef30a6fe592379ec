"""Commands about the studio's whole record: writing it out as one document, and taking such a document in."""

from __future__ import annotations

from pydantic import Field
from tunebus.contracts import subjects
from tunebus.contracts.commands.command import Command
from tunebus.contracts.commands.dataset import UploadName


class ExportDatabase(Command):
    """Write every event into one JSON document, left in the file bucket for a day.
    `GetDatabaseExport` with the outcome's id names the object.
    """

    contexts = (subjects.DATABASE,)

    projections: bool = Field(default=False, description="write the projections' rows as well")


class ImportDatabase(Command):
    """Take in a document that `ExportDatabase` wrote: the whole of it is checked before anything is written.
    What is already there by id is skipped; `GetDatabaseImport` with the outcome's id says what became of the rest.
    """

    contexts = (subjects.DATABASE,)

    upload: UploadName = Field(description="the document's name in the file bucket")
