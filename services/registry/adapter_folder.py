"""Looking into the folder of a LoRA adapter, and whether it fits the base model it is said to be for.

Runs in a prepare child; reads the config and the headers of the weights, never a weight.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunebus.contracts.errors import Code, fail
from tunebus.services.registry.hub_source import Fetched
from tunebus.services.registry.model_folder import read_json, weight_files
from tunebus.services.registry.safetensors_header import Tensor, read_header

WEIGHTS = "adapter_model.safetensors"
_LORA = re.compile(r"^(?:base_model\.model\.)?(.+)\.lora_([AB])(?:\.[^.]+)?\.weight$")


@dataclass(frozen=True)
class AdapterFolder:
    """What an adapter's folder holds. `base_model` is the model its config names, if it does."""

    location: str
    base_model: str | None
    rank: int
    sha256: str
    hub: Fetched | None = None


@dataclass(frozen=True)
class BaseModel:
    """The model an adapter is registered for."""

    name: str
    folder: Path
    hub_name: str | None = None


def inspect(folder: Path, location: str, shown: str, model: BaseModel) -> AdapterFolder:
    """Errors: `invalid`, `not_supported`, `conflict` when the adapter was made for another model."""
    if not folder.is_dir():
        message = f"{shown} is a file; an adapter is a folder"
        raise fail(Code.INVALID, message, param="path", hint="name the folder that it is in")
    config = read_json(folder, "adapter_config.json", shown)
    kind = config.get("peft_type")
    if kind != "LORA":
        raise fail(
            Code.NOT_SUPPORTED, f"{shown} is an adapter of type {kind!r}", param="path", hint="only LORA is supported"
        )
    if not (folder / WEIGHTS).is_file():
        pickled = (folder / "adapter_model.bin").is_file()
        why = "its weights as a pickle, which can run code when it is read" if pickled else f"no {WEIGHTS}"
        raise fail(
            Code.NOT_SUPPORTED if pickled else Code.INVALID,
            f"{shown} has {why}",
            param="path",
            hint=f"save the adapter as {WEIGHTS}",
        )
    tensors = read_header(folder / WEIGHTS)
    base = config.get("base_model_name_or_path")
    base = base if isinstance(base, str) and base else None
    if base and not _same_model(base, config, model):
        raise fail(
            Code.CONFLICT,
            f"the adapter was made for the base model {base!r}, not for {model.name!r}",
            param="model_id",
            hint="name the model it was made for; if they are the same, correct base_model_name_or_path in "
            "adapter_config.json",
        )
    _check_shapes(tensors, model, base, shown)
    with (folder / WEIGHTS).open("rb") as file:
        weights = hashlib.file_digest(file, "sha256").hexdigest()
    whole = hashlib.sha256((folder / "adapter_config.json").read_bytes() + weights.encode()).hexdigest()
    rank = config.get("r")
    return AdapterFolder(location, base, rank if isinstance(rank, int) else 0, whole)


def _same_model(base: str, config: dict[str, Any], model: BaseModel) -> bool:
    """Whether the name in an adapter's config can mean this model: by path, by name or by folder."""
    if Path(base).is_absolute() and Path(base).resolve() == model.folder.resolve():
        return True
    ours = {name.lower() for name in (model.name, model.folder.name, model.hub_name) if name}
    for part in model.folder.parts:  # a folder of the Hub's cache: models--owner--name/snapshots/revision
        if part.startswith("models--"):
            ours |= {part.removeprefix("models--").replace("--", "/").lower(), part.rpartition("--")[2].lower()}
    given = base.rstrip("/").lower()
    return given in ours or given.rpartition("/")[2] in ours


def _check_shapes(tensors: dict[str, Tensor], model: BaseModel, base: str | None, shown: str) -> None:
    """Every adapted layer must be one of the model's, of the same width."""
    layers: dict[str, Tensor] = {}
    for shard in weight_files(model.folder, model.name):
        layers.update(read_header(shard))
    adapted = 0
    for name, tensor in tensors.items():
        match = _LORA.match(name)
        if match is None:
            continue
        adapted += 1
        layer = layers.get(f"{match[1]}.weight")
        # LoRA A is (r, inputs) and B is (outputs, r) for a weight of (outputs, inputs).
        side = (1, 1) if match[2] == "A" else (0, 0)
        fits = (
            layer is not None
            and len(layer.shape) == len(tensor.shape) == 2
            and tensor.shape[side[0]] in (layer.shape[side[1]], layer.shape[1 - side[1]])
        )
        if not fits:
            what = "has no such layer" if layer is None else f"has it as {list(layer.shape)}"
            raise fail(
                Code.CONFLICT,
                f"the adapter, made for the base model {base or 'unknown'!r}, does not fit {model.name!r}: "
                f"{name} is {list(tensor.shape)}, and the model {what}",
                param="model_id",
                hint="name the model that the adapter was made for",
            )
    if not adapted:
        message = f"{shown} holds no LoRA weights"
        raise fail(Code.INVALID, message, param="path", hint="use the folder that peft's save_pretrained wrote")
