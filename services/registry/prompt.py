"""Decides about prompts: three templates whose placeholders are columns of an existing dataset."""

from __future__ import annotations

from tunebus.contracts.commands import AddPrompt, RemovePrompt, RenamePrompt
from tunebus.contracts.events import PromptAdded, PromptRemoved, PromptRenamed
from tunebus.contracts.identifiers import new_id
from tunebus.contracts.recipes import PromptTemplates
from tunebus.contracts.subjects import PROMPT
from tunebus.services.platform.decisions import Accepted, Decision, NewEvent, Rejected
from tunebus.services.platform.rows import templates
from tunebus.services.registry import users
from tunebus.services.registry.decision import happened, missing, name_problem, refused_all
from tunebus.services.registry.known import Known, Prompt
from tunebus.services.registry.renaming import rename as renamed
from tunebus.services.registry.wanted import Wanted


def refer_add(wanted: Wanted, _facts: object, command: AddPrompt) -> None:
    wanted.prompts.add(command.name)
    wanted.datasets.add(command.dataset_id)


def add(known: Known, _facts: None, command: AddPrompt) -> Decision:
    problems = []
    if problem := name_problem("prompt", command.name, taken=known.prompts.named(command.name) is not None):
        problems.append(problem)
    asked = PromptTemplates(
        prompt_template=command.prompt_template,
        input_template=command.input_template,
        completion_template=command.completion_template,
    )
    dataset = known.datasets.get(command.dataset_id)
    if dataset is None:
        problems.append(missing("dataset", command.dataset_id, "dataset_id"))
    else:
        problems += templates.check(asked, dataset.features)
        if not asked.input_template.strip() and not any(p.param == "input_template" for p in problems):
            problems.append(templates.required("input_template", dataset.features))
    if problems:
        return refused_all(problems)
    assert dataset is not None
    prompt_id = new_id()
    event = PromptAdded(name=command.name, dataset_id=dataset.id, **asked.model_dump())
    return Accepted((happened(PROMPT, prompt_id, event),), id=prompt_id)


def refer_rename(wanted: Wanted, _facts: object, command: RenamePrompt) -> None:
    wanted.prompts.update((command.id, command.name))


def rename(known: Known, _facts: None, command: RenamePrompt) -> Decision:
    return renamed(PROMPT, known.prompts, command, PromptRenamed)


def refer_remove(wanted: Wanted, _facts: object, command: RemovePrompt) -> None:
    wanted.prompts.add(command.id)
    wanted.leaves(PROMPT, command.id)


def remove(known: Known, _facts: None, command: RemovePrompt) -> Decision:
    prompt = known.prompts.get(command.id)
    if prompt is None:
        return Rejected(missing("prompt", command.id, "id"))
    if found := users.of_prompt(known, prompt):
        return users.in_use(f"prompt {prompt.name!r}", found, "remove these or let the jobs end first")
    return Accepted((removed(prompt),), id=prompt.id)


def removed(prompt: Prompt) -> NewEvent:
    return happened(PROMPT, prompt.id, PromptRemoved(name=prompt.name))
