"""A base model with an adapter on it, for scoring and for export. Runs in the child alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tunebus.contracts.recipes import AdapterSource, ModelSource
from tunebus.services.platform.child.failures import ChildFailure

WEIGHTS = "adapter_model.safetensors"
CONFIG = "adapter_config.json"


def with_adapter(model: Any, adapter: AdapterSource, base: ModelSource, *, merge: bool) -> Any:
    """The model with the adapter on it; with `merge` it is merged into its weights. Errors: `bad_configuration`."""
    from peft import PeftModel
    from safetensors import SafetensorError

    folder = Path(adapter.location)
    if not (folder / CONFIG).is_file() or not (folder / WEIGHTS).is_file():
        raise ChildFailure(
            "bad_configuration",
            f"{folder} holds no adapter: {CONFIG} and {WEIGHTS} are needed",
            "take an adapter that is still on disk",
        )
    try:
        adapted = PeftModel.from_pretrained(model, str(folder), is_trainable=False, local_files_only=True)
    except (RuntimeError, ValueError, OSError, KeyError, SafetensorError) as error:
        reason = str(error).strip().split("\n", 1)[0]
        raise ChildFailure(
            "bad_configuration",
            f"the adapter in {folder} does not fit the model in {base.location}: {reason}",
            "take an adapter with the base model that it was trained on",
        ) from None
    return adapted.merge_and_unload() if merge else adapted
