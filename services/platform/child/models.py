"""Loading a base model in a child: tokenizer, config and weights; local files, safetensors alone, no code of theirs.

The heavy libraries are imported inside the functions: importing this module costs nothing.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import warnings
from pathlib import Path
from typing import Any, Literal

from tunebus.contracts.recipes import ModelSource
from tunebus.services.platform.child.failures import ChildFailure

_LIBRARIES = ("torch", "transformers", "trl", "peft", "accelerate", "datasets", "tokenizers", "safetensors")


def quiet() -> None:
    """Progress bars and notices of the libraries would fill the job's log; errors still raise. Call it first."""
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")
    warnings.filterwarnings("ignore", category=FutureWarning)
    from transformers.utils import logging

    logging.disable_progress_bar()


def load_tokenizer(source: ModelSource) -> Any:
    """Errors: `bad_configuration`."""
    from transformers import AutoTokenizer

    _check_folder(source)
    try:
        return AutoTokenizer.from_pretrained(
            source.location, local_files_only=True, trust_remote_code=source.remote_code
        )
    except (OSError, ValueError, KeyError) as error:
        raise _not_loadable("tokenizer", source, error) from None


def load_config(source: ModelSource) -> Any:
    """The text part of the model's config. Errors: `bad_configuration`."""
    from transformers import AutoConfig

    _check_folder(source)
    try:
        config = AutoConfig.from_pretrained(
            source.location, local_files_only=True, trust_remote_code=source.remote_code
        )
    except (OSError, ValueError, KeyError) as error:
        raise _not_loadable("model", source, error) from None
    return config.get_text_config()


def load_model(source: ModelSource, dtype: Literal["float32", "bfloat16", "float16"]) -> Any:
    """The base model, in host memory. Errors: `bad_configuration`."""
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM

    try:
        return AutoModelForCausalLM.from_pretrained(
            source.location,
            dtype=dtype,
            local_files_only=True,
            use_safetensors=True,
            trust_remote_code=source.remote_code,
        )
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        raise _not_loadable("model", source, error) from None


def context_length(config: Any, tokenizer: Any) -> int | None:
    """The longest sequence that model and tokenizer are made for; None when neither says."""
    known = (getattr(config, "max_position_embeddings", None), tokenizer.model_max_length)
    lengths = [int(length) for length in known if length and length < 10**9]
    return min(lengths) if lengths else None


def check_vocabulary(tokenizer: Any, model: Any, source: ModelSource) -> int:
    """How many tokens the model has embeddings for. Errors: `bad_configuration` where the tokenizer knows more."""
    rows = int(model.get_input_embeddings().weight.shape[0])
    if len(tokenizer) > rows:
        raise ChildFailure(
            "bad_configuration",
            f"the tokenizer in {source.location} has {len(tokenizer)} tokens, but the model has embeddings for {rows}",
            "use the tokenizer that the model was trained with",
        )
    return rows


def versions() -> dict[str, str]:
    """Versions of Python and of the libraries that a result depends on."""
    found = {"python": platform.python_version()}
    for name in ("tunebus", *_LIBRARIES):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _check_folder(source: ModelSource) -> None:
    # A name that is no folder would be looked up on the Hub.
    if not Path(source.location).is_dir():
        raise ChildFailure(
            "bad_configuration",
            f"the model's folder {source.location} is gone",
            "put it back where it was added from, or add the model again",
        )


def _not_loadable(what: str, source: ModelSource, error: Exception) -> ChildFailure:
    reason = str(error).strip().split("\n", 1)[0]
    return ChildFailure(
        "bad_configuration",
        f"the {what} in {source.location} cannot be loaded: {reason}",
        "a model is a folder with config.json, a tokenizer and safetensors weights",
    )
