"""Decides about datasets: the file was inspected before, so only its name is left to judge."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tunebus.contracts.commands import AddDataset, RemoveDataset, RenameDataset
from tunebus.contracts.errors import Code
from tunebus.contracts.events import (
    DatasetAdded,
    DatasetFilesDeleted,
    DatasetRemoved,
    DatasetRenamed,
    DatasetStatistics,
)
from tunebus.contracts.identifiers import new_id
from tunebus.contracts.recipes import DatasetFile
from tunebus.contracts.subjects import DATASET
from tunebus.services.platform.decisions import Accepted, Decision, NewEvent, Rejected
from tunebus.services.registry import copies, prompt, users
from tunebus.services.registry.copies import UploadedFile
from tunebus.services.registry.decision import happened, missing, name_problem, refused
from tunebus.services.registry.hub_origin import already_added
from tunebus.services.registry.hub_source import Fetched
from tunebus.services.registry.known import Known, RemovedDataset
from tunebus.services.registry.renaming import rename as renamed
from tunebus.services.registry.wanted import Wanted


@dataclass(frozen=True)
class PreparedDataset:
    """What the prepare step found: where the rows are kept as a location, and what they hold."""

    location: str
    type: str
    format: str
    features: list[str]
    rows: int
    bytes: int
    sha256: str
    warnings: list[str] = field(default_factory=list)
    skipped: int = 0
    files: list[dict[str, Any]] = field(default_factory=list)
    statistics: dict[str, Any] | None = None
    hub: Fetched | None = None


def refer_add(wanted: Wanted, _facts: object, command: AddDataset) -> None:
    wanted.datasets.add(command.name)
    wanted.from_hub(DATASET, command.huggingface_name)


def add(known: Known, facts: PreparedDataset, command: AddDataset) -> Decision:
    problem = name_problem("dataset", command.name, taken=known.datasets.named(command.name) is not None)
    source = facts.hub.source if facts.hub else None
    problem = problem or already_added("dataset", source, known.datasets)
    if problem:
        return Rejected(problem)
    dataset_id = new_id()
    event = DatasetAdded(
        name=command.name,
        type="huggingface" if source else facts.type,
        description=command.description or (facts.hub.description if facts.hub else ""),
        huggingface_name=source.name if source else None,
        revision=source.revision if source else None,
        config_name=source.config_name if source else None,
        split=source.split if source else None,
        location=facts.location,
        format=facts.format,
        features=facts.features,
        rows=facts.rows,
        bytes=facts.bytes,
        sha256=facts.sha256,
        warnings=facts.warnings,
        column_mapping=dict(command.column_mapping),
        skip_broken=command.skip_broken,
        skipped=facts.skipped,
        files=[DatasetFile.model_validate(file) for file in facts.files],
        statistics=DatasetStatistics.model_validate(facts.statistics) if facts.statistics else None,
    )
    return Accepted((happened(DATASET, dataset_id, event),), id=dataset_id)


def refer_rename(wanted: Wanted, _facts: object, command: RenameDataset) -> None:
    wanted.datasets.update((command.id, command.name))


def rename(known: Known, _facts: None, command: RenameDataset) -> Decision:
    return renamed(DATASET, known.datasets, command, DatasetRenamed)


def refer_remove(wanted: Wanted, _facts: object, command: RemoveDataset) -> None:
    wanted.datasets.add(command.id)
    wanted.with_datasets_prompts = True
    wanted.leaves(DATASET, command.id)
    if command.delete_files:
        wanted.giving_up.add(command.id)


def remove(known: Known, copy: UploadedFile | None, command: RemoveDataset) -> Decision:
    """With `cascade` its prompts go first, unless something uses one of them. `copy` is given with `delete_files`."""
    dataset = known.datasets.get(command.id)
    if dataset is None:
        gone = known.removed_datasets.get(command.id) if command.delete_files else None
        return _delete_copy(known, gone, copy) if gone else Rejected(missing("dataset", command.id, "id"))
    location = dataset.location if copies.is_copy(dataset.location) else None
    if command.delete_files and location is None:
        return _not_uploaded(dataset.name)
    if found := users.of_dataset(known, dataset, cascade=command.cascade):
        prompts = "; cascade removes its prompts with it" if not command.cascade else ""
        return users.in_use(f"dataset {dataset.name!r}", found, f"remove these or let the jobs end first{prompts}")
    kept_for = copies.readers(known, location, but=dataset.id) if location and command.delete_files else []
    events = [prompt.removed(its) for its in known.prompts_of.get(dataset.id, {}).values()]
    removed = DatasetRemoved(
        name=dataset.name, location=location, delete_files=command.delete_files, kept_for=kept_for[: users.NAMED]
    )
    events.append(happened(DATASET, dataset.id, removed))
    if location and command.delete_files and not kept_for:
        events.append(_given_up(dataset.id, location, copy))
    return Accepted(events, id=dataset.id)


def _delete_copy(known: Known, gone: RemovedDataset, copy: UploadedFile | None) -> Decision:
    """What a dataset that was removed before has left behind. Deleted once, asking again changes nothing."""
    if not copies.is_copy(gone.location):
        return _not_uploaded(gone.name)
    if gone.files_deleted:
        return Accepted(id=gone.id)
    if found := copies.readers(known, gone.location, but=gone.id):
        return users.in_use(f"the copy of {gone.name!r}", found, "remove these first")
    return Accepted((_given_up(gone.id, gone.location, copy),), id=gone.id)


def _given_up(dataset_id: str, location: str, copy: UploadedFile | None) -> NewEvent:
    deleted = DatasetFilesDeleted(location=location, bytes=copy.bytes if copy else 0)
    return happened(DATASET, dataset_id, deleted)


def _not_uploaded(name: str) -> Rejected:
    return refused(
        Code.INVALID,
        f"dataset {name!r} was not uploaded: its files are no copy of the studio's",
        param="delete_files",
        hint="leave it out; the files stay where they are",
    )
