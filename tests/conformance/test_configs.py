"""Conformance 17, 18 and 31: configs, the split of an adapter's job, and the defaults that a studio starts with."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from tunebus.contracts.errors import Code
from tunebus.services.platform.home import STARTER_PACK

from tests.fixtures.registry import MODEL, Running, serving

LORA = {"r": 8, "lora_alpha": 16, "target_modules": ["q_proj", "v_proj"]}
AS_YAML = "# for small models\ntarget_modules:\n  - q_proj\n  - v_proj\n\nlora_alpha:   16\nr: 8\n"


async def configs(running: Running, **filters: Any) -> list[str]:
    page = await running.client.query("ListConfigs", filters)
    return [item["description"] for item in page["items"]]


async def test_conformance_17_an_equal_body_of_a_type_is_the_config_that_is_there(running: Running) -> None:
    first = await running.accepted("AddConfig", type="lora", config=LORA)
    spelled = [json.dumps(LORA, indent=4), json.dumps(dict(reversed(LORA.items()))), AS_YAML]
    for body in spelled:
        assert await running.accepted("AddConfig", type="lora", config=body) == first
    assert len(running.events()) == 1
    assert await running.accepted("AddConfig", type="custom", config=LORA) != first
    assert await running.accepted("AddConfig", type="lora", config={**LORA, "r": 16}) != first
    shown = await running.client.query("GetConfig", {"id": first})
    assert shown["config"] == LORA


async def test_conformance_17_invalid_bodies_and_unknown_types_are_refused(running: Running) -> None:
    near = await running.refused("AddConfig", type="lora", config={"lora_alfa": 16})
    assert (near.code, near.param, near.hint) == (Code.UNKNOWN_FIELD, "config.lora_alfa", "did you mean 'lora_alpha'?")
    several = await running.refused("AddConfig", type="training_arguments", config="learning_rate: -1\nepochs: 3\n")
    assert {one.param for one in several.details or ()} == {"config.learning_rate", "config.epochs"}
    for body in ("{", "[1]", "a: &x [1]\nb: *x\n", '{"r": 8, "r": 9}', "r: 8\nr: 9\n", '{"r": NaN}', ""):
        refused = await running.refused("AddConfig", type="lora", config=body)
        assert refused.code == Code.INVALID, body
        assert (refused.param or "").startswith("config"), body
    assert (await running.refused("AddConfig", type="lorra", config=LORA)).param == "type"
    assert running.events() == []


async def test_conformance_18_lists_filter_by_type_and_by_a_models_family(running: Running) -> None:
    await running.accepted("AddModel", name="starter", path=str(MODEL))  # a Llama
    for type, family, r in (("lora", "Llama", 1), ("lora", None, 2), ("lora", "qwen3", 3)):
        data = {"type": type, "config": {"r": r}, "description": f"lora {family}"}
        await running.accepted("AddConfig", **data, model_family=family, is_default=family is None)
    for tokens, family in ((8, None), (9, "qwen3")):
        data = {"type": "generation", "config": {"max_new_tokens": tokens}, "description": f"generation {family}"}
        await running.accepted("AddConfig", **data, model_family=family)
    assert await configs(running, type="generation") == ["generation None", "generation qwen3"]
    assert await configs(running, model_family="qwen3") == ["lora qwen3", "generation qwen3"]
    assert await configs(running, model_id="starter") == ["lora Llama", "generation None"]
    assert await configs(running, model_id="starter", type="lora") == ["lora Llama"]
    page = await running.client.query("ListConfigs", {"type": "lora"})
    assert [item["is_default"] for item in page["items"]] == [False, True, False]
    await running.accepted("RemoveConfig", id=page["items"][0]["id"])
    assert await configs(running, model_id="starter") == ["lora None", "generation None"]


async def test_conformance_18_28_the_split_of_an_adapter_is_that_of_its_job(running: Running) -> None:
    await running.things()
    job = await running.accepted(
        "StartFineTuningJob",
        base_model_id="starter",
        dataset_id="faq",
        adapter_name="tuned",
        dataset_fraction=0.5,
        train_test_split=0.8,
        seed=7,
    )
    assert (await running.claim()).assignment is not None
    folder = f"artifact:jobs/{job}/attempt-1/adapter"
    done = {"outcome": "finished", "step": 1, "result_uri": folder, "result_sha256": "0" * 64}
    await running.accepted("CompleteAttempt", job_id=job, attempt=1, **done)
    split = await running.client.query("GetDatasetSplitByAdapter", {"adapter_id": "tuned"})
    assert (split["dataset_fraction"], split["train_test_split"], split["split_seed"]) == (0.5, 0.8, 7)
    assert (split["source"], split["fine_tuning_job_id"], split["dataset_name"]) == ("job", job, "faq")


def environment(running: Running, **more: str) -> dict[str, str]:
    settings = running.settings
    assert settings.nats_url is not None
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TUNEBUS_")}
    return kept | {
        "TUNEBUS_HOME": str(settings.home),
        "TUNEBUS_NATS_URL": settings.nats_url.get_secret_value(),
        "TUNEBUS_NAMESPACE": settings.namespace,
        **more,
    }


async def load_defaults(running: Running, **more: str) -> tuple[int, str]:
    """Run the process that loads defaults, as a start does; its exit code and what it logged."""
    module = "tunebus.services.launcher.defaults"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", module, env=environment(running, **more), stdout=-1, stderr=asyncio.subprocess.STDOUT
    )
    said, _ = await asyncio.wait_for(process.communicate(), 60)
    return process.returncode or 0, said.decode()


async def test_conformance_31_a_second_start_adds_nothing_and_brings_nothing_back(running: Running) -> None:
    code, said = await load_defaults(running)
    assert code == 0, said
    page = await running.client.query("ListConfigs")
    by_type = {(item["type"], item["is_default"]) for item in page["items"]}
    assert by_type == {(kind, True) for kind in ("training_arguments", "lora", "generation")}
    assert len(page["items"]) == 9  # for small, medium and large models
    for query, name in (("GetModel", "starter"), ("GetDataset", "starter-questions"), ("GetPrompt", "starter-prompt")):
        assert (await running.client.query(query, {"id": name}))["name"] == name
    await running.accepted("RemoveDataset", id="starter-questions", cascade=True)
    await running.accepted("RemoveConfig", id=page["items"][0]["id"])
    await running.accepted("RenameModel", id="starter", name="mine")
    before = len(running.events())
    code, said = await load_defaults(running)
    assert code == 0, said
    assert len(running.events()) == before
    assert (await running.client.query("ListDatasets"))["items"] == []


FILE = """
datasets:
  - {name: faq, path: faq.jsonl, description: our questions}
