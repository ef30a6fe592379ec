"""From what stands in the training form to the command it asks for, and back from a job's command to a form.

What is wrong with it is for the contract's models to say, here, and for the registry, which knows what there is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError
from tunebus.contracts.commands import StartFineTuningJob, validate
from tunebus.contracts.errors import Problem, TunebusError, combine, from_validation
from tunebus.ui.web.training.fields import INLINE

CONFIGS = "configs"
"""The form's own field: which config is chosen for which settings."""
CLONE = "clone"
"""The form's own field: the job that it began with."""
WAIT = "wait_memory"
"""The form's own field: GiB to wait for, where no worker that is there has what the estimate says."""

OWN = frozenset({"adapter_name", "depends_on", "hold", "priority"})
"""What a clone does not take from the job it is made from."""
EVERY_LAYER = "all-linear"

REFERENCES = ("dataset_id", "base_model_id", "prompt_id")  # may have been asked for by name

Document = dict[str, Any]


def compose(form: Mapping[str, Any], configs: Mapping[str, Mapping[str, Any]]) -> Document:
    """The data of a `StartFineTuningJob`. `configs` are the bodies of the configs that the form names, by their ids.

    Defaults are left out. A config of which something is changed is sent as settings of its own.
    """
    command = {
        name: value for name, value in form.items() if name not in (CONFIGS, WAIT, CLONE) and value not in ("", None)
    }
    if form.get(WAIT) and "num_memory" not in command:
        command["num_memory"] = form[WAIT]
    chosen = form.get(CONFIGS)
    for kind in INLINE:
        reference = chosen.get(kind) if isinstance(chosen, Mapping) else None
        inline = command.pop(kind, None)
        if reference and isinstance(inline, Mapping):
            command[kind] = {**configs.get(str(reference), {}), **inline}
        elif reference or inline:
            command[kind] = reference or inline
    adapter = command.get("lora")
    if isinstance(adapter, Mapping) and adapter.get("target_modules") == [EVERY_LAYER]:
        command["lora"] = {**adapter, "target_modules": EVERY_LAYER}
    if command.get("method") == "full":
        command.pop("lora", None)
    return {name: value for name, value in command.items() if not _is_default(name, value)}


def chosen_configs(form: Mapping[str, Any]) -> list[str]:
    """Ids of the configs that a form names."""
    chosen = form.get(CONFIGS)
    return [str(one) for one in chosen.values() if one] if isinstance(chosen, Mapping) else []


def refuse_wrong(command: Mapping[str, Any]) -> None:
    """Whether the contract takes a command. Errors: `invalid`, `unknown_field`, all wrong fields at once."""
    problems: list[Problem] = []
    for kind, model in INLINE.items():
        if isinstance(command.get(kind), Mapping):
            try:
                model.model_validate(command[kind])
            except ValidationError as error:
                problems.append(from_validation(error, model.model_fields, kind))
    try:
        validate(StartFineTuningJob, dict(command))
    except TunebusError as error:
        problems.insert(0, error.problem)
    if problems:
        raise TunebusError(combine(detail for problem in problems for detail in problem.details or [problem]))


def as_typed(job: Mapping[str, Any]) -> Document:
    """What a form would hold that asks for what a job asked for, but for its name and its place in the queue."""
    form: Document = {}
    for name, value in (job.get("asked") or {}).items():
        if name in INLINE and isinstance(value, Mapping):
            form |= {f"{name}.{inner}": setting for inner, setting in value.items()}
        elif name in INLINE:
            form[f"{CONFIGS}.{name}"] = value
        elif name not in OWN:
            form[name] = value
    return form | {name: job[name] for name in REFERENCES if job.get(name) and (name in form or name != "prompt_id")}


def as_clone(job: Mapping[str, Any], command: Mapping[str, Any]) -> Document:
    """The data of a `CloneFineTuningJob` that comes to the same as a start by `command`, and says what is different."""
    before = {name: value for name, value in (job.get("asked") or {}).items() if name not in OWN}
    before |= {name: job[name] for name in REFERENCES if name in before and job.get(name)}
    names = [name for name in {**before, **command} if name != "adapter_name"]
    changes = {name: command.get(name) for name in names if before.get(name) != command.get(name)}
    for name, value in before.items():
        if changes.get(name, value) is None and _is_default(name, value):
            changes.pop(name, None)
    name = command.get("adapter_name")
    return {"id": job["id"], "changes": changes, **({"adapter_name": name} if name else {})}


def _is_default(name: str, value: Any) -> bool:
    field = StartFineTuningJob.model_fields.get(name)
    if field is None or field.is_required() or isinstance(value, bool) != isinstance(field.default, bool):
        return field is not None and not field.is_required() and value == []
    return bool(value == field.get_default(call_default_factory=True))
