"""Commands about prompts."""

from __future__ import annotations

from tunebus.contracts import subjects
from tunebus.contracts.commands.command import Command, Name, Reference, Template


class AddPrompt(Command):
    """Register the templates that turn a dataset's columns into a prompt and its completion;
    `{{` and `}}` are literal braces.
    """

    contexts = (subjects.PROMPT,)

    name: Name
    dataset_id: Reference
    prompt_template: Template
    input_template: Template
    completion_template: Template


class RenamePrompt(Command):
    """Give a prompt another name."""

    contexts = (subjects.PROMPT,)

    id: Reference
    name: Name


class RemovePrompt(Command):
    """Remove a prompt. Refused `in_use` while an adapter or a job that has not ended uses it, with `cascade` as well:
    nothing goes with a prompt."""

    contexts = (subjects.PROMPT,)

    id: Reference
    cascade: bool = False
