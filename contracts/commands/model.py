"""Commands about base models."""

from __future__ import annotations

from typing import Literal

from tunebus.contracts import subjects
from tunebus.contracts.commands.command import Command, Description, Location, Name


class AddModel(Command):
    """Register a base model: a folder with a config and safetensors weights."""

    contexts = (subjects.MODEL,)

    name: Name
    path: Location
    type: Literal["local"] = "local"
    description: Description = ""
