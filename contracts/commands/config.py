"""Commands about configs."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import StringConstraints
from tunebus.contracts import subjects
from tunebus.contracts.commands.command import Command, Description


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