models:
  - name: base
    path: MODEL
prompts:
  - name: short
    dataset_id: faq
    prompt_template: "{input}{completion}"
    input_template: "{question} "
    completion_template: "{answer}"
configs:
  - {type: lora, config: {r: 64}, description: ours, is_default: true}
adapters:
  - {name: missing, model_id: base, path: nowhere}
"""


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_conformance_31_an_operators_file_is_loaded_once_and_refused_entries_are_tried_again(
    running: Running,
) -> None:
    running.write("faq.jsonl", '{"question": "q", "answer": "a"}\n')
    file = running.write("defaults.yaml", FILE.replace("MODEL", str(STARTER_PACK / "model")))
    code, said = await load_defaults(running, TUNEBUS_DEFAULTS_FILE=str(file))
    assert code == 0, said
    assert "nowhere" in said
    assert (await running.client.query("GetPrompt", {"id": "short"}))["dataset_name"] == "faq"
    assert "ours" in await configs(running, type="lora")
    before = len(running.events())
    code, said = await load_defaults(running, TUNEBUS_DEFAULTS_FILE=str(file))
    assert (code, "nowhere" in said) == (0, True)
    assert len(running.events()) == before
    file.write_text("datasets:\n  - {nam: x, path: y}\nmodel: []\nprompts: 3\n")
    code, said = await load_defaults(running, TUNEBUS_DEFAULTS_FILE=str(file))
    assert code == 3
    for word in (
        "datasets.0.nam",
        "did you mean 'name'",
        "datasets.0.name",
        "did you mean 'models'",
        "prompts: is no list",
    ):
        assert word in said, word


def make_adapter(folder: Path, base: str) -> None:
    """A LoRA adapter with weights of zeros for one layer of the starter model."""
    import struct

    width = json.loads((MODEL / "config.json").read_text())["hidden_size"]
    layer = "base_model.model.model.layers.0.self_attn.q_proj"
    parts: dict[str, Any] = {
        f"{layer}.lora_A.weight": {"dtype": "F32", "shape": [1, width], "data_offsets": [0, 4 * width]},
        f"{layer}.lora_B.weight": {"dtype": "F32", "shape": [width, 1], "data_offsets": [4 * width, 8 * width]},
    }
    header = json.dumps(parts).encode()
    folder.mkdir(parents=True)
    (folder / "adapter_config.json").write_text(
        json.dumps({"peft_type": "LORA", "r": 1, "base_model_name_or_path": base})
    )
    (folder / "adapter_model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + b"\0" * (8 * width))


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_conformance_31_a_folder_of_adapters_is_registered(
    registry_settings: Any, nats_url: str, bus: Any, tmp_path: Path
) -> None:
    folder = tmp_path / "adapters"
    make_adapter(folder / "first one", "starter")
    make_adapter(folder / "other", "a-model-that-is-not-here")
    (folder / "notes").mkdir()
    settings = registry_settings.model_copy(update={"adapters_dir": folder})
    async with serving(settings, nats_url) as (_, running):
        for _ in range(2):
            code, said = await load_defaults(running, TUNEBUS_ADAPTERS_DIR=str(folder))
            assert code == 0, said
            assert "a-model-that-is-not-here" in said
        page = await running.client.query("ListAdapters")
        assert [(item["name"], item["model_name"]) for item in page["items"]] == [("first-one", "starter")]
        code, said = await load_defaults(running, TUNEBUS_ADAPTERS_DIR=str(tmp_path / "nowhere"))
        assert (code, "nowhere" in said) == (4, True)
