"""Decides about exports and imports of the whole record: what there is to do was done before, so it only says so."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tunebus.contracts.commands import ExportDatabase, ImportDatabase
from tunebus.contracts.events import DatabaseExported, DatabaseImported, LeftOut
from tunebus.contracts.identifiers import new_id
from tunebus.contracts.subjects import DATABASE
from tunebus.services.platform.decisions import Accepted, Decision
from tunebus.services.registry.decision import happened
from tunebus.services.registry.known import Known
from tunebus.services.registry.wanted import Wanted


@dataclass(frozen=True)
class Exported:
    """A document that lies in the file bucket. `id` is the export's own."""

    id: str
    object: str
    position: int
    events: int
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Imported:
    """What an import's transaction did; the fields of `DatabaseImported` but for the object's name."""

    sha256: str
    studio: str
    exported_at: str
    events: int
    added: int
    skipped: int
    refused: int
    held: int
    missing_files: int
    missing: list[str]
    left_out_entities: int
    left_out: list[LeftOut] = field(default_factory=list)


def refer(_wanted: Wanted, _facts: object, _command: Any) -> None:
    """Neither asks for anything that is there."""


def exported(_known: Known, facts: Exported, command: ExportDatabase) -> Decision:
    event = DatabaseExported(
        object=facts.object,
        position=facts.position,
        events=facts.events,
        projections=command.projections,
        bytes=facts.bytes,
        sha256=facts.sha256,
    )
    return Accepted((happened(DATABASE, facts.id, event),), id=facts.id)


def imported(_known: Known, facts: Imported, command: ImportDatabase) -> Decision:
    import_id = new_id()
    event = DatabaseImported(object=command.upload, **vars(facts))
    return Accepted((happened(DATABASE, import_id, event),), id=import_id)
