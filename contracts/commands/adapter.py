"""Commands about adapters."""

from __future__ import annotations

from typing import Literal

from tunebus.contracts import subjects
from tunebus.contracts.commands.command import AdapterName, Command, Location, Reference


class AddAdapter(Command):
    """Register an adapter folder (`adapter_config.json`, `adapter_model.safetensors`) that was made elsewhere."""

    contexts = (subjects.ADAPTER,)

    name: AdapterName
    model_id: Reference
    path: Location
    type: Literal["local"] = "local"
    fine_tuning_job_id: Reference | None = None
    prompt_id: Reference | None = None
