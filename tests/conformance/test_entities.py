"""Conformance 1-4, 11 and 12 as far as every aggregate has them: lists, names, renaming, removal and who uses what."""

from __future__ import annotations

import asyncio
import json
import shutil
import struct
from pathlib import Path
from typing import Any

import pytest
from tunebus.contracts.envelope import Outcome
from tunebus.contracts.errors import Code, Problem, TunebusError
from tunebus.contracts.identifiers import new_id
from tunebus.projections.verify import verify
from tunebus.services.platform import database
from tunebus.services.platform.upcasters import UPCASTERS

from tests.fixtures.registry import MODEL, Running, eventually

TEMPLATES = {
    "prompt_template": "{input}\n{completion}",
    "input_template": "{question}",
    "completion_template": "{answer}",
}


def adapter_folder(running: Running, name: str = "brought", base: str = str(MODEL)) -> Path:
    """A LoRA adapter of one layer of the starter model, of zeros."""
    width = json.loads((MODEL / "config.json").read_text())["hidden_size"]
    layer = "base_model.model.model.layers.0.self_attn.q_proj"
    tensors: dict[str, Any] = {}
    at = 0
    for part, shape in (("lora_A", [2, width]), ("lora_B", [width, 2])):
        size = 4 * shape[0] * shape[1]
        tensors[f"{layer}.{part}.weight"] = {"dtype": "F32", "shape": shape, "data_offsets": [at, at + size]}
        at += size
    header = json.dumps(tensors).encode()
    folder = running.files / name
    folder.mkdir()
    (folder / "adapter_config.json").write_text(
        json.dumps({"peft_type": "LORA", "r": 2, "base_model_name_or_path": base})
    )
    (folder / "adapter_model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + b"\0" * at)
    return folder


async def one_of_each(running: Running) -> dict[str, str]:
    """A dataset, a model, a prompt, a config and an adapter; their ids."""
    dataset, model = await running.things()
    return {
        "Dataset": dataset,
        "Model": model,
        "Prompt": await running.accepted("AddPrompt", name="short", dataset_id=dataset, **TEMPLATES),
        "Config": await running.accepted("AddConfig", type="lora", config={"r": 4}),
        "Adapter": await running.accepted(
            "AddAdapter", name="brought", model_id=model, path=str(adapter_folder(running))
        ),
    }


async def names(running: Running, plural: str, **filters: Any) -> list[str]:
    page = await running.client.query(f"List{plural}", filters)
    return [item["name"] for item in page["items"]]


async def not_found(running: Running, query: str, reference: str) -> Problem:
    with pytest.raises(TunebusError) as refused:
        await running.client.query(query, {"id": reference})
    assert refused.value.problem.code == Code.NOT_FOUND
    return refused.value.problem


async def fail(running: Running, job_id: str) -> None:
    """Let a worker take the job, which fails at once."""
    claimed = await running.claim()
    assert claimed.assignment is not None
    assert claimed.assignment.job_id == job_id
    await running.accepted("FailAttempt", job_id=job_id, attempt=1, cause="bad_data", message="no rows")


async def succeed(running: Running, job_id: str) -> str:
    """Let a worker finish the job; returns the id of its adapter."""
    claimed = await running.claim()
    assert claimed.assignment is not None
    folder = f"artifact:jobs/{job_id}/attempt-1/adapter"
    done = {"outcome": "finished", "step": 1, "result_uri": folder, "result_sha256": "0" * 64}
    await running.accepted("CompleteAttempt", job_id=job_id, attempt=1, **done)
    job = await running.client.query("GetFineTuningJob", {"id": job_id})
    return str(job["adapter_id"])


async def all_at_once(running: Running, *sent: tuple[str, dict[str, Any]]) -> list[Outcome]:
    return list(await asyncio.gather(*(running.client.send(command, data) for command, data in sent)))


def assert_projected(running: Running) -> None:
    """What is shown is what a rebuild from the events shows."""
    with database.read(running.engine) as connection:
        found = verify(connection, UPCASTERS.upcast)
    assert found.ok, found.differences


async def test_conformance_01_lists_are_in_the_order_added_with_paging_and_filters(running: Running) -> None:
    dataset, model = await running.things()
    other = await running.accepted("AddDataset", name="csv", path=str(running.write("a.csv", "question,answer\nq,a\n")))
    for number, of in enumerate([other, dataset, other, dataset, dataset]):
        await running.accepted("AddPrompt", name=f"p{number}", dataset_id=of, **TEMPLATES)
    seen: list[str] = []
    after: str | None = None
    while after is not None or not seen:
        page = await running.client.query("ListPrompts", {"limit": 2, "after": after})
        assert len(page["items"]) <= 2
        seen += [item["name"] for item in page["items"]]
        after = page["next"]
        if len(seen) == 2:  # what is renamed or removed meanwhile moves nothing else
            await running.accepted("RenamePrompt", id="p0", name="z")
            await running.accepted("RemovePrompt", id="p1")
    assert seen == ["p0", "p1", "p2", "p3", "p4"]
    assert await names(running, "Prompts", dataset_id="faq") == ["p3", "p4"]
    assert await names(running, "Prompts", dataset_id=other) == ["z", "p2"]
    assert await names(running, "Datasets", type="csv") == ["csv"]
    assert await names(running, "Models", type="local") == ["starter"]
    await running.accepted("AddAdapter", name="brought", model_id=model, path=str(adapter_folder(running)))
    assert await names(running, "Adapters", model_id="starter") == ["brought"]
    with pytest.raises(TunebusError) as refused:
        await running.client.query("ListPrompts", {"after": "p1"})
    assert refused.value.problem.param == "after"


async def test_conformance_01_02_an_unknown_id_is_not_found(running: Running) -> None:
    for kind in ("Dataset", "Model", "Adapter", "Prompt", "Config", "FineTuningJob", "EvaluationJob"):
        for reference in (new_id(), "nobody"):
            problem = await not_found(running, f"Get{kind}", reference)
            assert (problem.param, reference in problem.message) == ("id", True)
            refused = await running.refused(f"Remove{kind}", id=reference)
            assert (refused.code, refused.param, reference in refused.message) == (Code.NOT_FOUND, "id", True)
    for kind in ("Dataset", "Model", "Adapter", "Prompt"):
        assert (await running.refused(f"Rename{kind}", id="nobody", name="somebody")).code == Code.NOT_FOUND
    assert running.events() == []


async def test_conformance_02_remove_deletes_exactly_that_one_and_its_name_is_free_again(running: Running) -> None:
    things = await one_of_each(running)
    others = {
        "Dataset": await running.accepted("AddDataset", name="faq 2", path=str(running.files / "faq.jsonl")),
        "Model": await running.accepted("AddModel", name="starter 2", path=str(MODEL)),
        "Prompt": await running.accepted("AddPrompt", name="short 2", dataset_id="faq 2", **TEMPLATES),
        "Config": await running.accepted("AddConfig", type="lora", config={"r": 8}),
        "Adapter": await running.accepted(
            "AddAdapter", name="brought-2", model_id="starter 2", path=str(adapter_folder(running, "b2"))
        ),
    }
    for kind in ("Adapter", "Prompt", "Config", "Model", "Dataset"):
        assert await running.accepted(f"Remove{kind}", id=things[kind]) == things[kind]
        page = await running.client.query(f"List{kind}s")
        assert [item["id"] for item in page["items"]] == [others[kind]]
        gone = await not_found(running, f"Get{kind}", things[kind])
        assert "was removed" in (gone.hint or "")
        assert (await running.refused(f"Remove{kind}", id=things[kind])).code == Code.NOT_FOUND
    again = await one_of_each_again(running)
    assert not set(again.values()) & set(things.values())
    assert await names(running, "Datasets") == ["faq 2", "faq"]
    assert_projected(running)


async def one_of_each_again(running: Running) -> dict[str, str]:
    shutil.rmtree(running.files / "brought")
    return await one_of_each(running)


async def test_conformance_02_remove_is_refused_in_use_with_the_users_named(running: Running) -> None:
    things = await one_of_each(running)
    fine_tuning = await running.accepted(
        "StartFineTuningJob",
        base_model_id="starter",
        dataset_id="faq",
        prompt_id="short",
        adapter_name="tuned",
        lora=things["Config"],
    )
    await running.accepted(
        "StartEvaluationJob",
        combinations=[{"base_model_id": "starter", "adapter_id": "brought", "dataset_id": "faq"}],
    )
    users = {
        "Dataset": ["prompt 'short'", "'tuned' (queued)", "evaluation job"],
        "Model": ["adapter 'brought'", "'tuned' (queued)", "evaluation job"],
        "Adapter": ["evaluation job"],
        "Prompt": ["'tuned' (queued)", "evaluation job"],
        "Config": ["'tuned' (queued)"],
    }
    before = len(running.events())
    for kind, named in users.items():
        for cascade in (False, True):
            problem = await running.refused(f"Remove{kind}", id=things[kind], cascade=cascade)
            assert (problem.code, problem.param) == (Code.IN_USE, "id"), kind
            for user in named if not cascade else named[-1:]:
                assert user in problem.message, kind
    assert len(running.events()) == before
    await running.accepted("StopFineTuningJob", id=fine_tuning)
    await running.accepted("RemoveConfig", id=things["Config"])


async def test_conformance_02_an_adapter_keeps_its_job_its_prompt_and_its_model(running: Running) -> None:
    await one_of_each(running)
    job = await running.accepted(
        "StartFineTuningJob", base_model_id="starter", dataset_id="faq", prompt_id="short", adapter_name="tuned"
    )
    assert (await running.refused("RemoveFineTuningJob", id="tuned")).code == Code.WRONG_STATE
    await succeed(running, job)
    for command, reference in (("RemoveFineTuningJob", job), ("RemovePrompt", "short")):
        problem = await running.refused(command, id=reference)
        assert (problem.code, "adapter 'tuned'" in problem.message) == (Code.IN_USE, True)
    problem = await running.refused("RemoveDataset", id="faq", cascade=True)
    assert (problem.code, "adapter 'tuned'" in problem.message) == (Code.IN_USE, True)
    await running.accepted("RemoveAdapter", id="tuned")
    await running.accepted("RemoveFineTuningJob", id=job)
    await running.accepted("RemoveDataset", id="faq", cascade=True)
    assert_projected(running)


async def test_conformance_02_cascade_removes_a_datasets_prompts_and_a_models_adapters(running: Running) -> None:
    things = await one_of_each(running)
    await running.accepted("AddPrompt", name="long", dataset_id="faq", **TEMPLATES)
    other = await running.accepted("AddDataset", name="other", path=str(running.files / "faq.jsonl"))
    await running.accepted("AddPrompt", name="kept", dataset_id=other, **TEMPLATES)
    assert (await running.refused("RemoveDataset", id="faq")).hint is not None
    await running.accepted("RemoveDataset", id="faq", cascade=True)
    assert await names(running, "Prompts") == ["kept"]
    assert len(running.events("PromptRemoved")) == 2
    await running.accepted("RemoveModel", id="starter", cascade=True)
    assert (await running.client.query("ListAdapters"))["items"] == []
    assert (running.files / "brought" / "adapter_config.json").exists()
    assert [event.data for event in running.events("AdapterRemoved", things["Adapter"])] == [{"name": "brought"}]
    assert_projected(running)


async def test_conformance_02_what_used_it_still_shows_its_name(running: Running) -> None:
    await one_of_each(running)
    job = await running.accepted(
        "StartFineTuningJob", base_model_id="starter", dataset_id="faq", prompt_id="short", adapter_name="tuned"
    )
    await fail(running, job)
    await running.accepted("RenameDataset", id="faq", name="questions")
    await running.accepted("RemoveDataset", id="questions", cascade=True)
    shown = await running.client.query("GetFineTuningJob", {"id": job})
    assert (shown["dataset_name"], shown["prompt_name"], shown["base_model_name"]) == ("questions", "short", "starter")
    assert set(shown["removed"]) == {"dataset_id", "prompt_id"}
    listed = await running.client.query("ListFineTuningJobs")
    assert listed["items"][0]["dataset_name"] == "questions"
    history = await running.client.query("ListEvents", {"entity_id": shown["dataset_id"]})
    assert [event["type"] for event in history["items"]] == ["DatasetAdded", "DatasetRenamed", "DatasetRemoved"]


async def test_conformance_02_removing_a_job_says_what_it_frees_and_leaves_files_until_told(running: Running) -> None:
    await running.things()
    start = {"base_model_id": "starter", "dataset_id": "faq", "adapter_name": "tuned"}
    job = await running.accepted("StartFineTuningJob", **start)
    await fail(running, job)
    folder = running.settings.artifacts / "jobs" / job
    (folder / "attempt-1").mkdir(parents=True)
    (folder / "attempt-1" / "output.log").write_text("x" * 1234)
    kept = running.settings.artifacts / "jobs" / new_id()
    kept.mkdir()
    await running.accepted("RemoveFineTuningJob", id="tuned")
    assert [event.data["bytes"] for event in running.events("JobRemoved", job)] == [1234]
    assert (await running.client.query("ListFineTuningJobs"))["items"] == []
    assert (await not_found(running, "GetFineTuningJob", job)).hint is not None
    assert folder.exists()
    assert (await running.refused("RemoveFineTuningJob", id=job)).code == Code.NOT_FOUND
    assert (await running.refused("StopFineTuningJob", id=job)).code == Code.NOT_FOUND
    await running.accepted("StartFineTuningJob", **start)  # the name is free again
    await running.accepted("RemoveFineTuningJob", id=job, delete_files=True)
    assert [event.data["bytes"] for event in running.events("JobFilesDeleted", job)] == [1234]

    async def deleted() -> bool:
        return not folder.exists()

    await eventually(deleted, "the folder to go")
    assert kept.exists()
    await running.accepted("RemoveFineTuningJob", id=job, delete_files=True)  # nothing is left to do
    assert len(running.events("JobFilesDeleted", job)) == 1
    assert_projected(running)


async def test_conformance_02_a_removed_evaluation_leaves_its_siblings(running: Running) -> None:
    await running.things()
    combination = {"base_model_id": "starter", "dataset_id": "faq"}
    outcome = await running.client.send("StartEvaluationJob", {"combinations": [combination, combination]})
    assert outcome.ids is not None
    first, second = outcome.ids
    assert (await running.refused("RemoveEvaluationJob", id=first)).code == Code.WRONG_STATE
    await running.accepted("StopEvaluationJob", id=first)
    await running.accepted("RemoveEvaluationJob", id=first)
    left = await running.client.query("ListEvaluationJobs", {"parent_id": outcome.id})
    assert [job["id"] for job in left["items"]] == [second]


@pytest.mark.parametrize("kind", ["Dataset", "Model", "Adapter", "Prompt"])
async def test_conformance_03_04_names_are_trimmed_unique_and_change_by_an_event(running: Running, kind: str) -> None:
    things = await one_of_each(running)
    again: dict[str, dict[str, Any]] = {
        "Dataset": {"path": str(running.files / "faq.jsonl")},
        "Model": {"path": str(MODEL)},
        "Adapter": {"path": str(running.files / "brought"), "model_id": things["Model"]},
        "Prompt": {"dataset_id": things["Dataset"], **TEMPLATES},
    }
    first = (await running.client.query(f"Get{kind}", {"id": things[kind]}))["name"]
    second = await running.accepted(f"Add{kind}", name="\t second ", **again[kind])
    assert (await running.client.query(f"Get{kind}", {"id": second}))["name"] == "second"
    for name, code in (("  ", Code.INVALID), (f" {first}\n", Code.DUPLICATE_NAME), (new_id(), Code.INVALID)):
        for command, fields in ((f"Add{kind}", again[kind]), (f"Rename{kind}", {"id": "second"})):
            refused = await running.refused(command, name=name, **fields)
            assert (refused.code, refused.param) == (code, "name")
    outcome = await running.client.send(f"Rename{kind}", {"id": " second ", "name": " third  "}, expected_version=1)
    assert (outcome.id, outcome.version) == (second, 2)
    assert (await running.client.query(f"Get{kind}", {"id": "third"}))["id"] == second
    await not_found(running, f"Get{kind}", "second")
    assert [event.data for event in running.events(f"{kind}Renamed")] == [{"name": "third"}]
    stale = await running.client.send(f"Rename{kind}", {"id": second, "name": "fourth"}, expected_version=1)
    assert stale.error is not None
    assert stale.error.code == Code.CONFLICT
    await running.accepted(f"Rename{kind}", id=second, name="third")  # it has the name: nothing happens
    assert await running.accepted(f"Rename{kind}", id=first, name="second") == things[kind]  # the name was free
    assert len(running.events(f"{kind}Renamed")) == 2
    assert_projected(running)


async def test_conformance_03_an_adapter_cannot_take_the_name_that_a_job_is_to_make(running: Running) -> None:
    await one_of_each(running)
    start = {"base_model_id": "starter", "dataset_id": "faq"}
    job = await running.accepted("StartFineTuningJob", adapter_name="tuned", **start)
    refused = await running.refused("RenameAdapter", id="brought", name="tuned")
    assert (refused.code, "tuned" in refused.message) == (Code.DUPLICATE_NAME, True)
    adapter = await succeed(running, job)
    await running.accepted("RenameAdapter", id=adapter, name="better")
    assert (await running.refused("RenameAdapter", id="brought", name="tuned")).code == Code.DUPLICATE_NAME
    assert (await running.refused("StartFineTuningJob", adapter_name="better", **start)).code == Code.DUPLICATE_NAME
    await running.accepted("RenameAdapter", id="better", name="tuned")  # its own job does not stand in its way


async def test_conformance_04_a_config_is_described_anew_by_an_event(running: Running) -> None:
    config = await running.accepted("AddConfig", type="lora", config={"r": 4}, description="old", model_family="llama")
    assert (await running.refused("DescribeConfig", id=config)).code == Code.INVALID
    await running.accepted("DescribeConfig", id=config, description="new")
    await running.accepted("DescribeConfig", id=config, is_default=True)
    shown = await running.client.query("GetConfig", {"id": config})
    assert (shown["description"], shown["model_family"], shown["is_default"]) == ("new", "llama", True)
    await running.accepted("DescribeConfig", id=config, model_family="")
    assert (await running.client.query("GetConfig", {"id": config}))["model_family"] is None
    assert len(running.events("ConfigDescribed")) == 3
    assert_projected(running)


async def test_conformance_02_commands_of_one_batch_see_each_other(running: Running) -> None:
    """What is removed and what refers to it arrive together: no reference is left dangling, no name is kept."""
    await running.things()
    prompt = {"dataset_id": "faq", **TEMPLATES}
    sent: list[tuple[str, dict[str, Any]]] = [
        ("AddPrompt", {"name": "a", **prompt}),
        ("RenamePrompt", {"id": "a", "name": "b"}),
        ("AddPrompt", {"name": "a", **prompt}),
        ("RemovePrompt", {"id": "b"}),
        ("RenamePrompt", {"id": "a", "name": "b"}),
        ("RemoveDataset", {"id": "faq"}),
        ("StartFineTuningJob", {"base_model_id": "starter", "dataset_id": "faq", "adapter_name": "tuned"}),
        ("RemoveDataset", {"id": "faq", "cascade": True}),
    ]
    await all_at_once(running, *sent)
    datasets, prompts = await names(running, "Datasets"), await names(running, "Prompts")
    jobs = (await running.client.query("ListFineTuningJobs"))["items"]
    assert (datasets, bool(jobs)) in ((["faq"], True), ([], False))
    assert set(prompts) <= {"a", "b"}
    assert not prompts or datasets
    assert_projected(running)


ON_SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@ON_SQLITE
async def test_conformance_11_a_local_model_is_a_folder_with_a_config_and_safetensors(running: Running) -> None:
    def copy(name: str) -> Path:
        return Path(shutil.copytree(MODEL, running.files / name))

    pickled, bare, empty = copy("pickled"), copy("bare"), copy("empty")
    (pickled / "model.safetensors").rename(pickled / "pytorch_model.bin")
    (bare / "config.json").unlink()
    (empty / "model.safetensors").unlink()
    refused = await running.refused("AddModel", name="m", path=str(pickled))
    assert (refused.code, refused.param) == (Code.NOT_SUPPORTED, "path")
    assert "pytorch_model.bin" in refused.message
    assert "safetensors" in (refused.hint or "")
    assert "config.json" in (await running.refused("AddModel", name="m", path=str(bare))).message
    assert "no weights" in (await running.refused("AddModel", name="m", path=str(empty))).message
    file = await running.refused("AddModel", name="m", path=str(bare / "tokenizer.json"))
    assert (file.code, "a model is a folder" in file.message) == (Code.INVALID, True)
    nowhere = await running.refused("AddModel", name="m", path=str(running.files / "nowhere"))
    assert (nowhere.code, "nowhere" in nowhere.message) == (Code.NOT_FOUND, True)
    assert (await running.refused("AddModel", name="m", path=str(MODEL), type="onnx")).param == "type"
    await running.accepted("AddModel", name="m", path=str(MODEL))
    assert (await running.refused("AddModel", name="m", path=str(MODEL))).code == Code.DUPLICATE_NAME
    shown = await running.client.query("GetModel", {"id": "m"})
    config = json.loads((MODEL / "config.json").read_text())
    assert (shown["architecture"], shown["context_length"]) == ("LlamaForCausalLM", config["max_position_embeddings"])
    assert len(running.events()) == 1


@ON_SQLITE
async def test_conformance_12_an_adapter_needs_its_model_and_its_files(running: Running) -> None:
    await running.things()
    folder = adapter_folder(running)
    whole = {"name": "mine", "model_id": "starter", "path": str(folder)}
    for field in whole:
        refused = await running.refused("AddAdapter", **{name: whole[name] for name in whole if name != field})
        assert field in str(refused.document())
    for field, what in (("model_id", "model"), ("fine_tuning_job_id", "job"), ("prompt_id", "prompt")):
        refused = await running.refused("AddAdapter", **{**whole, field: "nobody"})
        assert (refused.code, refused.param) == (Code.NOT_FOUND, field)
        assert "'nobody'" in refused.message
        assert what in refused.message
    other = adapter_folder(running, "other", base="meta/other-model")
    refused = await running.refused("AddAdapter", **{**whole, "path": str(other)})
    assert (refused.code, refused.param) == (Code.CONFLICT, "model_id")
    assert "'meta/other-model'" in refused.message
    assert "'starter'" in refused.message
    for name in ("adapter_model.safetensors", "adapter_config.json"):
        broken = adapter_folder(running, f"without-{name}")
        (broken / name).unlink()
        refused = await running.refused("AddAdapter", **{**whole, "path": str(broken)})
        assert (refused.param, name in refused.message) == ("path", True)
    await running.accepted("AddAdapter", **whole)
    shown = await running.client.query("GetAdapter", {"id": "mine"})
    assert (shown["model_name"], shown["type"]) == ("starter", "local")
