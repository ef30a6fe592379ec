"""Commands about base models."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints
from tunebus.contracts import subjects
from tunebus.contracts.commands.command import Command, Description, HubName, Location, Name, Reference, Revision


class AddModel(Command):
    """Register a base model: a folder with a config and safetensors weights, by `path`, or a model of the Hub, fetched
    at once and pinned to the commit that `revision` (main, if not given) stands for now.
    """

    contexts = (subjects.MODEL,)

    name: Name
    path: Location | None = None
    huggingface_name: HubName | None = Field(default=None, description="owner/name on the Hub, in place of a path")
    revision: Revision | None = Field(default=None, description="branch, tag or commit of the Hub model")
    type: Literal["local", "huggingface"] | None = Field(default=None, description="told from what is given")
    description: Description = ""


class ApproveRemoteCode(Command):
    """Let the code of one commit of a Hub model run in trainings and evaluations. Read it first: it runs as you."""

    contexts = (subjects.MODEL,)

    huggingface_name: HubName
    revision: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{40}$")] = Field(
        description="the full commit, so that what was read is what runs"
    )
    reason: Description = ""


class RenameModel(Command):
    """Give a model another name."""

    contexts = (subjects.MODEL,)

    id: Reference
    name: Name


class RemoveModel(Command):
    """Remove a base model; its files stay. Refused `in_use` while an adapter or a job that has not ended uses it;
    `cascade` removes its adapters as well."""

    contexts = (subjects.MODEL,)

    id: Reference
    cascade: bool = False
