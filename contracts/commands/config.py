"""Commands about configs."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import StringConstraints
from tunebus.contracts import subjects
from tunebus.contracts.commands.command import Command, Description, Reference


class AddConfig(Command):
    """Register a settings document, JSON or YAML text or an object;
    an equal body of the same type is the same config.
    """

    contexts = (subjects.CONFIG,)

    type: Literal["training_arguments", "quantization", "generation", "lora", "custom"]
    config: dict[str, Any] | Annotated[str, StringConstraints(min_length=1, max_length=100_000)]
    description: Description = ""
    model_family: Annotated[str, StringConstraints(strip_whitespace=True, max_length=100)] | None = None
    is_default: bool = False


class DescribeConfig(Command):
    """Say anew what a config is for; what is not given stays. A config has no name: this is its renaming.

    An empty `model_family` makes it a config for every family.
    """

    contexts = (subjects.CONFIG,)

    id: Reference
    description: Description | None = None
    model_family: Annotated[str, StringConstraints(strip_whitespace=True, max_length=100)] | None = None
    is_default: bool | None = None


class RemoveConfig(Command):
    """Remove a config. Refused `in_use` while a job that has not ended was started with it, with `cascade` as well:
    nothing goes with a config.
    """

    contexts = (subjects.CONFIG,)

    id: Reference
    cascade: bool = False
