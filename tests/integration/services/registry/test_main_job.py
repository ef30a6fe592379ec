"""The main job through the bus, with workers played by the test: added, queued, claimed, reported, queried."""

from __future__ import annotations

import asyncio
from typing import Any

from tunebus.services.platform.home import Home

from tests.fixtures.adapters import lora_files

HASH = "0" * 64


async def test_a_job_goes_all_the_way_and_registers_its_adapter(running: Any) -> None:
    dataset_id, model_id = await running.things()
    job_id = await running.accepted("StartFineTuningJob", base_model_id="starter", dataset_id="faq")

    assignment = (await running.claim()).assignment
    assert assignment is not None
    assert (assignment.job_id, assignment.attempt) == (job_id, 1)
    folder = f"{assignment.out_dir}/attempt-1"
    report = {"job_id": job_id, "attempt": 1}
    await running.accepted("ReportAttemptRunning", **report, total_steps=10)
    await running.accepted(
        "RecordCheckpoint", **report, step=5, uri=f"{folder}/checkpoints/step-5", manifest_sha256=HASH
    )
    weights = Home(running.settings.home, running.settings.artifacts).resolve(f"{folder}/adapter")
    weights.mkdir(parents=True)
    for name, content in lora_files("starter").items():
        (weights / name).write_bytes(content)
    await running.accepted(
        "CompleteAttempt", **report, outcome="finished", step=10, result_uri=f"{folder}/adapter", result_sha256=HASH
    )

    job = await running.client.query("GetFineTuningJob", {"id": job_id})
    assert job["state"] == "succeeded"
    adapter = await running.client.query("GetAdapter", {"id": job["adapter_name"]})
    assert adapter["id"] == job["adapter_id"]
    assert (adapter["model_id"], adapter["fine_tuning_job_id"]) == (model_id, job_id)

    parent = await running.client.send(
        "StartEvaluationJob",
        {
            "combinations": [
                {"base_model_id": "starter", "dataset_id": "faq"},
                {"base_model_id": "starter", "adapter_id": adapter["name"], "dataset_id": dataset_id},
            ]
        },
    )
    assert parent.error is None
    assert parent.ids is not None
    assert len(parent.ids) == 2
    page = await running.client.query("ListEvaluationJobs", {"parent_id": parent.id})
    assert {item["id"] for item in page["items"]} == set(parent.ids)
    recipes = [event.data["recipe"] for event in running.events("EvaluationJobAdded")]
    assert [recipe["dataset"]["split_seed"] for recipe in recipes] == [42, 42]
    assert recipes[0]["dataset"] == recipes[1]["dataset"]


async def test_a_command_may_insist_on_the_version_it_has_seen(running: Any) -> None:
    await running.things()
    job = await running.accepted("StartFineTuningJob", base_model_id="starter", dataset_id="faq")
    late = await running.client.send("StopFineTuningJob", {"id": job}, expected_version=1)
    assert late.error is not None
    assert (late.error.code, late.error.param) == ("conflict", "expectedversion")
    assert (await running.client.query("GetFineTuningJob", {"id": job}))["state"] == "queued"
    seen = await running.client.send("StopFineTuningJob", {"id": job}, expected_version=2)
    assert (seen.error, seen.version) == (None, 4)


async def test_one_name_in_one_batch_goes_to_the_first(running: Any) -> None:
    await running.things()
    prompt = {
        "name": "p",
        "dataset_id": "faq",
        "prompt_template": "{input}{completion}",
        "input_template": "{question}",
        "completion_template": "{answer}",
    }
    outcomes = await asyncio.gather(*(running.client.send("AddPrompt", prompt) for _ in range(10)))
    assert [outcome.error is None for outcome in outcomes].count(True) == 1
    assert {outcome.error.code for outcome in outcomes if outcome.error} == {"duplicate_name"}
