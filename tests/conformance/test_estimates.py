"""Estimates: before a fine-tuning, against what the workers have, and against what was measured of a real one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tunebus.contracts.errors import TunebusError

from tests.fixtures.children import Child, write_job
from tests.fixtures.registry import Running

JOB = {"base_model_id": "starter", "dataset_id": "faq"}
FACTOR = 1.5  # what an estimate of memory may be off by, either way; see docs/queue.md for measurements
on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


async def estimate(running: Running, **fields: Any) -> dict[str, Any]:
    return await running.client.query("EstimateFineTuningJob", {**JOB, **fields})


@on_sqlite
async def test_an_estimate_says_what_a_job_needs_term_by_term(running: Running) -> None:
    await running.things(200)
    found = await estimate(running)
    terms = found["memory"]
    assert terms["total"] == sum(value for name, value in terms.items() if name != "total")
    assert terms["weights"] == 3_803_392 * 4
    assert found["trainable_parameters"] == 286_720
    assert (terms["adapter"], terms["gradients"], terms["optimizer"]) == (286_720 * 4, 286_720 * 4, 286_720 * 8)
    assert found["rows"] == {"train": 190, "held_out": 10}
    assert (found["steps"], found["steps_per_epoch"]) == (24, 24)
    assert found["tokens"] == pytest.approx(190 * found["lengths"]["mean"], rel=0.01)
    assert found["time"]["seconds"] is None
    assert found["time"]["basis"].startswith("unknown")
    assert found["fits"] is None
    assert found["least_memory"] == (await estimate(running, batch_size=1))["memory"]["total"] < terms["total"]
    assert found["warnings"] == []
    (warning,) = (await estimate(running, learning_rate=1e9))["warnings"]
    assert warning.startswith("learning_rate 1e+09 is far above")
    twice = await estimate(running, batch_size=16, num_epochs=3.0)
    assert twice["memory"]["activations"] == 2 * terms["activations"]
    assert twice["tokens"] == pytest.approx(3 * found["tokens"], abs=2)
    whole = await estimate(running, method="full")
    assert whole["trainable_parameters"] == 3_803_392
    assert whole["memory"]["optimizer"] == 8 * 3_803_392
    assert whole["disk"]["checkpoint"] > 10 * found["disk"]["checkpoint"]
    assert whole["resolved"]["lora"] is None
    assert whole["resolved"]["training_arguments"]["learning_rate"] == 2e-5
    assert whole["resolved"]["sources"]["learning_rate"] == "default"
    narrow = await estimate(running, lora={"r": 16, "target_modules": ["q_proj", "v_proj"]})
    assert narrow["trainable_parameters"] == 16 * (2048 + 1536)
    assert narrow["resolved"]["lora"]["target_modules"] == ["q_proj", "v_proj"]
    assert narrow["resolved"]["sources"]["target_modules"] == "command"


async def test_an_estimate_is_held_against_the_workers_and_says_how_to_need_less(running: Running) -> None:
    await running.things(200)
    await running.accepted("StartFineTuningJob", **JOB, num_gpu=1)  # only a worker of another kind of machine takes it
    await running.claim("small", memory_gb=0.9)
    wide = {"batch_size": 128}
    found = await estimate(running, **wide)
    assert found["fits"] is False
    (worker,) = found["workers"]
    assert (worker["worker_id"], worker["fits"], worker["memory"]) == ("small", False, int(0.9 * 1024**3))
    assert len(found["smaller"]) == 3
    for way in found["smaller"]:
        changed = await estimate(running, **{**wide, **way["change"]})
        assert changed["memory"]["total"] == way["memory"] < found["memory"]["total"]
        assert changed["fits"] is way["fits"]
        assert changed["steps"] == found["steps"], "batches gathered to the same size make the same steps"
    assert found["smaller"][0]["fits"] is True
    await running.claim("large", memory_gb=64.0)
    assert (await estimate(running, **wide))["fits"] is True
    on_gpu = await estimate(running, num_gpu=1)
    assert on_gpu["fits"] is False
    assert on_gpu["memory"]["weights"] == 3_803_392 * 2
    device = {"id": "GPU-1", "name": "NVIDIA L4", "memory_gb": 22.5}
    await running.claim("gpu", gpus=["NVIDIA L4"], devices=[device])
    assert (await estimate(running, num_gpu=1))["fits"] is True


@on_sqlite
async def test_num_memory_is_a_limit_that_an_estimate_counts(running: Running) -> None:
    await running.things(200)
    await running.accepted("StartFineTuningJob", **JOB, num_gpu=1)
    await running.claim("large", memory_gb=64.0)
    assert ((await estimate(running, num_memory=8))["fits"], (await estimate(running))["warnings"]) == (True, [])
    little = await estimate(running, num_memory=0.3)
    assert (little["fits"], little["workers"][0]["memory"]) == (False, int(0.3 * 1024**3))
    (warning,) = little["warnings"]
    assert warning.startswith("num_memory 0.3 GiB is too little even with batches of one row: the training is")
    job_id = await running.accepted("StartFineTuningJob", **JOB, num_memory=0.3, adapter_name="little")
    assert (await running.client.query("GetFineTuningJob", {"id": job_id}))["warnings"] == [warning]
    assert (await running.claim()).assignment is not None
    halved = {"batch_size": 4, "gradient_accumulation_steps": 2}
    await running.accepted(
        "FailAttempt", job_id=job_id, attempt=1, cause="out_of_memory", message="none left", suggestion=halved
    )
    suggestion = (await running.client.query("GetFineTuningJob", {"id": job_id}))["suggestion"]
    assert set(suggestion) == {"num_memory"}
    assert (await estimate(running, **suggestion))["fits"] is True
    await running.accepted("RetryFineTuningJob", id=job_id, suggested=True)
    assert (await running.claim()).assignment is not None
    await running.accepted(
        "FailAttempt", job_id=job_id, attempt=2, cause="out_of_memory", message="none left", suggestion=halved
    )
    assert (await running.client.query("GetFineTuningJob", {"id": job_id}))["suggestion"] == halved


@on_sqlite
async def test_an_estimate_refuses_what_a_start_refuses(running: Running) -> None:
    await running.things()
    for fields, param in (
        ({"learning_rate": 0}, "learning_rate"),
        ({"dataset_id": "nothing"}, "dataset_id"),
        ({"adapter_name": "a b"}, "adapter_name"),
        ({"user_script": "mine.py"}, "user_script"),
        ({"user_script": "mine.py", "dataset_id": "nothing"}, "dataset_id"),
    ):
        with pytest.raises(TunebusError) as refused:
            await estimate(running, **fields)
        assert refused.value.problem.param == param
    assert running.events("FineTuningJobAdded") == []


@on_sqlite
async def test_an_estimate_is_kept_with_the_job_and_is_near_what_a_real_training_measures(
    running: Running, tmp_path: Path
) -> None:
    """The starter model really trained by the trainer's child; memory within a factor of 1.5, the rest much closer."""
    await running.things(40)
    asked = {"batch_size": 4, "train_test_split": 0.8, "num_epochs": 1.0, "eval_samples": 0}
    job_id = await running.accepted("StartFineTuningJob", **JOB, **asked)
    kept = (await running.client.query("GetFineTuningJob", {"id": job_id}))["estimate"]
    assert "workers" not in kept
    assignment = (await running.claim("w1")).assignment
    assert assignment is not None

    folder = tmp_path / "attempt"
    write_job(folder, assignment.recipe)
    assert Child(folder).wait() == 0
    result = json.loads((folder / "result.json").read_text())
    resolved = json.loads((folder / "running.json").read_text())
    measured = result["metrics"]

    assert kept["steps"] == resolved["total_steps"] == result["step"]
    assert kept["trainable_parameters"] == measured["trainable_parameters"]
    assert kept["rows"]["train"] == resolved["resolved"]["train"]["rows"]
    assert kept["rows"]["held_out"] == resolved["resolved"]["held_out"]["rows"]
    assert kept["lengths"]["longest"] == pytest.approx(resolved["resolved"]["max_length"], abs=8)
    assert kept["memory"]["total"] < FACTOR * measured["peak_memory_bytes"] < FACTOR**2 * kept["memory"]["total"]
    adapter = sum(file.stat().st_size for file in (folder / "adapter").rglob("*") if file.is_file())
    assert kept["disk"]["result"] == pytest.approx(adapter, rel=0.5, abs=2**20)

    await running.accepted(
        "CompleteAttempt",
        job_id=job_id,
        attempt=1,
        outcome="finished",
        step=result["step"],
        result_uri=f"artifact:jobs/{job_id}/attempt-1/adapter",
        result_sha256=result["result_sha256"],
        metrics=measured,
    )
    time = (await estimate(running, **asked))["time"]
    assert time["basis"] == "1 earlier job of this model here"
    assert time["seconds"] == pytest.approx(result["step"] / measured["steps_per_second"], rel=0.05, abs=0.06)


