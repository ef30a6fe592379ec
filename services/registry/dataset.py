"""Decides about datasets: the file was inspected before, so only its name is left to judge."""

from __future__ import annotations

from dataclasses import dataclass, field

from tunebus.contracts.commands import AddDataset
from tunebus.contracts.events import DatasetAdded
from tunebus.contracts.identifiers import new_id
from tunebus.contracts.subjects import DATASET
from tunebus.services.platform.decisions import Accepted, Decision, Rejected
from tunebus.services.registry.decision import happened, name_problem
from tunebus.services.registry.known import Known
from tunebus.services.registry.wanted import Wanted


@dataclass(frozen=True)
class DatasetFile:
    """What the prepare step found: where the file is kept as a location, and what it holds."""

    location: str
    type: str
    format: str
    features: list[str]
    rows: int
    bytes: int
    sha256: str
    warnings: list[str] = field(default_factory=list)


def refer_add(wanted: Wanted, _facts: object, command: AddDataset) -> None:
    wanted.datasets.add(command.name)


def add(known: Known, facts: DatasetFile, command: AddDataset) -> Decision:
    problem = name_problem("dataset", command.name, taken=known.datasets.named(command.name) is not None)
    if problem:
        return Rejected(problem)
    dataset_id = new_id()
    event = DatasetAdded(
        name=command.name,
        type=facts.type,
        description=command.description,
        location=facts.location,
        format=facts.format,
        features=facts.features,
        rows=facts.rows,
        bytes=facts.bytes,
        sha256=facts.sha256,
        warnings=facts.warnings,
    )
    return Accepted((happened(DATASET, dataset_id, event),), id=dataset_id)
