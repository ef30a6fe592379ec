"""Looking into the folder of a base model: its config, its tokenizer, the headers of its weights. Loads no weights.

Runs in a prepare child; refuses pickle weights and code that came with the model.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunebus.contracts import strictjson
from tunebus.contracts.errors import Code, TunebusError, fail
from tunebus.contracts.recipes import ORDINARY_MODEL_FAMILIES
from tunebus.services.registry import chat_template
from tunebus.services.registry.hub_source import Fetched
from tunebus.services.registry.safetensors_header import DTYPES, Tensor, read_header

PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".msgpack", ".h5")
TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json", "spiece.model", "sentencepiece.bpe.model")
_NO_LINEAR_LAYER = re.compile(r"embed|\bwte\b|\bwpe\b|\blm_head\b|\bscore\b")
_SAVED = "use the folder that save_pretrained wrote"
MAX_CONFIG_BYTES = 20_000_000
LARGEST = 2**53  # which every reader of JSON has exactly


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
    shape: dict[str, Any] | None = None
    remote_code: tuple[str, ...] = ()
    hub: Fetched | None = None


def inspect(
    folder: Path, location: str, shown: str, *, code: Sequence[str] | None = None, approved: bool = False
) -> ModelFolder:
    """`code` are the Python files of a repository that were not fetched; `approved` says that they may run.

    Errors: `invalid`, `not_supported`, `not_permitted`; each names `path` and says what to do.
    """
    if not folder.is_dir():
        raise fail(
            Code.INVALID,
            f"{shown} is a file; a model is a folder with config.json and safetensors weights",
            param="path",
            hint="name the folder that it is in",
        )
    config = read_json(folder, "config.json", shown)
    needs_code = _needs_code(config)
    if needs_code and not approved:
        raise _unapproved(folder, shown, code)
    architecture, family = _architecture(config, shown)
    shards = weight_files(folder, shown)
    tensors: dict[str, Tensor] = {}
    for shard in shards:
        tensors.update(read_header(shard))
    if not tensors:
        message = f"{shown} has weights without a single tensor"
        raise fail(Code.INVALID, message, param="path", hint="copy the whole folder again")
    if not any((folder / name).is_file() for name in TOKENIZERS):
        raise fail(
            Code.INVALID, f"{shown} has no tokenizer", param="path", hint="tokenizer.json belongs beside config.json"
        )
    chat_template.check(folder, shown)
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
        shape=_shape(config, tensors),
        remote_code=tuple(_python_files(folder)) if needs_code else (),
    )


def _needs_code(config: dict[str, Any]) -> bool:
    return bool(config.get("auto_map")) and config.get("model_type") not in ORDINARY_MODEL_FAMILIES


def _unapproved(folder: Path, shown: str, code: Sequence[str] | None) -> TunebusError:
    """Of the Hub's models one commit may be approved; a folder may change at any time."""
    files = ", ".join(_python_files(folder) if code is None else code) or "none of which is there"
    families = ", ".join(ORDINARY_MODEL_FAMILIES)
    return fail(
        Code.NOT_PERMITTED,
        f"{shown} needs code that came with it to be run: {files}",
        param="path",
        hint=f"use a model of a known family, for example {families}"
        if code is None
        else "read it; `tunebus model approve-code NAME COMMIT` lets that very commit run, as you",
    )


def _python_files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.py"))


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
        raise fail(Code.INVALID, f"{shown} has no {name}", param="path", hint=_instead(folder))
    try:
        found = strictjson.loads(path.read_bytes(), max_bytes=MAX_CONFIG_BYTES)
    except TunebusError as error:
        message = f"{name} in {shown}: {error.problem.message}"
        raise fail(Code.INVALID, message, param="path", hint=_SAVED) from None
    if not isinstance(found, dict):
        raise fail(Code.INVALID, f"{name} in {shown} is no object", param="path", hint=_SAVED)
    return found


def _instead(folder: Path) -> str:
    """What to do about a folder that lacks its config: what it is instead, where that can be told."""
    if (folder / "adapter_config.json").is_file():
        return "it is an adapter: use AddAdapter"
    if (folder / "config.json").is_file():
        return "it is a model: use AddModel"
    return _SAVED


def _architecture(config: dict[str, Any], shown: str) -> tuple[str, str]:
    family = config.get("model_type")
    named = config.get("architectures")
    architecture = named[0] if isinstance(named, list) and named else None
    if not isinstance(family, str) or not isinstance(architecture, str):
        raise fail(
            Code.INVALID,
            f"config.json in {shown} does not name its model_type and architectures",
            param="path",
            hint=_SAVED,
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
    """The first of these that is a number of something; one that no record can hold is as good as none."""
    found = (config.get(name) for name in names)
    return next((value for value in found if type(value) is int and abs(value) <= LARGEST), None)


def _shape(config: dict[str, Any], tensors: Mapping[str, Tensor]) -> dict[str, Any] | None:
    """A `ModelShape`, as far as config and headers tell; None where the config speaks in words of its own.

    Linear layers are the matrices that are neither a table of embeddings nor the output head.
    """
    layers = _whole(config, "num_hidden_layers", "n_layer", "num_layers")
    hidden = _whole(config, "hidden_size", "n_embd", "d_model")
    heads = _whole(config, "num_attention_heads", "n_head", "num_heads")
    if not (layers and hidden and heads):
        return None
    linear: Counter[str] = Counter()
    weights = 0
    for name, tensor in tensors.items():
        parts = name.split(".")
        if len(tensor.shape) != 2 or parts[-1] != "weight" or _NO_LINEAR_LAYER.search(name):
            continue
        linear[parts[-2]] += sum(tensor.shape)
        weights += tensor.count
    return {
        "layers": layers,
        "hidden_size": hidden,
        "intermediate_size": _whole(config, "intermediate_size", "n_inner", "ffn_dim") or 4 * hidden,
        "attention_heads": heads,
        "key_value_heads": _whole(config, "num_key_value_heads") or heads,
        "linear": dict(linear),
        "linear_parameters": weights,
    }


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
