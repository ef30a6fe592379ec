"""What comes after a job's end: retried, resumed, cloned, branched, extended, run again. No child runs here."""

from __future__ import annotations

import json
import math
import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from tunebus.contracts.errors import Code
from tunebus.ui.cli.lifecycle import changes
from tunebus.ui.cli.training import described

from tests.fixtures.adapters import lora_files
from tests.fixtures.registry import MODEL, Running

HASH = "0" * 64


async def started(running: Running, **fields: Any) -> str:
    await running.things()
    return await running.accepted(
        "StartFineTuningJob", base_model_id="starter", dataset_id="faq", adapter_name="first", **fields
    )


async def job(running: Running, reference: str) -> dict[str, Any]:
    return await running.client.query("GetFineTuningJob", {"id": reference})


async def trains(running: Running, job_id: str, *steps: int, total: int = 100) -> int:
    """A worker takes the job and records checkpoints; returns the attempt's number."""
    assignment = (await running.claim()).assignment
    assert assignment is not None
    assert assignment.job_id == job_id
    attempt = assignment.attempt
    await running.accepted(
        "ReportAttemptRunning", job_id=job_id, attempt=attempt, total_steps=total, resolved={"threads": 3}
    )
    for step in steps:
        uri = f"artifact:jobs/{job_id}/attempt-{attempt}/checkpoints/step-{step:08d}"
        write_checkpoint(running, uri)
        await running.accepted(
            "RecordCheckpoint", job_id=job_id, attempt=attempt, step=step, uri=uri, manifest_sha256=HASH
        )
    return attempt


def write_checkpoint(running: Running, uri: str) -> Path:
    """The files of a checkpoint, as its manifest names them."""
    folder = running.settings.artifacts / uri.removeprefix("artifact:")
    folder.mkdir(parents=True)
    (folder / "adapter_model.safetensors").write_bytes(b"weights")
    files = {"adapter_model.safetensors": {"size": 7, "sha256": HASH}}
    (folder / "manifest.json").write_text(json.dumps({"step": 1, "files": files, "metrics": {}, "time": 0.0}))
    return folder


async def fails(running: Running, job_id: str, attempt: int, **fields: Any) -> None:
    given = {"cause": "out_of_memory", "message": "no memory is left", **fields}
    await running.accepted("FailAttempt", job_id=job_id, attempt=attempt, **given)
    assert (await job(running, job_id))["state"] == "failed"


async def finishes(running: Running, job_id: str, attempt: int, step: int = 100) -> None:
    uri = f"artifact:jobs/{job_id}/attempt-{attempt}/adapter"
    (running.settings.artifacts / uri.removeprefix("artifact:")).mkdir(parents=True)
    await running.accepted(
        "CompleteAttempt", job_id=job_id, attempt=attempt, outcome="finished", step=step,
        result_uri=uri, result_sha256=HASH, result_type="adapter",
    )  # fmt: skip


async def test_a_failed_job_is_retried_from_its_newest_checkpoint(running: Running) -> None:
    job_id = await started(running)
    await fails(running, job_id, await trains(running, job_id, 10, 20))
    assert await running.accepted("RetryFineTuningJob", id="first") == job_id
    again = await job(running, job_id)
    assert (again["state"], again["cause"], again["message"], again["finished_at"]) == ("queued", "retried", None, None)
    assignment = (await running.claim()).assignment
    assert assignment is not None
    assert assignment.attempt == 2
    assert [point["step"] for point in assignment.checkpoints] == [20, 10]


