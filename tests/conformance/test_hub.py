"""The Hub's side, datasets, models, adapters: the real clients against a server that speaks the Hub's HTTP."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tunebus.contracts.errors import Code, Problem
from tunebus.services.platform.home import STARTER_PACK

from tests.fixtures.adapters import lora_files
from tests.fixtures.hub import TOKEN, Hub
from tests.fixtures.registry import Running

MODEL = STARTER_PACK / "model"
on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
README = """---
license: mit
pretty_name: Questions of our users
configs:
- config_name: default
  data_files:
  - split: train
    path: train.jsonl
  - split: test
    path: test.jsonl
---
"""
TRAIN = "".join(json.dumps({"question": f"q{n}", "context": "c", "answer": f"a{n}"}) + "\n" for n in range(20))
TEST = "".join(json.dumps({"question": f"t{n}", "context": "c", "answer": f"b{n}"}) + "\n" for n in range(5))
FAQ = {"README.md": README, "train.jsonl": TRAIN, "test.jsonl": TEST}


def model_files() -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in MODEL.iterdir() if path.is_file()}


@pytest.fixture(autouse=True)
def environment(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The registry's Hub child talks to this test's Hub, without anybody's token or cache."""
    for name, value in hub.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)


async def get(running: Running, query: str, name: str) -> dict[str, Any]:
    return await running.client.query(query, {"id": name})


@on_sqlite
async def test_conformance_05_a_hub_dataset_is_pinned_with_its_features_in_order(running: Running, hub: Hub) -> None:
    repository = hub.put("datasets", "acme/faq", FAQ, card={"pretty_name": "Questions of our users"})
    await running.accepted("AddDataset", name="faq", huggingface_name="acme/faq")
    dataset = await get(running, "GetDataset", "faq")
    assert dataset["type"] == "huggingface"
    assert dataset["huggingface_name"] == "acme/faq"
    assert dataset["revision"] == repository.commit
    assert dataset["features"] == ["question", "context", "answer"]
    assert dataset["description"] == "Questions of our users"
    assert dataset["splits"] == {"train": 20, "test": 5}
    assert not any(request.authorized for request in hub.requests)
    assert f"/datasets/acme/faq/resolve/{repository.commit}/train.jsonl" in hub.asked("GET")
    preview = await running.client.query("PreviewDataset", {"id": "faq", "limit": 2})
    assert preview["rows"][0] == {"question": "q0", "context": "c", "answer": "a0"}


async def test_conformance_05_the_same_revision_twice_is_refused_and_another_is_not(running: Running, hub: Hub) -> None:
    repository = hub.put("datasets", "acme/faq", FAQ)
    await running.accepted("AddDataset", name="faq", huggingface_name="acme/faq")
    problem = await running.refused("AddDataset", name="again", huggingface_name="acme/faq")
    assert (problem.code, problem.param) == (Code.DUPLICATE_NAME, "huggingface_name")
    assert "'faq'" in problem.message
    first = repository.commit
    repository.change({"train.jsonl": TRAIN.encode() * 2})
    await running.accepted("AddDataset", name="newer", huggingface_name="acme/faq")
    assert (await get(running, "GetDataset", "newer"))["splits"]["train"] == 40
    problem = await running.refused("AddDataset", name="older", huggingface_name="acme/faq", revision=first)
    assert problem.code == Code.DUPLICATE_NAME
    await running.accepted("AddDataset", name="only-test", huggingface_name="acme/faq", split="test")
    assert (await get(running, "GetDataset", "only-test"))["rows"] == 5


@on_sqlite
async def test_conformance_05_a_hub_dataset_needs_a_name_and_one_origin(running: Running, hub: Hub) -> None:
    problem = await running.refused("AddDataset", name="faq", type="huggingface")
    assert (problem.code, problem.param) == (Code.INVALID, "huggingface_name")
    problem = await running.refused("AddDataset", name="faq", path="/a.csv", huggingface_name="acme/faq")
    assert (problem.code, problem.param) == (Code.INVALID, "huggingface_name")
    problem = await running.refused("AddDataset", name="faq", path="/a.csv", revision="main")
    assert (problem.code, problem.param) == (Code.INVALID, "revision")
    problem = await running.refused("AddDataset", name="faq", huggingface_name="no name/ of/ the hub")
    assert (problem.code, problem.param) == (Code.INVALID, "huggingface_name")
    assert hub.requests == []


