"""Decides about datasets: the file was inspected before, so only its name is left to judge."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tunebus.contracts.commands import AddDataset, RemoveDataset, RenameDataset
from tunebus.contracts.events import DatasetAdded, DatasetRemoved, DatasetRenamed, DatasetStatistics
from tunebus.contracts.identifiers import new_id
from tunebus.contracts.recipes import DatasetFile
from tunebus.contracts.subjects import DATASET
from tunebus.services.platform.decisions import Accepted, Decision, Rejected
from tunebus.services.registry import prompt, users
from tunebus.services.registry.decision import happened, missing, name_problem
from tunebus.services.registry.hub_origin import already_added
from tunebus.services.registry.hub_source import Fetched
from tunebus.services.registry.known import Known
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


def remove(known: Known, _facts: None, command: RemoveDataset) -> Decision:
    """With `cascade` its prompts go first, unless something uses one of them."""
    dataset = known.datasets.get(command.id)
    if dataset is None:
        return Rejected(missing("dataset", command.id, "id"))
    if found := users.of_dataset(known, dataset, cascade=command.cascade):
        prompts = "; cascade removes its prompts with it" if not command.cascade else ""
        return users.in_use(f"dataset {dataset.name!r}", found, f"remove these or let the jobs end first{prompts}")
    events = [prompt.removed(its) for its in known.prompts_of.get(dataset.id, {}).values()]
    return Accepted((*events, happened(DATASET, dataset.id, DatasetRemoved(name=dataset.name))), id=dataset.id)
