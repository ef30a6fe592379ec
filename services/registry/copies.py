"""The studio's own copies of uploaded files: who still reads one, so that it is given up only when nobody does.

`load` and `is_free` read SQL; the rest decides from what is known.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from typing import TypeGuard

from sqlalchemy import Connection, Text, cast, func, or_, select
from tunebus.contracts.identifiers import is_id
from tunebus.contracts.subjects import DATASET
from tunebus.projections import tables
from tunebus.services.platform.home import SCHEME
from tunebus.services.platform.schema import inbox
from tunebus.services.registry.jobs import ENDED
from tunebus.services.registry.known import Known, RemovedDataset, dataset_of
from tunebus.services.registry.wanted import Wanted

FOLDER = "uploads"
_PREFIX = f"{SCHEME}{FOLDER}/"


@dataclass(frozen=True)
class UploadedFile:
    """What the prepare step found of the copy that a removal is to give up."""

    bytes: int = 0


def is_copy(location: str | None) -> TypeGuard[str]:
    """Whether a location is that of an uploaded file: one file of the folder itself, and no draft."""
    if location is None or not location.startswith(_PREFIX):
        return False
    name = location.removeprefix(_PREFIX)
    return name != "" and "/" not in name and not name.startswith(".")


def load(connection: Connection, view: Known, wanted: Wanted) -> None:
    """Load the removed datasets whose copies are to go, other datasets of the same copies, and into `wanted` the live
    jobs that read them."""
    if not wanted.giving_up:
        return
    table = tables.removed
    ids = [reference for reference in wanted.giving_up if is_id(reference)]
    gone = select(table).where(table.c.id.in_(ids), table.c.aggregate == DATASET)
    for row in connection.execute(gone).mappings():
        view.removed_datasets[row["id"]] = RemovedDataset(
            row["id"], row["name"], row["out_dir"], files_deleted=bool(row["files_deleted"])
        )
    locations = {
        location for one in (*view.datasets, *view.removed_datasets.values()) if is_copy(location := one.location)
    }
    if not locations:
        return
    for row in connection.execute(select(tables.datasets).where(tables.datasets.c.location.in_(locations))).mappings():
        view.datasets.put(dataset_of(dict(row)))
    wanted.jobs.update(_live_readers(connection, locations))


def readers(known: Known, location: str, but: str) -> list[str]:
    """Who reads a copy, in words: datasets other than `but`, and jobs that have not ended."""
    quoted = json.dumps(location)
    datasets = [one.name for one in known.datasets if one.location == location and one.id != but]
    jobs = [job for job in known.jobs.values() if job.state not in ENDED and quoted in json.dumps(job.recipe)]
    return [
        *(f"dataset {name!r}" for name in datasets),
        *(f"{job.kind.replace('_', ' ')} {job.name!r}" for job in jobs),
    ]


def is_free(connection: Connection, location: str, commands: Collection[str]) -> bool:
    """Whether a copy may go: these commands have their outcome, and neither a dataset nor a live job names it."""
    decided = select(func.count()).select_from(inbox).where(inbox.c.command_id.in_(commands))
    if commands and connection.scalar(decided) != len(set(commands)):
        return False
    table = tables.datasets
    if connection.scalar(select(table.c.id).where(table.c.location == location).limit(1)) is not None:
        return False
    return not _live_readers(connection, {location})


def _live_readers(connection: Connection, locations: Collection[str]) -> set[str]:
    """The ids of the jobs that have not ended and whose recipes name one of these."""
    found: set[str] = set()
    for table in tables.JOB_TABLES.values():
        recipe = cast(table.c.recipe, Text)
        names = or_(*(recipe.contains(json.dumps(location), autoescape=True) for location in locations))
        found.update(connection.scalars(select(table.c.id).where(table.c.state.in_(tables.LIVE_STATES), names)))
    return found