@on_sqlite
async def test_configs_and_splits_that_are_missing_are_named_with_those_there_are(running: Running, hub: Hub) -> None:
    card = "---\nconfigs:\n- config_name: en\n  data_files: en.jsonl\n- config_name: de\n  data_files: de.jsonl\n---\n"
    hub.put("datasets", "acme/two", {"README.md": card, "en.jsonl": TRAIN, "de.jsonl": TEST})
    problem = await running.refused("AddDataset", name="two", huggingface_name="acme/two")
    assert (problem.code, problem.param) == (Code.INVALID, "config_name")
    assert "en, de" in str(problem.hint)
    await running.accepted("AddDataset", name="two", huggingface_name="acme/two", config_name="de")
    assert (await get(running, "GetDataset", "two"))["rows"] == 5
    hub.put("datasets", "acme/faq", FAQ)
    problem = await running.refused("AddDataset", name="faq", huggingface_name="acme/faq", split="dev")
    assert (problem.code, problem.param) == (Code.NOT_FOUND, "split")
    assert "train, test" in str(problem.hint)


@on_sqlite
async def test_conformance_05_gated_missing_private_limited_and_offline_each_say_so(
    running: Running, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.put("datasets", "acme/gated", FAQ, gated=True)
    hub.put("datasets", "acme/private", FAQ, private=True)

    async def refused(name: str) -> Problem:
        problem = await running.refused("AddDataset", name="faq", huggingface_name=name)
        assert problem.param == "huggingface_name"
        assert running.events() == []
        return problem

    gated = await refused("acme/gated")
    assert gated.code == Code.NOT_PERMITTED
    assert "gated" in gated.message
    assert f"{hub.url}/datasets/acme/gated" in str(gated.hint)
    for name in ("acme/private", "acme/nowhere"):  # without a token the Hub tells nobody which of the two it is
        hidden = await refused(name)
        assert hidden.code == Code.NOT_FOUND
        assert "no public dataset" in hidden.message
        assert "HF_TOKEN" in str(hidden.hint)
    hub.rate_limited = True
    limited = await refused("acme/gated")
    assert limited.code == Code.UNAVAILABLE
    assert "300 s" in str(limited.hint)
    hub.close()
    away = await refused("acme/gated")
    assert away.code == Code.UNAVAILABLE
    assert "cannot be reached" in away.message


@on_sqlite
async def test_with_a_token_the_hub_shows_what_its_account_may_see(
    running: Running, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)  # the Hub child, which alone is given it, starts later
    hub.put("datasets", "acme/gated", FAQ, gated=True)
    hub.put("datasets", "acme/private", {**FAQ, "more.txt": "x"}, private=True)
    for name in ("gated", "private"):
        await running.accepted("AddDataset", name=name, huggingface_name=f"acme/{name}")
    problem = await running.refused("AddDataset", name="faq", huggingface_name="acme/nowhere")
    assert problem.code == Code.NOT_FOUND
    assert "account of HF_TOKEN" in problem.message
    assert any(request.authorized for request in hub.requests)
    record = json.dumps([event.data for event in running.events()])
    assert TOKEN not in record


@on_sqlite
async def test_conformance_26_the_hubs_token_reaches_no_event_log_or_file(
    running: Running, hub: Hub, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    hub.put("models", "acme/tiny", model_files())
    await running.accepted("AddModel", name="tiny", huggingface_name="acme/tiny")
    await running.refused("AddModel", name="none", huggingface_name="acme/nowhere")
    for path in running.settings.home.rglob("*"):
        if path.is_file():
            assert TOKEN.encode() not in path.read_bytes(), path
    output = capfd.readouterr()
    assert TOKEN not in output.out + output.err


@on_sqlite
async def test_conformance_11_a_hub_model_is_fetched_and_pinned(running: Running, hub: Hub) -> None:
    repository = hub.put(
        "models", "acme/tiny", {**model_files(), "pytorch_model.bin": b"x"}, card={"license": "apache-2.0"}
    )
    await running.accepted("AddModel", name="tiny", huggingface_name="acme/tiny")
    model = await get(running, "GetModel", "tiny")
    assert (model["type"], model["huggingface_name"], model["revision"]) == (
        "huggingface", "acme/tiny", repository.commit,
    )  # fmt: skip
    assert (model["licence"], model["gated"], model["has_chat_template"]) == ("apache-2.0", False, True)
    assert model["architecture"] == "LlamaForCausalLM"
    assert model["parameters"] > 3_000_000
    assert not [path for path in hub.asked("GET") if path.endswith(".bin")]
    folder = running.settings.artifacts / model["location"].removeprefix("artifact:")
    assert (folder / "model.safetensors").read_bytes() == (MODEL / "model.safetensors").read_bytes()
    problem = await running.refused("AddModel", name="again", huggingface_name="acme/tiny", revision=repository.commit)
    assert (problem.code, problem.param) == (Code.DUPLICATE_NAME, "huggingface_name")
    await running.refused("AddModel", name="unknown", type="other", huggingface_name="acme/tiny")


@on_sqlite
async def test_models_that_cannot_be_had_say_why(running: Running, hub: Hub) -> None:
    hub.put("models", "acme/gated", model_files(), gated=True)
    hub.put("models", "acme/pickles", {"config.json": (MODEL / "config.json").read_bytes(), "pytorch_model.bin": b"x"})
    hub.put("models", "acme/tiny", model_files())
    said = {}
    for name in ("gated", "pickles", "nowhere"):
        problem = await running.refused("AddModel", name="m", huggingface_name=f"acme/{name}")
        assert problem.param == "huggingface_name"
        said[name] = problem
    assert said["gated"].code == Code.NOT_PERMITTED
    assert "weights" in said["pickles"].message
    assert said["nowhere"].code == Code.NOT_FOUND
    problem = await running.refused("AddModel", name="m", huggingface_name="acme/tiny", revision="v9")
    assert (problem.code, problem.param) == (Code.NOT_FOUND, "revision")


async def test_remote_code_runs_only_where_its_commit_was_approved(running: Running, hub: Hub) -> None:
    config = json.loads((MODEL / "config.json").read_text())
    config |= {"model_type": "acme", "auto_map": {"AutoModelForCausalLM": "modeling_acme.AcmeForCausalLM"}}
    files = {**model_files(), "config.json": json.dumps(config).encode(), "modeling_acme.py": b"raise SystemExit\n"}
    repository = hub.put("models", "acme/own-code", files)
    problem = await running.refused("AddModel", name="own", huggingface_name="acme/own-code")
    assert (problem.code, problem.param) == (Code.NOT_PERMITTED, "huggingface_name")
    assert "modeling_acme.py" in problem.message
    assert repository.commit in problem.message
    assert not [path for path in hub.asked("GET") if path.endswith(".py")]

    wrong = await running.refused("ApproveRemoteCode", huggingface_name="acme/own-code", revision="main")
    assert wrong.param == "revision"
    approval = await running.accepted(
        "ApproveRemoteCode", huggingface_name="acme/own-code", revision=repository.commit, reason="read it"
    )
    listed = await running.client.query("ListRemoteCodeApprovals", {"huggingface_name": "acme/own-code"})
    assert [(item["id"], item["revision"], item["reason"]) for item in listed["items"]] == [
        (approval, repository.commit, "read it")
    ]
    await running.accepted("AddModel", name="own", huggingface_name="acme/own-code")
    assert (await get(running, "GetModel", "own"))["remote_code"] == ["modeling_acme.py"]

    repository.change({"modeling_acme.py": b"import os\n"})
    problem = await running.refused("AddModel", name="newer", huggingface_name="acme/own-code")
    assert problem.code == Code.NOT_PERMITTED
    hub.put("datasets", "acme/faq", FAQ)
    dataset = await running.accepted("AddDataset", name="faq", huggingface_name="acme/faq")
    prompt = await running.accepted(
        "AddPrompt", name="p", dataset_id=dataset, prompt_template="{input}",
        input_template="{question}", completion_template="{answer}",
    )  # fmt: skip
    await running.accepted("StartFineTuningJob", base_model_id="own", dataset_id="faq", prompt_id=prompt)
    assignment = (await running.claim()).assignment
    assert assignment is not None
    assert assignment.recipe["model"]["remote_code"] is True
    assert assignment.recipe["dataset"]["type"] == "folder"


@on_sqlite
async def test_conformance_12_a_hub_adapter_is_checked_against_its_model(running: Running, hub: Hub) -> None:
    hub.put("models", "acme/tiny", model_files())
    await running.accepted("AddModel", name="base", huggingface_name="acme/tiny")
    repository = hub.put("models", "acme/lora", lora_files("acme/tiny"))
    await running.accepted("AddAdapter", name="lora", model_id="base", huggingface_name="acme/lora")
    adapter = await get(running, "GetAdapter", "lora")
    assert (adapter["type"], adapter["huggingface_name"], adapter["revision"]) == (
        "huggingface", "acme/lora", repository.commit,
    )  # fmt: skip
    problem = await running.refused("AddAdapter", name="twice", model_id="base", huggingface_name="acme/lora")
    assert problem.code == Code.DUPLICATE_NAME
    hub.put("models", "acme/other", lora_files("acme/another"))
    problem = await running.refused("AddAdapter", name="other", model_id="base", huggingface_name="acme/other")
    assert (problem.code, problem.param) == (Code.CONFLICT, "model_id")
    assert "acme/another" in problem.message
    assert "base" in problem.message
