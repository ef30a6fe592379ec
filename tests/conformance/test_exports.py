"""Exports, conformance 13, through the bus; those that are carried out are carried out for real."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from tunebus.contracts.errors import Problem
from tunebus.services.platform.settings import Settings

from tests.fixtures.evaluating import Evaluator, Trained
from tests.fixtures.registry import Running

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning", "ignore::UserWarning")
on_one_database = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

QUESTION = "what colour is the red cat"


@pytest.fixture
def exports(tmp_path: Path) -> Path:
    """A folder that exports may go to."""
    folder = tmp_path / "exports"
    folder.mkdir()
    return folder


@pytest.fixture
def registry_settings(registry_settings: Settings, exports: Path) -> Settings:
    return registry_settings.model_copy(update={"export_roots": (exports,)})


def by_field(problem: Problem) -> dict[str, str]:
    return {str(each.param): each.code.value for each in problem.details or [problem]}


async def ask(running: Running, query: str, **arguments: Any) -> Any:
    return await running.client.query(query, arguments)


async def exported(running: Running, evaluator: Evaluator, **asked: Any) -> dict[str, Any]:
    """The job as it ended."""
    job_id = await running.accepted("StartExportJob", **asked)
    await evaluator.all()
    job: dict[str, Any] = await ask(running, "GetExportJob", id=job_id)
    return job


def answer(model: Any, tokenizer: Any) -> list[int]:
    """A greedy answer, by transformers alone."""
    text = tokenizer.apply_chat_template(
        [{"role": "user", "content": QUESTION}], add_generation_prompt=True, tokenize=False
    )
    inputs = tokenizer(text, return_tensors="pt", add_special_tokens=False)
    output = model.eval().generate(**inputs, max_new_tokens=16, do_sample=False)
    tokens: list[int] = output[0, inputs["input_ids"].shape[1] :].tolist()
    return tokens


async def test_conformance_13_unknown_types_models_and_adapters_are_refused(running: Running, trained: Trained) -> None:
    adapter = await trained("first")
    for asked, expected in (
        ({"type": "merge", "adapter_id": adapter}, {"type": "not_supported"}),
        ({"type": "merged", "adapter_id": "nobody"}, {"adapter_id": "not_found"}),
        ({"type": "merged", "model_id": "nobody"}, {"model_id": "not_found"}),
        ({"type": "merged"}, {"adapter_id": "invalid"}),
        ({"type": "merged", "adapter_id": adapter, "model_id": "tiny"}, {"adapter_id": "invalid"}),
        ({"type": "adapter", "model_id": "tiny"}, {"type": "invalid"}),
        (
            {"type": "registry", "adapter_id": adapter, "destination": "artifact:exports/x"},
            {"destination": "invalid"},
        ),
        ({"type": "nothing", "adapter_id": "nobody"}, {"type": "not_supported", "adapter_id": "not_found"}),
    ):
        problem = await running.refused("StartExportJob", **asked)
        assert by_field(problem) == expected, asked
    hint = (await running.refused("StartExportJob", type="merge", adapter_id=adapter)).hint
    assert hint == "did you mean 'merged'?"
    assert (await ask(running, "ListExportJobs"))["items"] == []


@on_one_database
async def test_conformance_13_a_destination_is_an_empty_folder_below_an_allowed_one(
    running: Running, trained: Trained, exports: Path, tmp_path: Path
) -> None:
    adapter = await trained("first")
    (exports / "full").mkdir()
    (exports / "full" / "note.txt").write_text("mine")
    (exports / "out").symlink_to(tmp_path)
    for destination, code in (
        (str(exports / "full"), "conflict"),
        (str(tmp_path / "elsewhere"), "not_permitted"),
        (str(exports / ".." / "elsewhere"), "not_permitted"),
        (str(exports / "out" / "elsewhere"), "not_permitted"),
        (str(exports), "not_permitted"),
        (str(running.settings.artifacts / "jobs" / "x"), "not_permitted"),
        ("artifact:jobs/x", "not_permitted"),
        ("artifact:exports/../jobs/x", "not_permitted"),
        ("somewhere", "invalid"),
    ):
        problem = await running.refused("StartExportJob", type="merged", adapter_id=adapter, destination=destination)
        assert by_field(problem) == {"destination": code}, destination
    for destination in (str(exports / "new" / "deep"), "artifact:exports/mine"):
        job = await running.accepted("StartExportJob", type="merged", adapter_id=adapter, destination=destination)
        assert (await ask(running, "GetExportJob", id=job))["destination"] == destination


@on_one_database
async def test_conformance_13_an_adapter_is_written_alone_with_a_card(
    running: Running, trained: Trained, evaluator: Evaluator, exports: Path, tiny_adapter: Path
) -> None:
    adapter = await trained("first", num_epochs=3)
    job = await exported(running, evaluator, type="adapter", adapter_id=adapter, destination=str(exports / "mine"))
    assert (job["state"], job["message"]) == ("succeeded", None)
    assert sorted(path.name for path in (exports / "mine").iterdir()) == [
        "README.md", "adapter_config.json", "adapter_model.safetensors", "export.json",
    ]  # fmt: skip
    assert (exports / "mine" / "adapter_model.safetensors").read_bytes() == (
        tiny_adapter / "adapter_model.safetensors"
    ).read_bytes()
    assert job["checked"]["equal"] == job["checked"]["prompts"] == 20
    [event] = running.events("JobSucceeded", job["id"])
    assert event.data["checked"] == job["checked"]
    card = (exports / "mine" / "README.md").read_text()
    data = hashlib.sha256((running.files / "questions.jsonl").read_bytes()).hexdigest()
    for words in (
        "tiny",
        "first",
        data,
        '"num_train_epochs": 3.0',
        "| eval_loss | 0.25 |",
        "PeftModel",
        "3 held-out rows and 17 shipped",
    ):
        assert words in card
    assert str(running.files) not in card + (exports / "mine" / "adapter_config.json").read_text()


@on_one_database
async def test_conformance_13_the_merged_export_answers_as_the_adapter_did(
    running: Running, trained: Trained, evaluator: Evaluator, tiny_model: Path, tiny_adapter: Path
) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    adapter = await trained("first", train_test_split=0.5)
    job = await exported(running, evaluator, type="merged", adapter_id=adapter)
    assert (job["state"], job["message"]) == ("succeeded", None)
    assert job["destination"] == f"artifact:exports/{job['id']}"
    folder = running.settings.artifacts / "exports" / job["id"]
    checked = job["checked"]
    assert (checked["prompts"], checked["equal"]) == (20, 20)
    assert checked["max_difference"] < 1e-3
    assert not list(folder.parent.glob(".*"))

    tokenizer = AutoTokenizer.from_pretrained(folder)
    merged = AutoModelForCausalLM.from_pretrained(folder)
    base = AutoModelForCausalLM.from_pretrained(tiny_model)
    alone = answer(base, tokenizer)
    assert answer(merged, tokenizer) == answer(PeftModel.from_pretrained(base, tiny_adapter), tokenizer) != alone

    manifest = json.loads((folder / "export.json").read_text())
    assert manifest["checked"] == checked
    for name, facts in manifest["files"].items():
        body = (folder / name).read_bytes()
        assert (len(body), hashlib.sha256(body).hexdigest()) == (facts["size"], facts["sha256"])
    assert hashlib.sha256((folder / "export.json").read_bytes()).hexdigest() == job["result_sha256"]


@on_one_database
async def test_conformance_13_a_precision_that_changes_an_answer_is_not_taken_unasked(
    running: Running, trained: Trained, evaluator: Evaluator, tiny_model: Path
) -> None:
    """The base says bfloat16; merged in that, some answers change, so float32 is written."""
    import torch
    from safetensors.torch import load_file
    from transformers import AutoModelForCausalLM, AutoTokenizer

    half = running.files / "half"
    AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.bfloat16).save_pretrained(half)
    AutoTokenizer.from_pretrained(tiny_model).save_pretrained(half)
    await running.accepted("AddModel", name="half", path=str(half))
    whole = await exported(running, evaluator, type="merged", model_id="half")
    assert whole["checked"]["dtype"] == "bfloat16"  # nothing was merged, so nothing is rounded
    assert whole["checked"]["max_difference"] == 0

    adapter = await trained("first")
    told = await exported(running, evaluator, type="merged", adapter_id=adapter, dtype="bfloat16")
    assert told["checked"]["dtype"] == "bfloat16"
    assert told["checked"]["max_difference"] > 1e-3
    weights = load_file(running.settings.artifacts / "exports" / told["id"] / "model.safetensors")
    assert {tensor.dtype for tensor in weights.values()} == {torch.bfloat16}


@on_one_database
async def test_conformance_13_the_registry_gets_a_version_that_answers_the_same(
    running: Running, trained: Trained, evaluator: Evaluator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    uri = f"sqlite:///{tmp_path / 'mlflow' / 'mlflow.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    adapter = await trained("first")
    job = await exported(running, evaluator, type="registry", adapter_id=adapter, registered_model="answers")
    assert (job["state"], job["message"]) == ("succeeded", None)
    assert job["registered_model"] == "models:/answers/1"
    assert job["checked"]["equal"] == job["checked"]["prompts"] == 20
    from mlflow import MlflowClient

    version = MlflowClient(uri, uri).get_model_version("answers", "1")
    assert version.tags["tunebus.export_job_id"] == job["id"]
    assert "## Verified" in version.description


@on_one_database
async def test_conformance_13_nothing_is_overwritten_and_a_stop_leaves_nothing(
    running: Running, trained: Trained, evaluator: Evaluator, exports: Path
) -> None:
    adapter = await trained("first")
    asked = {"type": "adapter", "adapter_id": adapter, "destination": str(exports / "mine")}
    job_id = await running.accepted("StartExportJob", **asked)
    (exports / "mine").mkdir()
    (exports / "mine" / "note.txt").write_text("came later")
    await evaluator.all()
    job = await ask(running, "GetExportJob", id=job_id)
    assert (job["state"], job["cause"]) == ("failed", "bad_configuration")
    assert "nothing is overwritten" in job["message"]
    assert [path.name for path in (exports / "mine").iterdir()] == ["note.txt"]

    stopping = await running.accepted("StartExportJob", **{**asked, "destination": str(exports / "other")})
    claimed = await evaluator.claim()
    assert claimed is not None
    await running.accepted("StopExportJob", id=stopping)
    beat = {"worker_id": "evaluator-under-test", "job_id": stopping, "attempt": 1}
    assert (await running.call("Heartbeat", beat))["desired"] == "stop_after_checkpoint"
    await running.accepted("CompleteAttempt", job_id=stopping, attempt=1, outcome="stopped")
    assert (await ask(running, "GetExportJob", id=stopping))["state"] == "stopped"
    assert [path.name for path in exports.iterdir()] == ["mine"]


@on_one_database
async def test_conformance_13_a_child_that_is_stopped_leaves_no_trace_at_the_destination(
    running: Running, trained: Trained, evaluator: Evaluator, exports: Path
) -> None:
    adapter = await trained("first")
    job_id = await running.accepted(
        "StartExportJob", type="merged", adapter_id=adapter, destination=str(exports / "mine")
    )
    await evaluator.work(stopped=True)
    assert list(exports.iterdir()) == []
    # Nobody asked the studio to stop it, so it waits for a worker again, and the next attempt does it.
    assert (await ask(running, "GetExportJob", id=job_id))["state"] == "queued"
    await evaluator.all()
    assert (await ask(running, "GetExportJob", id=job_id))["state"] == "succeeded"
    assert [path.name for path in exports.iterdir()] == ["mine"]


@on_one_database
async def test_an_export_that_the_disk_has_no_room_for_fails_before_anything_is_loaded(
    running: Running, trained: Trained, evaluator: Evaluator, exports: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    adapter = await trained("first")
    from tunebus.services.evaluator import export

    def nothing(*_: object) -> None:
        raise AssertionError("nothing is loaded")

    usage = shutil.disk_usage(exports)
    monkeypatch.setattr(export.models, "load_model", nothing)
    monkeypatch.setattr(export.shutil, "disk_usage", lambda _folder: usage._replace(free=1024**2))
    for type in ("merged", "adapter"):
        job = await exported(running, evaluator, type=type, adapter_id=adapter, destination=str(exports / "mine"))
        assert (job["state"], job["cause"]) == ("failed", "disk_full")
        assert "of disk, and 1.0 MiB are free" in job["message"]
        assert "checkpoint" not in job["hint"]
        assert list(exports.iterdir()) == []


async def test_an_evaluator_gets_evaluations_and_exports_in_one_queue(
    running: Running, trained: Trained, evaluator: Evaluator
) -> None:
    adapter = await trained("first")
    first = await running.accepted("StartExportJob", type="adapter", adapter_id=adapter)
    second = await running.accepted(
        "StartEvaluationJob", combinations=[{"base_model_id": "tiny", "dataset_id": "questions"}]
    )
    third = await running.accepted("StartExportJob", type="merged", adapter_id=adapter, priority=5)
    claimed = [await evaluator.claim() for _ in range(4)]
    assert [each.job_id if each else None for each in claimed] == [third, first, second, None]
    assert [each.kind for each in claimed if each] == ["export_job", "export_job", "evaluation_job"]