async def test_the_suggested_change_is_made_and_shown(running: Running) -> None:
    job_id = await started(running, batch_size=8)
    suggestion = {"batch_size": 4, "gradient_accumulation_steps": 2}
    await fails(running, job_id, await trains(running, job_id, 10), suggestion=suggestion)
    await running.accepted("RetryFineTuningJob", id=job_id, suggested=True)
    again = await job(running, job_id)
    assert again["changes"] == {"batch_size": [8, 4], "gradient_accumulation_steps": [1, 2]}
    assignment = (await running.claim()).assignment
    assert assignment is not None
    arguments = assignment.recipe["training_arguments"]
    assert (arguments["per_device_train_batch_size"], arguments["gradient_accumulation_steps"]) == (4, 2)
    assert [point["step"] for point in assignment.checkpoints] == [10], "as many rows a step: it goes on"


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_suggestion_that_makes_another_job_is_shown_as_a_clone_and_works_as_one(running: Running) -> None:
    job_id = await started(running)
    suggestion = {"train_test_split": 1.0, "lora": {"r": 4}, "method": "lora"}
    await fails(running, job_id, await trains(running, job_id), cause="bad_data", suggestion=suggestion)
    problem = await running.refused("RetryFineTuningJob", id=job_id, suggested=True)
    assert (problem.code, problem.param) == (Code.NOT_SUPPORTED, "suggested")
    console = Console(width=300)
    with console.capture() as printed:
        console.print(described(await job(running, job_id)))
    assert f"tunebus train clone {job_id} --set train_test_split=1.0" in str(problem.hint)
    assert str(problem.hint).replace(job_id, "first") in printed.get()
    assert "--suggested" not in printed.get()
    settings = [word for word in shlex.split(str(problem.hint).partition(job_id)[2]) if word != "--set"]
    clone = await running.accepted("CloneFineTuningJob", id=job_id, changes=changes(settings))
    made = (await job(running, clone))["recipe"]
    assert (made["dataset"]["train_test_split"], made["lora"]["r"]) == (1.0, 4)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_suggested_length_over_the_context_is_refused_as_a_start_with_it_is(running: Running) -> None:
    job_id = await started(running)
    await fails(running, job_id, await trains(running, job_id), cause="bad_data", suggestion={"max_length": 566})
    problem = await running.refused("RetryFineTuningJob", id=job_id, suggested=True)
    assert (problem.code, problem.param) == (Code.INVALID, "suggested")
    assert problem.message == "566 tokens are more than the context of 'starter', 512"


async def test_a_change_of_what_a_step_is_starts_from_the_beginning(running: Running) -> None:
    job_id = await started(running)
    attempt = await trains(running, job_id, 10)
    await fails(running, job_id, attempt, cause="nan_loss", suggestion={"learning_rate": 2e-5})
    await running.accepted("RetryFineTuningJob", id=job_id, suggested=True)
    assignment = (await running.claim()).assignment
    assert assignment is not None
    assert assignment.recipe["training_arguments"]["learning_rate"] == 2e-5
    assert assignment.checkpoints == []
    assert (await job(running, job_id))["learning_rate"] == 2e-5


async def test_what_cannot_be_retried_is_refused_in_words(running: Running) -> None:
    job_id = await started(running)
    problem = await running.refused("RetryFineTuningJob", id=job_id)
    assert (problem.code, problem.param) == (Code.WRONG_STATE, "id")
    await fails(running, job_id, await trains(running, job_id))
    problem = await running.refused("RetryFineTuningJob", id=job_id, suggested=True)
    assert (problem.code, problem.param) == (Code.INVALID, "suggested")
    assert (await running.refused("RetryFineTuningJob", id="nobody")).code == Code.NOT_FOUND


async def test_a_stopped_job_goes_on_from_the_chosen_checkpoint(running: Running) -> None:
    job_id = await started(running)
    attempt = await trains(running, job_id, 10, 20, 30)
    await running.accepted("StopFineTuningJob", id=job_id)
    await running.accepted("CompleteAttempt", job_id=job_id, attempt=attempt, outcome="stopped", step=30)
    problem = await running.refused("ResumeFineTuningJob", id=job_id, step=15)
    assert (problem.code, problem.param) == (Code.NOT_FOUND, "step")
    assert problem.hint == "there are those of 10, 20, 30"
    await running.accepted("ResumeFineTuningJob", id=job_id, step=20)
    assignment = (await running.claim()).assignment
    assert assignment is not None
    assert [point["step"] for point in assignment.checkpoints] == [20, 10]
    await finishes(running, job_id, assignment.attempt)
    assert (await job(running, job_id))["state"] == "succeeded"
    problem = await running.refused("ResumeFineTuningJob", id=job_id)
    assert problem.code == Code.WRONG_STATE
    assert "extend" in str(problem.hint)