@on_sqlite
async def test_the_speed_is_that_of_the_longer_earlier_jobs(running: Running) -> None:
    """Jobs of one step are mostly warm-up: five of them after a long one made the estimate twenty times too slow."""
    await running.things()

    async def ran(name: str, step: int, steps_per_second: float) -> None:
        job_id = await running.accepted("StartFineTuningJob", **JOB, adapter_name=name)
        assert (await running.claim()).assignment is not None
        uri = f"artifact:jobs/{job_id}/attempt-1/adapter"
        await running.accepted(
            "CompleteAttempt", job_id=job_id, attempt=1, outcome="finished", step=step, result_uri=uri,
            result_sha256="0" * 64, metrics={"steps_per_second": steps_per_second},
        )  # fmt: skip

    for number in range(5):
        await ran(f"first-{number}", 1, 0.1)
    found = await estimate(running)
    assert found["time"]["seconds"] == pytest.approx(found["steps"] / 0.1, rel=0.01)
    assert found["time"]["basis"].startswith("5 earlier jobs")
    await ran("long", 1000, 10.0)
    await ran("short", 100, 5.0)
    for number in range(10):
        await ran(f"tiny-{number}", 1, 0.1)
    found = await estimate(running)
    assert found["time"]["seconds"] == pytest.approx(found["steps"] / (1100 / 120), abs=0.06)
    assert found["time"]["basis"] == "2 earlier jobs, the longer counting for more, of this model here"
