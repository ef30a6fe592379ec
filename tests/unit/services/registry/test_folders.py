"""Model and adapter folders: what is found in them, and what they are refused for. No weight is ever loaded."""

from __future__ import annotations

import json
import shutil
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from tunebus.contracts.errors import Problem, TunebusError
from tunebus.services.platform.home import STARTER_PACK
from tunebus.services.registry import adapter_folder, model_folder
from tunebus.services.registry.adapter_folder import AdapterFolder, BaseModel
from tunebus.services.registry.safetensors_header import read_header

CONFIG = {
    "model_type": "llama",
    "architectures": ["LlamaForCausalLM"],
    "max_position_embeddings": 128,
    "vocab_size": 10,
}
LAYER = "model.layers.0.self_attn.q_proj"


def write_safetensors(path: Path, tensors: Mapping[str, tuple[str, list[int]]]) -> None:
    header, offset = {}, 0
    for name, (dtype, shape) in tensors.items():
        size = {"F32": 4, "BF16": 2}[dtype]
        for length in shape:
            size *= length
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [offset, offset + size]}
        offset += size
    body = json.dumps({"__metadata__": {"format": "pt"}, **header}).encode()
    path.write_bytes(struct.pack("<Q", len(body)) + body + bytes(offset))


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "base-model"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(CONFIG))
    (folder / "tokenizer.json").write_text("{}")
    write_safetensors(
        folder / "model.safetensors", {f"{LAYER}.weight": ("BF16", [6, 4]), "lm_head.weight": ("F32", [10, 4])}
    )
    return folder


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    folder = tmp_path / "adapter"
    folder.mkdir()
    (folder / "adapter_config.json").write_text(
        json.dumps({"peft_type": "LORA", "r": 2, "base_model_name_or_path": "org/base-model"})
    )
    write_safetensors(
        folder / "adapter_model.safetensors",
        {
            f"base_model.model.{LAYER}.lora_A.weight": ("F32", [2, 4]),
            f"base_model.model.{LAYER}.lora_B.weight": ("F32", [6, 2]),
        },
    )
    return folder


def look(folder: Path) -> model_folder.ModelFolder:
    return model_folder.inspect(folder, "loc", "MODEL")


def refusal(act: Callable[[], object]) -> Problem:
    with pytest.raises(TunebusError) as refused:
        act()
    assert refused.value.problem.hint, f"{refused.value.problem.message}: no way out"
    return refused.value.problem


def edit(path: Path, **changes: Any) -> None:
    document = json.loads(path.read_text())
    path.write_text(json.dumps({k: v for k, v in {**document, **changes}.items() if v is not None}))


# Models


def test_a_model_is_read_from_its_config_and_headers(model: Path) -> None:
    found = look(model)
    assert (found.architecture, found.model_family, found.parameters) == ("LlamaForCausalLM", "llama", 64)
    assert (found.dtype, found.context_length, found.vocabulary_size) == ("float32", 128, 10)
    assert found.has_chat_template is False


def test_numbers_that_stand_for_no_limit_are_none(model: Path) -> None:
    edit(model / "config.json", max_position_embeddings=2**64, vocab_size=10**19)
    # As transformers writes it for a tokenizer without a limit.
    (model / "tokenizer_config.json").write_text(json.dumps({"model_max_length": int(1e30)}))
    found = look(model)
    assert (found.context_length, found.vocabulary_size, found.has_chat_template) == (None, None, False)


def test_the_starter_model_is_a_model() -> None:
    found = model_folder.inspect(STARTER_PACK / "model", "loc", "MODEL")
    assert found.dtype == "bfloat16"
    assert found.has_chat_template
    assert found.parameters > 1_000_000


