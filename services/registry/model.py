"""Decides about base models: the folder was inspected before, so only the name is left to judge."""

from __future__ import annotations

from tunebus.contracts.commands import AddModel
from tunebus.contracts.events import ModelAdded
from tunebus.contracts.identifiers import new_id
from tunebus.contracts.subjects import MODEL
from tunebus.services.platform.decisions import Accepted, Decision, Rejected
from tunebus.services.registry.decision import happened, name_problem
from tunebus.services.registry.known import Known
from tunebus.services.registry.model_folder import ModelFolder
from tunebus.services.registry.wanted import Wanted


def refer_add(wanted: Wanted, _facts: object, command: AddModel) -> None:
    wanted.models.add(command.name)


def add(known: Known, facts: ModelFolder, command: AddModel) -> Decision:
    problem = name_problem("model", command.name, taken=known.models.named(command.name) is not None)
    if problem:
        return Rejected(problem)
    model_id = new_id()
    event = ModelAdded(
        name=command.name,
        type=command.type,
        description=command.description,
        location=facts.location,
        architecture=facts.architecture,
        model_family=facts.model_family,
        parameters=facts.parameters,
        dtype=facts.dtype,
        context_length=facts.context_length,
        vocabulary_size=facts.vocabulary_size,
        has_chat_template=facts.has_chat_template,
        bytes=facts.bytes,
        sha256=facts.sha256,
    )
    return Accepted((happened(MODEL, model_id, event),), id=model_id)