async def test_a_clone_asks_for_the_same_but_for_its_changes(running: Running) -> None:
    job_id = await started(running, num_epochs=2, learning_rate=1e-4, notes="the first")
    clone = await running.accepted(
        "CloneFineTuningJob", id="first", changes={"learning_rate": 5e-5, "notes": None, "batch_size": 2}
    )
    made = await job(running, clone)
    assert made["origin"] == {
        "kind": "clone", "job_id": job_id, "step": None,
        "difference": {"batch_size": [None, 2], "learning_rate": [1e-4, 5e-5], "notes": ["the first", None]},
    }  # fmt: skip
    assert (made["num_epochs"], made["learning_rate"], made["notes"]) == (2, 5e-5, "")
    assert made["adapter_name"].startswith("first-")
    named = await running.accepted("CloneFineTuningJob", id=job_id, adapter_name="second")
    assert (await job(running, named))["adapter_name"] == "second"


async def test_a_clones_fields_are_judged_as_those_of_a_start(running: Running) -> None:
    job_id = await started(running)
    problem = await running.refused(
        "CloneFineTuningJob", id=job_id, changes={"learning_rate": -1, "dataset_id": "nowhere", "batchsize": 2}
    )
    assert {each.param for each in problem.details or []} >= {"changes.learning_rate", "changes.batchsize"}
    problem = await running.refused("CloneFineTuningJob", id=job_id, adapter_name="first")
    assert problem.code == Code.DUPLICATE_NAME
    assert (await running.refused("CloneFineTuningJob", id="nobody")).code == Code.NOT_FOUND
    for name, words in (("--help", "must begin with a letter or a digit"), (job_id, "must be no UUID")):
        for command, fields in (("CloneFineTuningJob", {"id": job_id}), ("RerunFineTuningJob", {"id": job_id})):
            problem = await running.refused(command, **fields, adapter_name=name)
            assert (problem.code, problem.param) == (Code.INVALID, "adapter_name")
            assert problem.message.startswith(words)