def test_the_hash_is_that_of_the_weights_and_what_is_read_beside_them(model: Path) -> None:
    first = look(model)
    (model / "README.md").write_text("words")
    assert look(model).sha256 == first.sha256
    (model / "tokenizer_config.json").write_text('{"chat_template": "x"}')
    second = look(model)
    assert second.sha256 != first.sha256
    assert second.has_chat_template
    weights = bytearray((model / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (model / "model.safetensors").write_bytes(weights)
    assert look(model).sha256 != second.sha256


def test_pickle_weights_are_refused_with_a_way_out(model: Path) -> None:
    (model / "model.safetensors").rename(model / "pytorch_model.bin")
    problem = refusal(lambda: look(model))
    assert (problem.code, problem.param) == ("not_supported", "path")
    assert "pytorch_model.bin" in problem.message
    assert "safe_serialization" in str(problem.hint)


def test_code_that_comes_with_a_model_is_refused(model: Path) -> None:
    edit(model / "config.json", model_type="mystery", auto_map={"AutoModel": "evil.Model"})
    problem = refusal(lambda: look(model))
    assert (problem.code, problem.param) == ("not_permitted", "path")


@pytest.mark.parametrize(
    ("changes", "code", "word"),
    [
        ({"architectures": None}, "invalid", "architectures"),
        ({"architectures": ["BertForMaskedLM"]}, "not_supported", "BertForMaskedLM"),
        ({"model_type": 3}, "invalid", "model_type"),
    ],
)
def test_a_config_that_names_no_language_model_is_refused(model: Path, changes: Any, code: str, word: str) -> None:
    edit(model / "config.json", **changes)
    problem = refusal(lambda: look(model))
    assert problem.code == code
    assert word in problem.message


@pytest.mark.parametrize("gone", ["config.json", "tokenizer.json", "model.safetensors"])
def test_each_missing_part_is_named(model: Path, gone: str) -> None:
    (model / gone).unlink()
    problem = refusal(lambda: look(model))
    assert problem.code == "invalid"
    assert gone.split(".")[0] in f"{problem.message} {problem.hint}"


def test_a_missing_shard_is_named(model: Path) -> None:
    (model / "model.safetensors").rename(model / "model-00001-of-00002.safetensors")
    names = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    (model / "model.safetensors.index.json").write_text(json.dumps({"weight_map": names}))
    assert "model-00002-of-00002" in refusal(lambda: look(model)).message
    shutil.copy(model / names["a"], model / names["b"])
    assert look(model).parameters == 64


@pytest.mark.parametrize("keep", [0, 4, 12, -1])
def test_weights_cut_short_are_refused(model: Path, keep: int) -> None:
    weights = (model / "model.safetensors").read_bytes()
    (model / "model.safetensors").write_bytes(weights[:keep])
    problem = refusal(lambda: look(model))
    assert problem.code == "invalid"
    assert "model.safetensors" in problem.message


def test_a_header_of_absurd_length_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(struct.pack("<Q", 2**63) + b"{}")
    assert refusal(lambda: read_header(path)).code == "invalid"


def test_a_model_is_told_from_an_adapter_where_one_is_meant_and_the_other_given(adapter: Path, model: Path) -> None:
    assert refusal(lambda: look(adapter)).hint == "it is an adapter: use AddAdapter"
    assert refusal(lambda: fit(model, model)).hint == "it is a model: use AddModel"


def test_a_file_is_no_model(model: Path) -> None:
    assert refusal(lambda: look(model / "config.json")).code == "invalid"


# Adapters


def fit(adapter: Path, model: Path, name: str = "base-model") -> AdapterFolder:
    return adapter_folder.inspect(adapter, "loc", "ADAPTER", BaseModel(name, model))


def test_an_adapter_of_this_model_is_read(adapter: Path, model: Path) -> None:
    found = fit(adapter, model)
    assert (found.base_model, found.rank) == ("org/base-model", 2)


@pytest.mark.parametrize("base", ["base-model", "org/base-model", "Base-Model", None])
def test_the_base_models_name_may_be_written_in_any_usual_way(adapter: Path, model: Path, base: str | None) -> None:
    edit(adapter / "adapter_config.json", base_model_name_or_path=base)
    fit(adapter, model)


def test_the_base_model_may_be_a_path(adapter: Path, model: Path) -> None:
    edit(adapter / "adapter_config.json", base_model_name_or_path=str(model))
    fit(adapter, model, "another name")


def test_a_folder_of_the_hubs_cache_has_the_hubs_name(adapter: Path, model: Path, tmp_path: Path) -> None:
    cached = tmp_path / "models--org--base-model" / "snapshots" / "0123abcd"
    shutil.copytree(model, cached)
    fit(adapter, cached, "another name")


def test_another_base_model_is_refused_with_both_names(adapter: Path, model: Path) -> None:
    edit(adapter / "adapter_config.json", base_model_name_or_path="org/other-model")
    problem = refusal(lambda: fit(adapter, model))
    assert (problem.code, problem.param) == ("conflict", "model_id")
    assert "'org/other-model'" in problem.message
    assert "'base-model'" in problem.message


@pytest.mark.parametrize(("inputs", "outputs"), [(5, 6), (4, 7)])
def test_layers_of_another_width_are_refused(adapter: Path, model: Path, inputs: int, outputs: int) -> None:
    write_safetensors(
        adapter / "adapter_model.safetensors",
        {
            f"base_model.model.{LAYER}.lora_A.weight": ("F32", [2, inputs]),
            f"base_model.model.{LAYER}.lora_B.weight": ("F32", [outputs, 2]),
        },
    )
    problem = refusal(lambda: fit(adapter, model))
    assert problem.code == "conflict"
    assert "[6, 4]" in problem.message


def test_layers_the_model_lacks_are_refused(adapter: Path, model: Path) -> None:
    write_safetensors(
        adapter / "adapter_model.safetensors", {"base_model.model.nowhere.lora_A.weight": ("F32", [2, 4])}
    )
    assert "no such layer" in refusal(lambda: fit(adapter, model)).message


def test_an_adapter_without_lora_weights_is_refused(adapter: Path, model: Path) -> None:
    write_safetensors(adapter / "adapter_model.safetensors", {"x": ("F32", [1])})
    assert refusal(lambda: fit(adapter, model)).code == "invalid"


def test_other_kinds_of_adapters_are_refused(adapter: Path, model: Path) -> None:
    edit(adapter / "adapter_config.json", peft_type="PREFIX_TUNING")
    assert refusal(lambda: fit(adapter, model)).code == "not_supported"


@pytest.mark.parametrize("gone", ["adapter_config.json", "adapter_model.safetensors"])
def test_each_missing_part_of_an_adapter_is_named(adapter: Path, model: Path, gone: str) -> None:
    (adapter / gone).unlink()
    assert gone in refusal(lambda: fit(adapter, model)).message


def test_a_pickled_adapter_is_refused(adapter: Path, model: Path) -> None:
    (adapter / "adapter_model.safetensors").rename(adapter / "adapter_model.bin")
    assert refusal(lambda: fit(adapter, model)).code == "not_supported"


def test_an_adapters_folder_is_no_model(adapter: Path) -> None:
    (adapter / "config.json").write_text(json.dumps(CONFIG))
    assert "AddAdapter" in str(refusal(lambda: look(adapter)).hint)
