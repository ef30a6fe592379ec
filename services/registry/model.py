"""Decides about base models: the folder was inspected before, so only the name is left to judge."""

from __future__ import annotations

from typing import Any

from tunebus.contracts.commands import AddModel, RemoveModel, RenameModel
from tunebus.contracts.events import ModelAdded, ModelRemoved, ModelRenamed, ModelShape
from tunebus.contracts.identifiers import new_id, short
from tunebus.contracts.subjects import MODEL
from tunebus.services.platform.decisions import Accepted, Decision, NewEvent, Rejected
from tunebus.services.registry import adapter, users
from tunebus.services.registry.decision import happened, missing, name_problem
from tunebus.services.registry.hub_origin import already_added
from tunebus.services.registry.known import Known
from tunebus.services.registry.model_folder import ModelFolder
from tunebus.services.registry.renaming import rename as renamed
from tunebus.services.registry.wanted import Wanted


def refer_add(wanted: Wanted, _facts: object, command: AddModel) -> None:
    wanted.models.add(command.name)
    wanted.from_hub(MODEL, command.huggingface_name)


def add(known: Known, facts: ModelFolder, command: AddModel) -> Decision:
    problem = name_problem("model", command.name, taken=known.models.named(command.name) is not None)
    fetched = facts.hub
    problem = problem or already_added("model", fetched.source if fetched else None, known.models)
    if problem:
        return Rejected(problem)
    model_id = new_id()
    fields: dict[str, Any] = {"type": "local"}
    if fetched:
        fields = {
            "type": "huggingface",
            "huggingface_name": fetched.source.name,
            "revision": fetched.source.revision,
            "licence": fetched.licence,
            "gated": fetched.gated,
            "remote_code": list(facts.remote_code),
        }
    event = _added(facts, name=command.name, description=command.description, **fields)
    return Accepted((happened(MODEL, model_id, event),), id=model_id)


def made_by_job(
    known: Known, facts: ModelFolder, *, name: str, job_id: str, base_model_id: str
) -> tuple[str, NewEvent]:
    """The id and the event of the model that a succeeded fine-tuning registers; one that took its name keeps it."""
    model_id = new_id()
    if known.models.named(name) is not None:
        name = f"{name}-{short(job_id)}"
    event = _added(facts, name=name, type="local", fine_tuning_job_id=job_id, base_model_id=base_model_id)
    return model_id, happened(MODEL, model_id, event)


def _added(facts: ModelFolder, **fields: Any) -> ModelAdded:
    return ModelAdded(
        location=facts.location,
        architecture=facts.architecture,
        model_family=facts.model_family,
        parameters=facts.parameters,
        dtype=facts.dtype,
        context_length=facts.context_length,
        vocabulary_size=facts.vocabulary_size,
        has_chat_template=facts.has_chat_template,
        shape=ModelShape.model_validate(facts.shape) if facts.shape else None,
        bytes=facts.bytes,
        sha256=facts.sha256,
        **fields,
    )


def refer_rename(wanted: Wanted, _facts: object, command: RenameModel) -> None:
    wanted.models.update((command.id, command.name))


def rename(known: Known, _facts: None, command: RenameModel) -> Decision:
    return renamed(MODEL, known.models, command, ModelRenamed)


def refer_remove(wanted: Wanted, _facts: object, command: RemoveModel) -> None:
    wanted.models.add(command.id)
    wanted.leaves(MODEL, command.id)


def remove(known: Known, _facts: None, command: RemoveModel) -> Decision:
    """With `cascade` its adapters go first, unless something uses one of them."""
    model = known.models.get(command.id)
    if model is None:
        return Rejected(missing("model", command.id, "id"))
    if found := users.of_model(known, model, cascade=command.cascade):
        adapters = "; cascade removes its adapters with it" if not command.cascade else ""
        return users.in_use(f"model {model.name!r}", found, f"remove these or let the jobs end first{adapters}")
    events = [adapter.removed(its) for its in users.adapters_of(known, model)]
    return Accepted((*events, happened(MODEL, model.id, ModelRemoved(name=model.name))), id=model.id)
