"""What a start of a job refuses, and what no present worker can do (conformance 19 and 26)."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from tunebus.contracts.errors import Problem

from tests.fixtures.registry import Running

COUNTS = ("num_cpu", "num_workers")
ABOVE_ZERO = ("num_memory", "num_epochs", "learning_rate")
SHARES = ("dataset_fraction", "train_test_split")
on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
JOB = {"base_model_id": "starter", "dataset_id": "faq"}


def by_field(problem: Problem) -> dict[str | None, Problem]:
    return {one.param: one for one in problem.details or [problem]}


async def refused(running: Running, **fields: Any) -> dict[str | None, Problem]:
    return by_field(await running.refused("StartFineTuningJob", **JOB, **fields))


@on_sqlite
async def test_conformance_19_each_number_is_refused_in_its_own_words(running: Running) -> None:
    await running.things()
    for name in COUNTS:
        for value in (0, -1):
            (problem,) = (await refused(running, **{name: value})).values()
            assert (problem.code, problem.param) == ("invalid", name)
            assert str(value) in problem.message
    (problem,) = (await refused(running, num_gpu=-1)).values()
    assert problem.param == "num_gpu"
    assert "-1" in problem.message
    for name in ABOVE_ZERO:
        for given in (0, -0.5, "NaN", "Infinity", "-Infinity"):
            (problem,) = (await refused(running, **{name: given})).values()
            assert (problem.code, problem.param) == ("invalid", name), (name, given)
            assert str(given).lower().removeprefix("-")[:3] in problem.message.lower(), problem.message
    for name in SHARES:
        for share in (0, -0.1, 1.0000001, 2):
            (problem,) = (await refused(running, **{name: share})).values()
            assert problem.param == name
            assert str(share) in problem.message
    assert running.events("FineTuningJobAdded") == [], "nothing is written"


@on_sqlite
async def test_conformance_19_numbers_at_the_edge_of_what_is_allowed_are_taken(running: Running) -> None:
    await running.things()
    job = await running.accepted(
        "StartFineTuningJob",
        **JOB,
        num_cpu=1,
        num_gpu=0,
        num_memory=1e-9,
        num_workers=1,
        num_epochs=1e-3,
        learning_rate=1e-12,
        dataset_fraction=1.0,
        train_test_split=1,
    )
    found = await running.client.query("GetFineTuningJob", {"id": job})
    assert (found["num_epochs"], found["learning_rate"], found["train_test_split"]) == (1e-3, 1e-12, 1.0)


@on_sqlite
async def test_conformance_19_everything_that_is_wrong_is_said_at_once(running: Running) -> None:
    await running.things()
    wrong = {
        "base_model_id": "startr",
        "dataset_id": "nothing",
        "prompt_id": "no prompt",
        "training_arguments": "0197a3f2-7c00-7000-8000-00000000b002",
        "lora": {"lora_alpa": 8},
        "adapter_name": "my adapter!",
        "num_cpu": 0,
        "num_gpu": -1,
        "num_memory": 0,
        "num_workers": 0,
        "num_epochs": 0,
        "learning_rate": "nan",
        "dataset_fraction": 0,
        "train_test_split": 1.5,
        "method": "magic",
    }
    found = by_field(await running.refused("StartFineTuningJob", **wrong))
    assert {name.split(".")[0] for name in found if name} == set(wrong)
    for name, value in wrong.items():
        (problem,) = [one for param, one in found.items() if param and param.split(".")[0] == name]
        assert problem.message
        assert isinstance(value, dict) or str(value) in problem.message, f"{name} names what was given"
    for name in ("base_model_id", "dataset_id", "prompt_id", "training_arguments"):
        assert (found[name].code, str(wrong[name]) in found[name].message) == ("not_found", True), name
    (key,) = [problem for name, problem in found.items() if name and name.startswith("lora")]
    assert "lora_alpa" in f"{key.param} {key.message}"
    assert key.hint == "did you mean 'lora_alpha'?"
    assert found["adapter_name"].code == "invalid"
    assert found["method"].code == "not_supported"
    assert running.events("FineTuningJobAdded") == []


@on_sqlite
async def test_conformance_19_unknown_keys_are_refused_with_the_nearest(running: Running) -> None:
    await running.things()
    found = await refused(running, training_arguments={"learnin_rate": 1e-4, "num_train_epoch": 3})
    hints = {problem.hint for problem in found.values()}
    assert hints == {"did you mean 'learning_rate'?", "did you mean 'num_train_epochs'?"}
    config = await running.refused("AddConfig", type="lora", config={"lora_alfa": 8})
    assert config.hint == "did you mean 'lora_alpha'?"


@on_sqlite
async def test_conformance_19_the_name_of_an_adapter_is_taken_by_a_job_and_by_an_adapter(running: Running) -> None:
    await running.things()
    first = await running.accepted("StartFineTuningJob", **JOB, adapter_name="mine")
    (problem,) = (await refused(running, adapter_name=" mine ")).values()
    assert (problem.code, problem.param) == ("duplicate_name", "adapter_name")
    assert "a fine-tuning job makes 'mine'" in problem.message
    await running.claim()
    result = {"result_uri": f"artifact:jobs/{first}/attempt-1/adapter", "result_sha256": "0" * 64}
    await running.accepted("CompleteAttempt", job_id=first, attempt=1, outcome="finished", step=1, **result)
    (problem,) = (await refused(running, adapter_name="mine")).values()
    assert "an adapter is named 'mine'" in problem.message
    for name in ("with space", "slash/ed", "dot.ted", "ümlaut", ""):
        (problem,) = (await refused(running, adapter_name=name)).values()
        assert (problem.code, problem.param) == ("invalid", "adapter_name"), name


# Nothing is silently ignored ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("framework_type", "jax"),
        ("method", "dpo"),
        ("num_workers", 2),
        ("quantization", {"load_in_4bit": True}),
    ],
)
@on_sqlite
async def test_conformance_26_what_this_version_cannot_do_is_refused_when_it_is_asked_for(
    running: Running, field: str, value: Any
) -> None:
    await running.things()
    (problem,) = (await refused(running, **{field: value})).values()
    assert (problem.code, problem.param) == ("not_supported", field)
    assert problem.hint
    if isinstance(value, str):
        assert repr(value) in problem.message
    estimate = await running.bus.request(
        running.subjects.query("EstimateFineTuningJob"), json.dumps({**JOB, field: value}).encode(), timeout=10
    )
    assert json.loads(estimate.data)["error"]["code"] == "not_supported", "an estimate refuses what a start does"


@on_sqlite
async def test_conformance_26_a_field_that_is_unknown_is_refused_with_the_nearest(running: Running) -> None:
    await running.things()
    (problem,) = (await refused(running, num_gpus=1)).values()
    assert (problem.code, problem.param, problem.hint) == ("unknown_field", "num_gpus", "did you mean 'num_gpu'?")


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        ({"num_gpu": 1}, "no trainer fits: needs 1 GPU (has none)"),
        ({"num_memory": 900.0}, "no trainer fits: needs 900 GiB of memory (has 8.0)"),
        ({"num_cpu": 64}, "no trainer fits: needs 64 CPUs (has 4)"),
    ],
)
async def test_conformance_26_what_no_present_worker_can_do_waits_with_that_reason(
    running: Running, asked: dict[str, Any], reason: str
) -> None:
    await running.things()
    job = await running.accepted("StartFineTuningJob", **JOB, **asked)

    async def everywhere() -> set[str]:
        """In lists, in the job, in the queue, and in what `doctor` reads."""
        query = running.client.query
        lists = [await query("ListFineTuningJobs", {}), await query("ListQueue", {})]
        shown = [item for page in lists for item in page["items"]]
        shown += [await query("GetFineTuningJob", {"id": job}), *(await query("GetOverview", {}))["waiting"]]
        assert {item["id"] for item in shown} == {job}
        assert {item["state"] for item in shown} == {"queued"}
        return {item["waiting_reason"] for item in shown}

    assert await everywhere() == {"no trainer is running"}
    assert (await running.claim("w1")).assignment is None
    assert await everywhere() == {reason}
    offers: dict[str, dict[str, Any]] = {
        "num_gpu": {"gpus": ["NVIDIA L4"]},
        "num_memory": {"memory_gb": 1000.0},
        "num_cpu": {"cpus": 64},
    }
    (field,) = asked
    assert (await running.claim("w2", **offers[field])).assignment is not None, "and is done once one can"


@on_sqlite
async def test_conformance_26_an_evaluation_waits_for_a_worker_that_can_do_it(running: Running) -> None:
    await running.things()
    job = await running.accepted(
        "StartEvaluationJob", combinations=[{"base_model_id": "starter", "dataset_id": "faq"}], num_gpu=2
    )
    assert (await running.claim("e1", kind="evaluation_job", gpus=["A"])).assignment is None
    found = await running.client.query("GetEvaluationJob", {"id": job})
    assert found["waiting_reason"] == "no evaluator fits: needs 2 GPUs (has 1)"
    assignments = await asyncio.gather(
        *(running.claim(worker, kind="evaluation_job", gpus=["A", "B"]) for worker in ("e2", "e3"))
    )
    (taken,) = [reply.assignment for reply in assignments if reply.assignment]
    assert taken.gpus == ["0", "1"]
