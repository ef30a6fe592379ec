"""Decides about prompts: three templates whose placeholders are columns of an existing dataset."""

from __future__ import annotations

from tunebus.contracts.commands import AddPrompt
from tunebus.contracts.errors import Code, Problem
from tunebus.contracts.events import PromptAdded
from tunebus.contracts.identifiers import new_id
from tunebus.contracts.recipes import PromptTemplates
from tunebus.contracts.subjects import PROMPT
from tunebus.services.platform.decisions import Accepted, Decision
from tunebus.services.platform.rows import templates
from tunebus.services.registry.decision import happened, missing, name_problem, refused_all
from tunebus.services.registry.known import Known
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
            problems.append(Problem(code=Code.INVALID, message="is required", param="input_template"))
    if problems:
        return refused_all(problems)
    assert dataset is not None
    prompt_id = new_id()
    event = PromptAdded(name=command.name, dataset_id=dataset.id, **asked.model_dump())
    return Accepted((happened(PROMPT, prompt_id, event),), id=prompt_id)
