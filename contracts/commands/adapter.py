"""Commands about adapters."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from tunebus.contracts import subjects
from tunebus.contracts.commands.command import AdapterName, Command, HubName, Location, Reference, Revision


class AddAdapter(Command):
    """Register an adapter (`adapter_config.json`, `adapter_model.safetensors`) that was made elsewhere: a folder, by
    `path`, or one of the Hub.
    """

    contexts = (subjects.ADAPTER,)

    name: AdapterName
    model_id: Reference
    path: Location | None = None
    huggingface_name: HubName | None = Field(default=None, description="owner/name on the Hub, in place of a path")
    revision: Revision | None = Field(default=None, description="branch, tag or commit of the Hub adapter")
    type: Literal["local", "huggingface"] | None = Field(default=None, description="told from what is given")
    fine_tuning_job_id: Reference | None = None
    prompt_id: Reference | None = None


class RenameAdapter(Command):
    """Give an adapter another name."""

    contexts = (subjects.ADAPTER,)

    id: Reference
    name: AdapterName


class RemoveAdapter(Command):
    """Remove an adapter; its files stay. Refused `in_use` while a job that has not ended uses it, with `cascade` as
    well: nothing goes with an adapter."""

    contexts = (subjects.ADAPTER,)

    id: Reference
    cascade: bool = False
