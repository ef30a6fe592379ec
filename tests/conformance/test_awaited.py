"""Train, then evaluate: evaluations and exports of what a training has still to make, on both databases."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from tunebus.projections.verify import verify
from tunebus.services.platform import database
from tunebus.services.platform.home import Home
from tunebus.services.platform.upcasters import UPCASTERS

from tests.fixtures.adapters import lora_files
from tests.fixtures.registry import MODEL, Running

HASH = "0" * 64
on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

Row = dict[str, Any]


async def train(running: Running, name: str = "mine", **fields: Any) -> str:
    asked = {"base_model_id": "starter", "dataset_id": "faq", "adapter_name": name, **fields}
    return await running.accepted("StartFineTuningJob", **asked)


def tuned(job: str = "mine", **fields: Any) -> Row:
    return {"base_model_id": "starter", "dataset_id": "faq", "job_id": job, **fields}


async def evaluate(running: Running, *combinations: Row, **fields: Any) -> list[str]:
    outcome = await running.client.send("StartEvaluationJob", {"combinations": list(combinations), **fields})
    assert outcome.error is None, outcome.error
    assert outcome.ids is not None
    return list(outcome.ids)


async def evaluation(running: Running, job_id: str) -> Row:
    return await running.client.query("GetEvaluationJob", {"id": job_id})


async def run(running: Running, job_id: str) -> None:
    """Give a training to a worker."""
    assignment = (await running.claim(f"for {job_id}")).assignment
    assert assignment is not None
    assert assignment.job_id == job_id


async def succeed(running: Running, job_id: str, attempt: int = 1, **more: Any) -> None:
    uri = f"artifact:jobs/{job_id}/attempt-{attempt}/adapter"
    place = Home(running.settings.home, running.settings.artifacts).resolve(uri)
    place.mkdir(parents=True)
    for name, content in lora_files("starter").items():
        (place / name).write_bytes(content)
    result = {"result_uri": uri, "result_sha256": HASH, "metrics": {"eval_loss": 0.5}, **more}
    await running.accepted("CompleteAttempt", job_id=job_id, attempt=attempt, outcome="finished", step=3, **result)


def equals_a_rebuild(running: Running) -> bool:
    with database.read(running.engine) as connection:
        return verify(connection, UPCASTERS.upcast).ok


async def test_an_evaluation_of_a_training_waits_for_it_and_takes_the_adapter_from_it(running: Running) -> None:
    await running.things()
    training = await train(running)
    base, job = await evaluate(running, {"base_model_id": "starter", "dataset_id": "faq"}, tuned())
    assert (await running.claim("base", kind="evaluation_job")).assignment.job_id == base  # type: ignore[union-attr]
    waiting = await evaluation(running, job)
    assert (waiting["fine_tuning_job_id"], waiting["fine_tuning_job_name"]) == (training, "mine")
    assert (waiting["adapter_id"], waiting["depends_on"], waiting["waiting_for"]) == (None, [training], [training])
    assert "mine" in waiting["waiting_reason"]
    assert (await running.claim("early", kind="evaluation_job")).assignment is None
    await run(running, training)
    await succeed(running, training)
    adapter = await running.client.query("GetAdapter", {"id": "mine"})
    found = await evaluation(running, job)
    assert (found["adapter_id"], found["adapter_name"]) == (adapter["id"], "mine")
    assert (found["fine_tuning_job_id"], found["waiting_for"], found["cause"]) == (None, [], "dependencies_met")
    of_adapter = await running.client.query("ListEvaluationJobs", {"adapter_id": "mine"})
    assert [one["id"] for one in of_adapter["items"]] == [job]
    (made,) = running.events("SubjectMade")
    assert (made.data["fine_tuning_job_id"], made.data["adapter_id"]) == (training, adapter["id"])
    assignment = (await running.claim("late", kind="evaluation_job")).assignment
    assert assignment is not None
    assert (assignment.job_id, assignment.recipe["adapter"]["location"]) == (job, adapter["location"])
    # it is scored on the rows that its training held out, as if it had been named by its adapter
    asked = {"base_model_id": "starter", "dataset_id": "faq", "adapter_id": "mine"}
    (named,) = await evaluate(running, asked)
    assert (await evaluation(running, named))["recipe"] == assignment.recipe
    assert (await running.refused("RemoveAdapter", id="mine")).code == "in_use"
    assert equals_a_rebuild(running)


async def test_a_held_evaluation_gets_its_adapter_too_and_stays_held(running: Running) -> None:
    await running.things()
    training = await train(running)
    (job,) = await evaluate(running, tuned(training), hold=True)
    await run(running, training)
    await succeed(running, training)
    found = await evaluation(running, job)
    assert (found["state"], found["adapter_name"], found["waiting_for"]) == ("held", "mine", [])
    await running.accepted("ReleaseJob", job_id=job)
    assignment = (await running.claim("w", kind="evaluation_job")).assignment
    assert assignment is not None
    assert assignment.recipe["adapter"]["adapter_id"] == found["adapter_id"]


async def test_the_end_of_its_training_holds_it_and_a_retry_frees_it(running: Running) -> None:
    await running.things()
    training = await train(running)
    (job,) = await evaluate(running, tuned())
    await run(running, training)
    await running.accepted("FailAttempt", job_id=training, attempt=1, cause="bad_data", message="no rows")
    held = await evaluation(running, job)
    assert (held["state"], held["cause"]) == ("held", "dependency_failed")
    assert held["message"] == "it depends on 'mine', which failed"
    refused = await running.refused("RemoveFineTuningJob", id="mine")
    assert (refused.code, f"evaluation job '{job}'" in refused.message) == ("in_use", True)
    kept = await running.refused("SetJobDependencies", job_id=job, depends_on=[])
    assert (kept.code, kept.param) == ("invalid", "depends_on")
    assert "cannot go without" in kept.message
    assert (await running.refused("ReleaseJob", job_id=job)).code == "wrong_state"
    await running.accepted("RetryFineTuningJob", id="mine")
    other = await train(running, "other", hold=True)
    await running.accepted("SetJobDependencies", job_id=job, depends_on=["mine", other])
    await run(running, training)
    await succeed(running, training, attempt=2)
    between = await evaluation(running, job)
    assert (between["state"], between["adapter_name"], between["waiting_for"]) == ("held", "mine", [other])
    await running.accepted("SetJobDependencies", job_id=job, depends_on=[])
    await running.accepted("ReleaseJob", job_id=job)
    assert (await running.claim("w", kind="evaluation_job")).assignment is not None
    assert equals_a_rebuild(running)


async def test_an_evaluation_that_was_stopped_gets_no_adapter(running: Running) -> None:
    await running.things()
    training = await train(running)
    (job,) = await evaluate(running, tuned())
    await running.accepted("StopEvaluationJob", id=job)
    await run(running, training)
    await succeed(running, training)
    found = await evaluation(running, job)
    assert (found["state"], found["adapter_id"], found["fine_tuning_job_name"]) == ("stopped", None, "mine")
    assert running.events("SubjectMade") == []


async def test_a_training_that_has_succeeded_names_its_adapter(running: Running) -> None:
    await running.things()
    training = await train(running)
    await run(running, training)
    await succeed(running, training)
    await running.accepted("RenameAdapter", id="mine", name="renamed")
    (job,) = await evaluate(running, tuned())
    found = await evaluation(running, job)
    assert (found["adapter_name"], found["depends_on"], found["fine_tuning_job_id"]) == ("renamed", [], None)
    await running.accepted("StopEvaluationJob", id=job)
    await running.accepted("RemoveAdapter", id="renamed")
    problem = await running.refused("StartEvaluationJob", combinations=[tuned()])
    assert (problem.code, problem.param) == ("not_found", "combinations.0.job_id")
    assert problem.message == "the adapter that mine made was removed"


async def test_a_job_that_makes_nothing_to_score_is_refused_with_the_reason(running: Running) -> None:
    await running.things()
    await running.accepted("AddModel", name="second", path=str(MODEL))
    await train(running, "unlisted", register_adapter=False)
    stopped = await train(running, "stopped")
    await running.accepted("StopFineTuningJob", id=stopped)
    await train(running, "of-second", base_model_id="second")
    await train(running)
    problem = await running.refused(
        "StartEvaluationJob",
        combinations=[
            tuned("nobody"),
            tuned("unlisted"),
            tuned("stopped"),
            tuned("of-second"),
            tuned(adapter_id="mine"),
        ],
    )
    found = {str(one.param): (one.code.value, one.message) for one in problem.details or []}
    assert found["combinations.0.job_id"] == ("not_found", "there is no fine-tuning job 'nobody'")
    assert found["combinations.1.job_id"] == ("wrong_state", "unlisted adds what it makes to no list")
    assert found["combinations.2.job_id"] == ("wrong_state", "stopped was stopped: nothing can wait for it")
    assert found["combinations.3.job_id"] == ("invalid", "of-second trains model 'second', not 'starter'")
    assert found["combinations.4.job_id"][0] == "invalid"
    assert (await running.client.query("ListEvaluationJobs", {}))["items"] == []


async def test_what_the_method_full_makes_is_scored_and_exported_as_a_model(running: Running) -> None:
    await running.things()
    training = await train(running, "whole", method="full", learning_rate=1e-5)
    (job,) = await evaluate(running, tuned("whole"))
    refused = await running.refused("StartExportJob", type="adapter", job_id="whole")
    assert (refused.code, refused.param) == ("invalid", "type")
    export = await running.accepted("StartExportJob", type="merged", job_id="whole")
    await run(running, training)
    uri = f"artifact:jobs/{training}/attempt-1/model"
    place = Home(running.settings.home, running.settings.artifacts).resolve(uri)
    shutil.copytree(MODEL, Path(place))
    await succeed(running, training, result_uri=uri, result_type="model")
    model = await running.client.query("GetModel", {"id": "whole"})
    found = await evaluation(running, job)
    assert (found["base_model_id"], found["adapter_id"]) == (model["id"], None)
    assert (found["recipe"]["model"]["location"], found["recipe"]["adapter"]) == (uri, None)
    written = await running.client.query("GetExportJob", {"id": export})
    assert (written["model_id"], written["recipe"]["card"]["base_model"]) == (model["id"], "whole")
    assert equals_a_rebuild(running)


async def test_an_export_of_a_training_waits_for_it(running: Running) -> None:
    await running.things()
    training = await train(running)
    export = await running.accepted("StartExportJob", type="adapter", job_id="mine")
    assert (
        await running.refused("StartExportJob", type="adapter", job_id="mine", model_id="starter")
    ).code == "invalid"
    waiting = await running.client.query("GetExportJob", {"id": export})
    assert (waiting["waiting_for"], waiting["model_id"], waiting["adapter_id"]) == ([training], None, None)
    await run(running, training)
    await succeed(running, training)
    adapter = await running.client.query("GetAdapter", {"id": "mine"})
    found = await running.client.query("GetExportJob", {"id": export})
    assert (found["adapter_id"], found["recipe"]["adapter"]["location"]) == (adapter["id"], adapter["location"])
    card = found["recipe"]["card"]
    assert (card["adapter"], card["adapter_sha256"], card["training_metrics"]) == ("mine", HASH, {"eval_loss": 0.5})
    again = await running.accepted("StartExportJob", type="adapter", job_id="mine")
    assert (await running.client.query("GetExportJob", {"id": again}))["recipe"]["card"] == card
    assert [one["id"] for one in (await running.client.query("ListExportJobs", {"adapter_id": "mine"}))["items"]] == [
        export,
        again,
    ]
    assert equals_a_rebuild(running)


@on_sqlite
async def test_typed_prompts_wait_as_well(running: Running) -> None:
    await running.things()
    training = await train(running)
    (job,) = await evaluate(running, {"base_model_id": "starter", "job_id": "mine"}, prompts=["What is it?"])
    await run(running, training)
    await succeed(running, training)
    assert (await evaluation(running, job))["adapter_name"] == "mine"
