"""What a job would be made of and is no longer on disk is said when it is asked for, not by a worker at night."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.fixtures.adapters import lora_files
from tests.fixtures.registry import MODEL, Running

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


async def brought(running: Running) -> tuple[Path, Path]:
    """A model and an adapter of their own folders, beside the dataset `faq`."""
    await running.things()
    model, adapter = running.files / "model", running.files / "adapter"
    shutil.copytree(MODEL, model)
    adapter.mkdir()
    for name, content in lora_files("own").items():
        (adapter / name).write_bytes(content)
    await running.accepted("AddModel", name="own", path=str(model))
    await running.accepted("AddAdapter", name="small", model_id="own", path=str(adapter))
    return model, adapter


async def test_an_adapter_without_its_weights_is_neither_evaluated_nor_exported(running: Running) -> None:
    _, adapter = await brought(running)
    combination = {"base_model_id": "own", "dataset_id": "faq", "adapter_id": "small"}
    await running.accepted("StartEvaluationJob", combinations=[combination])
    (adapter / "adapter_model.safetensors").unlink()
    for command, fields, param in (
        ("StartEvaluationJob", {"combinations": [combination]}, "combinations.0.adapter_id"),
        ("StartExportJob", {"type": "adapter", "adapter_id": "small"}, "adapter_id"),
    ):
        problem = await running.refused(command, **fields)
        assert (problem.code, problem.param) == ("not_found", param)
        assert problem.message == f"the weights of adapter 'small' are no longer at {adapter}"
    assert len((await running.client.query("ListEvaluationJobs", {}))["items"]) == 1


async def test_a_model_without_its_folder_is_neither_trained_nor_scored_nor_exported(running: Running) -> None:
    model, _ = await brought(running)
    training = {"base_model_id": "own", "dataset_id": "faq"}
    before = await running.accepted("StartFineTuningJob", **training)
    shutil.rmtree(model)
    for command, fields, param in (
        ("StartFineTuningJob", training, "base_model_id"),
        ("CloneFineTuningJob", {"id": before}, "base_model_id"),
        ("StartEvaluationJob", {"combinations": [training]}, "combinations.0.base_model_id"),
        ("StartExportJob", {"type": "merged", "model_id": "own"}, "model_id"),
        ("StartExportJob", {"type": "merged", "adapter_id": "small"}, "adapter_id"),
    ):
        problem = await running.refused(command, **fields)
        assert (problem.code, problem.param) == ("not_found", param), command
        assert problem.message == f"the weights of model 'own' are no longer at {model}", command


async def test_what_a_training_made_and_lost_since_is_named_by_the_job_that_made_it(running: Running) -> None:
    await running.things()
    job = await running.accepted("StartFineTuningJob", base_model_id="starter", dataset_id="faq", adapter_name="mine")
    assert (await running.claim()).assignment is not None
    uri = f"artifact:jobs/{job}/attempt-1/adapter"
    await running.accepted(
        "CompleteAttempt", job_id=job, attempt=1, outcome="finished", step=3, result_uri=uri, result_sha256="0" * 64
    )
    problem = await running.refused("StartExportJob", type="adapter", job_id="mine")
    assert (problem.code, problem.param) == ("not_found", "job_id")
    assert problem.message == f"the weights of adapter 'mine' are no longer at {uri}"


async def test_a_job_goes_on_only_with_the_files_that_it_was_made_of(running: Running) -> None:
    model, _ = await brought(running)
    job = await running.accepted("StartFineTuningJob", base_model_id="own", dataset_id="faq", adapter_name="mine")
    assert (await running.claim()).assignment is not None
    await running.accepted("FailAttempt", job_id=job, attempt=1, cause="out_of_memory", message="no memory is left")
    rows = running.files / "faq.jsonl"
    before = rows.read_text()
    rows.write_text(before.replace("q1", "Q1"))
    model.rename(running.files / "elsewhere")
    for command in ("RetryFineTuningJob", "ResumeFineTuningJob", "RerunFineTuningJob"):
        problem = await running.refused(command, id="mine")
        found = {one.message: (one.code, one.param) for one in problem.details or [problem]}
        assert found[f"the weights of model 'own' are no longer at {model}"] == ("not_found", "id"), command
        (changed,) = [one for one in found if one.startswith("the file of dataset 'faq'")]
        assert found[changed] == ("conflict", "id"), command
    assert (await running.claim()).assignment is None
    rows.write_text(before)
    (running.files / "elsewhere").rename(model)
    await running.accepted("RetryFineTuningJob", id="mine")
    assert (await running.claim()).assignment is not None