async def test_a_branch_starts_from_the_weights_of_a_checkpoint(running: Running) -> None:
    job_id = await started(running, learning_rate=1e-3)
    await trains(running, job_id, 10, 50, total=100)
    branch = await running.accepted("BranchFineTuningJob", id=job_id, step=50, changes={"learning_rate": 2e-3})
    made = await job(running, branch)
    assert (made["origin"]["kind"], made["origin"]["step"]) == ("branch", 50)
    weights = made["recipe"]["initial_weights"]
    assert weights["location"].endswith("step-00000050")
    assert (weights["job_id"], weights["manifest_sha256"]) == (job_id, HASH)
    assert weights["learning_rate"] == pytest.approx(1e-3 * 0.5 * (1 + math.cos(math.pi * 47 / 97))), (
        "the cosine's, 47 of 97 steps after the warm-up"
    )
    problem = await running.refused("BranchFineTuningJob", id=job_id, step=40)
    assert (problem.code, problem.param) == (Code.NOT_FOUND, "step")
    problem = await running.refused("BranchFineTuningJob", id=job_id, changes={"method": "full"})
    assert problem.param == "changes.method"


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_branch_that_the_weights_do_not_fit_is_refused(running: Running) -> None:
    job_id = await started(running, lora={"r": 8, "target_modules": ["q_proj", "v_proj"]})
    await trains(running, job_id, 10)
    other = shutil.copytree(MODEL, running.files / "other")
    weights = bytearray((other / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (other / "model.safetensors").write_bytes(weights)
    await running.accepted("AddModel", name="other", path=str(other))
    single = running.write("single.jsonl", '{"question": "q", "answer": "a"}\n')
    await running.accepted("AddDataset", name="single", path=str(single))
    kept = {"r": 8, "target_modules": ["v_proj", "q_proj"], "lora_alpha": 64}
    for different, param, words in (
        ({"base_model_id": "other"}, "changes.base_model_id", "another base model"),
        ({"lora": {**kept, "r": 4}}, "changes.lora", "with r 8, and do not fit 4"),
        ({"lora": {"r": 8}}, "changes.lora", "target_modules ['q_proj', 'v_proj'], and do not fit all-linear"),
        ({"lora": {**kept, "use_dora": True}}, "changes.lora", "use_dora False, and do not fit True"),
        ({"dataset_id": "single"}, "dataset_id", "no row of dataset 'single' is left to train on"),
    ):
        problem = await running.refused("BranchFineTuningJob", id=job_id, changes=different)
        assert (problem.code, problem.param) == (Code.INVALID, param), problem
        assert words in problem.message
    await running.accepted("BranchFineTuningJob", id=job_id, changes={"lora": kept, "learning_rate": 1e-4})


async def test_a_finished_job_is_extended_from_its_result(running: Running) -> None:
    job_id = await started(running, max_steps=100)
    problem = await running.refused("ExtendFineTuningJob", id=job_id, num_epochs=1)
    assert problem.code == Code.WRONG_STATE
    await finishes(running, job_id, await trains(running, job_id, 50))
    problem = await running.refused("ExtendFineTuningJob", id=job_id)
    assert (problem.code, problem.param) == (Code.INVALID, "num_epochs")
    extended = await job(running, await running.accepted("ExtendFineTuningJob", id=job_id, num_epochs=1))
    weights = extended["recipe"]["initial_weights"]
    assert weights["location"].endswith("attempt-1/adapter")
    assert (weights["sha256"], weights["step"]) == (HASH, 100)
    assert weights["learning_rate"] == pytest.approx(0.0, abs=1e-9), "the old schedule had come to its end"
    assert extended["recipe"]["training_arguments"]["max_steps"] is None


async def test_a_rerun_takes_the_recorded_recipe(running: Running) -> None:
    job_id = await started(running, learning_rate=1e-3)
    problem = await running.refused("RerunFineTuningJob", id=job_id)
    assert problem.code == Code.WRONG_STATE
    await finishes(running, job_id, await trains(running, job_id, 50))
    before = await job(running, job_id)
    made = await job(running, await running.accepted("RerunFineTuningJob", id=job_id))
    assert made["recipe"]["training_arguments"] == before["recipe"]["training_arguments"]
    assert made["recipe"]["dataset"] == before["recipe"]["dataset"]
    assert made["num_cpu"] == 3, "as many threads as it had"
    assert made["register_adapter"] is False
    running.write("faq.jsonl", '{"question": "changed", "answer": "x"}\n')
    problem = await running.refused("RerunFineTuningJob", id=job_id)
    assert problem.code == Code.CONFLICT


async def test_an_adapter_that_took_the_jobs_name_meanwhile_keeps_it(running: Running) -> None:
    """Of a stopped job somebody added what there was; then the job went on after all."""
    job_id = await started(running)
    attempt = await trains(running, job_id, 10)
    await running.accepted("StopFineTuningJob", id=job_id)
    await running.accepted("CompleteAttempt", job_id=job_id, attempt=attempt, outcome="stopped", step=10)
    folder = running.files / "partial"
    folder.mkdir()
    for name, content in lora_files("starter").items():
        (folder / name).write_bytes(content)
    await running.accepted("AddAdapter", name="first", model_id="starter", path=str(folder), fine_tuning_job_id=job_id)
    await running.accepted("ResumeFineTuningJob", id=job_id)
    assignment = (await running.claim()).assignment
    assert assignment is not None
    await finishes(running, job_id, assignment.attempt)
    assert (await job(running, job_id))["state"] == "succeeded"
    names = [item["name"] for item in (await running.client.query("ListAdapters", {}))["items"]]
    assert names == ["first", f"first-{job_id.replace('-', '')[-8:]}"]


async def test_who_waits_for_a_job_is_freed_when_it_succeeds_after_all(running: Running) -> None:
    job_id = await started(running)
    waits = await running.accepted(
        "StartFineTuningJob", base_model_id="starter", dataset_id="faq", adapter_name="next", depends_on=[job_id]
    )
    await fails(running, job_id, await trains(running, job_id, 10))
    held = await job(running, waits)
    assert (held["state"], held["cause"]) == ("held", "dependency_failed")
    await running.accepted("RetryFineTuningJob", id=job_id)
    assignment = (await running.claim()).assignment
    assert assignment is not None
    await finishes(running, job_id, assignment.attempt)
    freed = await job(running, waits)
    assert (freed["state"], freed["cause"]) == ("queued", "dependencies_met")


async def test_a_suggested_training_argument_is_merged(running: Running) -> None:
    job_id = await started(running)
    attempt = await trains(running, job_id, 10)
    await fails(running, job_id, attempt, suggestion={"training_arguments": {"optim": "sgd"}})
    await running.accepted("RetryFineTuningJob", id=job_id, suggested=True)
    again = await job(running, job_id)
    assert again["training_arguments"]["optim"] == "sgd"
    assert again["changes"] == {"optim": ["adamw_torch", "sgd"]}


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_what_is_made_from_a_job_asks_for_what_its_retries_changed(running: Running) -> None:
    """Two suggested changes one after the other, one of them of a setting that a config gave."""
    config = await running.accepted(
        "AddConfig", type="training_arguments", config={"weight_decay": 0.1, "optim": "adamw_torch"}
    )
    job_id = await started(running, batch_size=4, training_arguments=config)
    first, second = {"batch_size": 2, "gradient_accumulation_steps": 2}, {"training_arguments": {"optim": "sgd"}}
    await fails(running, job_id, await trains(running, job_id), suggestion=first)
    await running.accepted("RetryFineTuningJob", id=job_id, suggested=True)
    await fails(running, job_id, await trains(running, job_id, 10), suggestion=second)
    await running.accepted("RetryFineTuningJob", id=job_id, suggested=True)
    assert (await job(running, job_id))["asked"]["batch_size"] == 2
    attempt = await trains(running, job_id, 20)
    before = (await job(running, job_id))["recipe"]["training_arguments"]
    await finishes(running, job_id, attempt)
    rerun = await running.accepted("RerunFineTuningJob", id=job_id)
    for command, fields, different in (
        ("CloneFineTuningJob", {"id": job_id, "changes": {"num_epochs": 2}}, {"num_train_epochs": 2}),
        ("CloneFineTuningJob", {"id": rerun}, {}),
        ("BranchFineTuningJob", {"id": job_id, "changes": {"batch_size": 1}}, {"per_device_train_batch_size": 1}),
        ("ExtendFineTuningJob", {"id": job_id, "max_steps": 7}, {"max_steps": 7}),
    ):
        made = await job(running, await running.accepted(command, **fields))
        assert made["recipe"]["training_arguments"] == before | different, command


async def test_going_on_from_a_checkpoint_that_is_gone_is_refused_with_those_that_are_there(running: Running) -> None:
    job_id = await started(running, save_total_limit=2)
    attempt = await trains(running, job_id, 10, 20, 30, 40)
    await fails(running, job_id, attempt)
    folder = running.settings.artifacts / "jobs" / job_id / f"attempt-{attempt}" / "checkpoints"
    shutil.rmtree(folder / "step-00000010")  # as retention does
    (folder / "step-00000040" / "adapter_model.safetensors").unlink()
    for command in ("ResumeFineTuningJob", "BranchFineTuningJob"):
        for step in (10, 40):
            problem = await running.refused(command, id=job_id, step=step)
            assert (problem.code, problem.param) == (Code.NOT_FOUND, "step"), command
            assert problem.message == f"first no longer has its checkpoint of step {step}"
            assert problem.hint == "there are those of 20, 30"
        never = await running.refused(command, id=job_id, step=25)
        assert never.message == "first has no checkpoint of step 25"
    branch = await job(running, await running.accepted("BranchFineTuningJob", id=job_id))
    assert branch["origin"]["step"] == 30, "the newest that is there"
    shutil.rmtree(folder)
    for command in ("ResumeFineTuningJob", "BranchFineTuningJob"):
        problem = await running.refused(command, id=job_id)
        assert problem.message == "first no longer has any of its checkpoints"
    await running.accepted("RetryFineTuningJob", id=job_id)


async def test_a_job_whose_result_is_gone_is_not_extended(running: Running) -> None:
    job_id = await started(running)
    await finishes(running, job_id, await trains(running, job_id, 50))
    shutil.rmtree(running.settings.artifacts / "jobs" / job_id / "attempt-1" / "adapter")
    problem = await running.refused("ExtendFineTuningJob", id=job_id, num_epochs=1)
    assert (problem.code, problem.message) == (Code.NOT_FOUND, "the result of first is no longer where it was kept")


@pytest.mark.parametrize("command", ["RetryFineTuningJob", "ResumeFineTuningJob", "RerunFineTuningJob"])
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_job_whose_parts_were_removed_is_not_tried_again(running: Running, command: str) -> None:
    job_id = await started(running)
    await fails(running, job_id, await trains(running, job_id, 10))
    await running.accepted("RemoveDataset", id="faq")
    await running.accepted("RemoveModel", id="starter")
    problem = await running.refused(command, id=job_id)
    found = {one.message: one for one in problem.details or [problem]}
    assert set(found) == {
        "first needs the model 'starter', which was removed", "first needs the dataset 'faq', which was removed",
    }  # fmt: skip
    assert {(one.code, one.param) for one in found.values()} == {(Code.NOT_FOUND, "id")}
    assert any(f"train clone {job_id} --set dataset_id=NAME" in str(one.hint) for one in found.values())
    assert (await job(running, job_id))["state"] == "failed"


async def test_a_job_stopped_while_it_waited_is_retried_from_the_beginning(running: Running) -> None:
    job_id = await started(running)
    await running.accepted("StopFineTuningJob", id=job_id)
    stopped = await job(running, job_id)
    assert (stopped["state"], stopped["attempt"], stopped["step"]) == ("stopped", 0, 0)
    assert (await running.claim()).assignment is None
    await running.accepted("RetryFineTuningJob", id=job_id)
    assignment = (await running.claim()).assignment
    assert assignment is not None
    assert (assignment.job_id, assignment.attempt, assignment.checkpoints) == (job_id, 1, [])
    await finishes(running, job_id, 1)
    assert (await job(running, job_id))["state"] == "succeeded"


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_share_that_has_no_effect_on_a_dataset_with_a_split_of_its_own_is_a_warning(running: Running) -> None:
    await running.things()
    folder = running.files / "split"
    folder.mkdir()
    for name, rows in (("train", 20), ("test", 4)):
        lines = (json.dumps({"question": f"{name} {n}", "answer": "a"}) for n in range(rows))
        (folder / f"{name}.jsonl").write_text("\n".join(lines) + "\n")
    await running.accepted("AddDataset", name="split", path=str(folder))
    asked = {"base_model_id": "starter", "dataset_id": "split"}
    quiet = await running.accepted("StartFineTuningJob", **asked)
    told = await running.accepted("StartFineTuningJob", **asked, train_test_split=0.8)
    shuffled = await running.accepted("StartFineTuningJob", **{**asked, "dataset_id": "faq"}, train_test_split=0.8)
    assert [(await job(running, one))["warnings"] for one in (quiet, shuffled)] == [[], []]
    (warning,) = (await job(running, told))["warnings"]
    assert warning == (
        "train_test_split 0.8 has no effect: dataset 'split' has a split 'test' of its own, whose 4 rows are held out"
    )


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_rate_far_above_the_usual_and_evaluations_without_held_out_rows_are_warnings(running: Running) -> None:
    await running.things()
    asked = {"base_model_id": "starter", "dataset_id": "faq"}

    async def warnings(**fields: Any) -> list[str]:
        job_id = await running.accepted("StartFineTuningJob", **asked, **fields)
        found: list[str] = (await job(running, job_id))["warnings"]
        return found

    assert await warnings(learning_rate=5e-3) == []
    assert await warnings(learning_rate=5e-4, method="full") == []
    whole = {"train_test_split": 1.0, "training_arguments": {"eval_samples": 2}}
    assert await warnings(train_test_split=1.0, eval_samples=0) == []
    assert await warnings(**whole, eval_steps=5) == [
        f"{name} has no effect: with train_test_split 1.0 no row is held out" for name in ("eval_steps", "eval_samples")
    ]
    (lora,) = await warnings(learning_rate=1e9)
    assert lora == ("learning_rate 1e+09 is far above what LoRA is trained with, up to 0.005: most models break down")
    (full,) = await warnings(training_arguments={"learning_rate": 5e-3}, method="full")
    assert full.startswith("learning_rate 0.005 is far above what a whole model is trained with, up to 0.0005")
