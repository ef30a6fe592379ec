"""Decides about trainings that ran elsewhere: each becomes a fine-tuning that has ended, which nobody can start.

Its points were read before and are sent once this is decided; what was read already is that run, and not added.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from tunebus.contracts.commands import ImportRun
from tunebus.contracts.errors import Code, Problem
from tunebus.contracts.events import ImportedJobAdded, ImportedRun
from tunebus.contracts.identifiers import new_id
from tunebus.contracts.subjects import FINE_TUNING_JOB
from tunebus.services.platform.decisions import Accepted, Decision
from tunebus.services.registry import queue
from tunebus.services.registry.decision import happened, missing, refused_all
from tunebus.services.registry.known import Known
from tunebus.services.registry.run_folder import RunFolder
from tunebus.services.registry.users import folder_of
from tunebus.services.registry.wanted import Wanted, given

ATTEMPT = 1  # whose telemetry its points are


@dataclass(frozen=True)
class PreparedRun:
    """What the prepare step found, and the id of the job that the points are to be sent for."""

    folder: RunFolder
    source: str
    id: str = field(default_factory=new_id)


def refer(wanted: Wanted, facts: PreparedRun, command: ImportRun) -> None:
    wanted.adapters.add(command.name)
    wanted.job_names.add(command.name)
    wanted.models.update(given(command.base_model_id))
    wanted.datasets.update(given(command.dataset_id))
    wanted.runs.add(facts.folder.sha256)


def add(known: Known, facts: PreparedRun, command: ImportRun) -> Decision:
    there = known.runs.get(facts.folder.sha256)
    if there is not None:
        return Accepted(id=there)
    model = known.models.get(command.base_model_id) if command.base_model_id else None
    dataset = known.datasets.get(command.dataset_id) if command.dataset_id else None
    problems = wrong(known, command)
    if problems:
        return refused_all(problems)
    run = facts.folder
    event = ImportedJobAdded(
        adapter_name=command.name,
        base_model_id=model.id if model else None,
        dataset_id=dataset.id if dataset else None,
        asked=command.model_dump(mode="json", exclude_unset=True),
        recipe={},
        out_dir=folder_of(facts.id),
        labels=queue.without_doubles(command.labels),
        notes=command.notes,
        attempt=ATTEMPT,
        step=run.last_step,
        metrics=run.metrics,
        warnings=run.warnings,
        imported=ImportedRun(
            source=facts.source,
            sha256=run.sha256,
            files=run.files,
            bytes=run.bytes,
            points=run.points,
            curves=run.curves,
            started_at=run.started_at,
            finished_at=run.finished_at,
        ),
    )
    return Accepted((happened(FINE_TUNING_JOB, facts.id, event),), id=facts.id)


def wrong(known: Known, command: ImportRun) -> Sequence[Problem]:
    """What keeps a run from being added under this name, with this model and dataset."""
    problems = []
    if taken := known.adapter_name_taken(command.name):
        problems.append(Problem(code=Code.DUPLICATE_NAME, message=taken, param="name", hint="choose another name"))
    if command.base_model_id and known.models.get(command.base_model_id) is None:
        problems.append(missing("model", command.base_model_id, "base_model_id"))
    if command.dataset_id and known.datasets.get(command.dataset_id) is None:
        problems.append(missing("dataset", command.dataset_id, "dataset_id"))
    return problems
