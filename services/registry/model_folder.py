"""Looking into the folder of a base model: its config, its tokenizer, the headers of its weights. Loads no weights.

Runs in a prepare child; refuses pickle weights and code that came with the model.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunebus.contracts import strictjson
from tunebus.contracts.errors import Code, TunebusError, fail
from tunebus.contracts.recipes import ORDINARY_MODEL_FAMILIES
from tunebus.services.registry.safetensors_header import DTYPES, Tensor, read_header

PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".msgpack", ".h5")
TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json", "spiece.model", "sentencepiece.bpe.model")
MAX_CONFIG_BYTES = 20_000_000


@dataclass(frozen=True)
class ModelFolder:
    """What a model's folder holds. `sha256` is over every file that a training reads."""

    location: str
    architecture: str
    model_family: str
    parameters: int
    dtype: str
    context_length: int | None
    vocabulary_size: int | None
    has_chat_template: bool
    bytes: int
    sha256: str


def inspect(folder: Path, location: str, shown: str) -> ModelFolder:
    """Errors: `invalid`, `not_supported`; each names `path` and says what to do."""
    if not folder.is_dir():
        raise fail(
            Code.INVALID,
            f"{shown} is a file; a model is a folder with config.json and safetensors weights",
            param="path",
        )
    config = read_json(folder, "config.json", shown)
    architecture, family = _architecture(config, shown)
    shards = weight_files(folder, shown)
    tensors: dict[str, Tensor] = {}
    for shard in shards:
        tensors.update(read_header(shard))
    if not tensors:
        raise fail(Code.INVALID, f"{shown} has weights without a single tensor", param="path")
    if not any((folder / name).is_file() for name in TOKENIZERS):
        raise fail(
            Code.INVALID, f"{shown} has no tokenizer", param="path", hint="tokenizer.json belongs beside config.json"
        )
    digest, size = _digest(folder, shards)
    sizes: Counter[str] = Counter()
    for tensor in tensors.values():
        sizes[tensor.dtype] += tensor.count
    return ModelFolder(
        location=location,
        architecture=architecture,
        model_family=family,
        parameters=sum(sizes.values()),
        dtype=DTYPES.get(sizes.most_common(1)[0][0], sizes.most_common(1)[0][0].lower()),
        context_length=_whole(config, "max_position_embeddings", "n_positions", "max_seq_len", "seq_length"),
        vocabulary_size=_whole(config, "vocab_size"),
        has_chat_template=_has_chat_template(folder, shown),
        bytes=size,
        sha256=digest,
    )


def weight_files(folder: Path, shown: str) -> list[Path]:
    """The safetensors of a model: one file, or the shards that its index names, all of them there."""
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        found = read_json(folder, index.name, shown).get("weight_map")
        names = sorted({str(name) for name in found.values()}) if isinstance(found, dict) else []
        gone = [name for name in names if Path(name).name != name or not (folder / name).is_file()]
        if gone or not names:
            raise fail(
                Code.INVALID,
                f"{shown} is incomplete: of {len(names)} shards are missing: {', '.join(gone) or 'none is named'}",
                param="path",
                hint="copy the whole folder again",
            )
        return [folder / name for name in names]
    files = sorted(path for path in folder.glob("*.safetensors") if path.name != "adapter_model.safetensors")
    if files:
        return files
    pickles = sorted(path.name for path in folder.iterdir() if path.suffix.lower() in PICKLES)
    if pickles:
        raise fail(
            Code.NOT_SUPPORTED,
            f"{shown} has its weights as pickles ({', '.join(pickles[:3])}), which can run code when they are read",
            param="path",
            hint="save the model as safetensors: model.save_pretrained(folder, safe_serialization=True)",
        )
    if (folder / "adapter_config.json").is_file():
        raise fail(Code.INVALID, f"{shown} is an adapter, not a base model", param="path", hint="use AddAdapter")
    raise fail(
        Code.INVALID, f"{shown} has no weights", param="path", hint="model.safetensors belongs beside config.json"
    )


def read_json(folder: Path, name: str, shown: str) -> dict[str, Any]:
    """A JSON object of the folder. Errors: `invalid`, also when it is not there."""
    path = folder / name
    if not path.is_file():
        raise fail(Code.INVALID, f"{shown} has no {name}", param="path")
    try:
        found = strictjson.loads(path.read_bytes(), max_bytes=MAX_CONFIG_BYTES)
    except TunebusError as error:
        raise fail(Code.INVALID, f"{name} in {shown}: {error.problem.message}", param="path") from None
    if not isinstance(found, dict):
        raise fail(Code.INVALID, f"{name} in {shown} is no object", param="path")
    return found


def _architecture(config: dict[str, Any], shown: str) -> tuple[str, str]:
    family = config.get("model_type")
    named = config.get("architectures")
    architecture = named[0] if isinstance(named, list) and named else None
    if not isinstance(family, str) or not isinstance(architecture, str):
        raise fail(
            Code.INVALID,
            f"config.json in {shown} does not name its model_type and architectures",
            param="path",
            hint="use the folder that save_pretrained wrote",
        )
    if config.get("auto_map") and family not in ORDINARY_MODEL_FAMILIES:
        raise fail(
            Code.NOT_SUPPORTED,
            f"{shown} wants code that came with it to be run (auto_map), which this studio never does",
            param="path",
            hint=f"use a model of a known family, for example {', '.join(ORDINARY_MODEL_FAMILIES)}",
        )
    if not architecture.endswith(("ForCausalLM", "LMHeadModel")):
        raise fail(
            Code.NOT_SUPPORTED,
            f"{shown} is a {architecture}, not a causal language model",
            param="path",
            hint="use a model whose architecture ends in ForCausalLM",
        )
    return architecture, family


def _whole(config: dict[str, Any], *names: str) -> int | None:
    found = (config.get(name) for name in names)
    return next((value for value in found if isinstance(value, int) and not isinstance(value, bool)), None)


def _has_chat_template(folder: Path, shown: str) -> bool:
    if any((folder / name).is_file() for name in ("chat_template.jinja", "chat_template.json")):
        return True
    if not (folder / "tokenizer_config.json").is_file():
        return False
    return bool(read_json(folder, "tokenizer_config.json", shown).get("chat_template"))


def _digest(folder: Path, shards: list[Path]) -> tuple[str, int]:
    """Hash and size of what a training reads: the weights, and every small text file beside them."""
    small = [
        path for path in folder.iterdir() if path.suffix in (".json", ".jinja", ".txt", ".model") and path.is_file()
    ]
    whole = hashlib.sha256()
    size = 0
    for path in sorted({*shards, *small}):
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        size += path.stat().st_size
        whole.update(f"{path.name}\0{digest}\n".encode())
    return whole.hexdigest(), size
