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
