"""The queue as users need it: order, holding, dependencies, labels and notes, and what jobs get of the machines."""

from __future__ import annotations

from typing import Any

import pytest
from tunebus.contracts.errors import Problem
from tunebus.projections.verify import verify
from tunebus.services.platform import database
from tunebus.services.platform.upcasters import UPCASTERS

from tests.fixtures.registry import Running

GPU = "GPU-3f1c2b7e-9a40-4d6e-8a51-{:012d}"
HASH = "0" * 64
on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


async def start(running: Running, **fields: Any) -> str:
    return await running.accepted("StartFineTuningJob", base_model_id="starter", dataset_id="faq", **fields)


async def evaluate(running: Running, **fields: Any) -> str:
    combinations = [{"base_model_id": "starter", "dataset_id": "faq"}]
    return await running.accepted("StartEvaluationJob", combinations=combinations, **fields)


async def job(running: Running, job_id: str) -> dict[str, Any]:
    return await running.client.query("GetFineTuningJob", {"id": job_id})


async def queue(running: Running, **fields: Any) -> list[dict[str, Any]]:
    return list((await running.client.query("ListQueue", fields))["items"])


async def claimed(running: Running, worker: str = "w1", **offers: Any) -> str | None:
    assignment = (await running.claim(worker, **offers)).assignment
    return assignment.job_id if assignment else None


async def succeed(running: Running, job_id: str, attempt: int = 1) -> None:
    result = {"result_uri": f"artifact:jobs/{job_id}/attempt-{attempt}/adapter", "result_sha256": HASH}
    await running.accepted("CompleteAttempt", job_id=job_id, attempt=attempt, outcome="finished", step=3, **result)


async def fail(running: Running, job_id: str, attempt: int = 1) -> None:
    await running.accepted("FailAttempt", job_id=job_id, attempt=attempt, cause="bad_data", message="no rows")


def equals_a_rebuild(running: Running) -> bool:
    with database.read(running.engine) as connection:
        return verify(connection, UPCASTERS.upcast).ok


# Order --------------------------------------------------------------------------------------------------------------


async def test_a_higher_priority_goes_first_and_may_change_later(running: Running) -> None:
    await running.things()
    plain = await start(running)
    urgent = await start(running, priority=5)
    late = await start(running)
    await running.accepted("PrioritizeJob", job_id=late, priority=7)
    assert [item["queue_position"] for item in await queue(running)] == [1, 2, 3]
    assert [item["id"] for item in await queue(running)] == [late, urgent, plain]
    assert [await claimed(running, f"w{n}") for n in range(3)] == [late, urgent, plain]
    problem = await running.refused("PrioritizeJob", job_id=late, priority=1)
    assert (problem.code, problem.param) == ("wrong_state", "job_id")
    assert "starting" in problem.message
    assert (await running.refused("PrioritizeJob", job_id=plain, priority=1001)).param == "priority"
    assert (await running.refused("PrioritizeJob", job_id="nobody", priority=1)).code == "not_found"


async def test_jobs_of_equal_priority_are_moved_and_given_out_in_the_new_order(running: Running) -> None:
    await running.things()
    a, b, c, d = [await start(running) for _ in range(4)]
    first = await start(running, priority=1)

    async def order() -> list[str]:
        return [item["id"] for item in await queue(running)]

    for moved, to, expected in (
        (d, "up", [first, a, b, d, c]),
        (d, "top", [first, d, a, b, c]),
        (d, "up", [first, d, a, b, c]),
        (a, "bottom", [first, d, b, c, a]),
        (d, "down", [first, b, d, c, a]),
        (first, "down", [first, b, d, c, a]),
        (b, "bottom", [first, d, c, a, b]),
        (c, "top", [first, c, d, a, b]),
    ):
        await running.accepted("MoveJob", job_id=moved, to=to)
        assert await order() == expected, (to, moved)
    later = await start(running)
    assert await order() == [first, c, d, a, b, later]
    by_list = await running.client.query("ListFineTuningJobs", {"order": "queue", "limit": 4})
    rest = await running.client.query("ListFineTuningJobs", {"order": "queue", "after": by_list["next"]})
    assert [item["id"] for item in by_list["items"] + rest["items"]] == await order()
    assert equals_a_rebuild(running)
    assert [await claimed(running, f"w{n}") for n in range(6)] == [first, c, d, a, b, later]
    assert (await running.refused("MoveJob", job_id=c, to="top")).code == "wrong_state"
    assert (await running.refused("MoveJob", job_id=c, to="sideways")).param == "to"


@on_sqlite
async def test_a_job_can_be_moved_between_the_same_two_again_and_again(running: Running) -> None:
    await running.things()
    first, second, third = [await start(running) for _ in range(3)]
    for _ in range(25):
        for moved, expected in ((third, [first, third, second]), (second, [first, second, third])):
            await running.accepted("MoveJob", job_id=moved, to="up")
            assert [item["id"] for item in await queue(running)] == expected
    ranks = [event.data["rank"] for event in running.events("JobMoved")]
    assert len(set(ranks)) == 50


# Holding ------------------------------------------------------------------------------------------------------------


async def test_a_held_job_is_not_claimed_until_it_is_released(running: Running) -> None:
    await running.things()
    held = await start(running, hold=True)
    assert (await job(running, held))["state"] == "held"
    assert (await job(running, held))["waiting_reason"] == "held until it is released"
    assert await claimed(running) is None
    other = await start(running)
    await running.accepted("HoldJob", job_id=other, reason="the machine is needed")
    assert (await job(running, other))["waiting_reason"] == "held: the machine is needed"
    assert await claimed(running) is None
    await running.accepted("ReleaseJob", job_id=held)
    assert (await job(running, held))["cause"] == "released"
    assert await claimed(running) == held
    refused = await running.refused("HoldJob", job_id=held)
    assert (refused.code, refused.hint) == ("wrong_state", "stop it")
    await running.accepted("StopFineTuningJob", id=other)
    assert (await running.refused("ReleaseJob", job_id=other)).code == "wrong_state"
    assert equals_a_rebuild(running)


# Dependencies -------------------------------------------------------------------------------------------------------


async def test_a_job_waits_until_those_it_depends_on_have_succeeded(running: Running) -> None:
    await running.things()
    first = await start(running, adapter_name="first")
    second = await start(running)
    evaluation = await evaluate(running, depends_on=["first", second])
    found = await running.client.query("GetEvaluationJob", {"id": evaluation})
    assert found["waiting_for"] == [first, second]
    assert found["waiting_reason"].startswith("waits for first (queued), ")
    assert [(other["id"], other["state"]) for other in found["dependencies"]] == [(first, "queued"), (second, "queued")]
    assert (await running.claim(kind="evaluation_job")).assignment is None
    assert await claimed(running) == first
    await succeed(running, first)
    assert (await running.claim(kind="evaluation_job")).assignment is None
    assert await claimed(running) == second
    bells = len(running.events("JobQueued", evaluation))
    await succeed(running, second)
    met = running.events("DependencyMet", evaluation)
    assert [event.data["waiting_for"] for event in met] == [[second], []]
    assert len(running.events("JobQueued", evaluation)) == bells + 1, "the workers are told"
    assignment = (await running.claim(kind="evaluation_job")).assignment
    assert assignment is not None
    assert assignment.job_id == evaluation
    assert equals_a_rebuild(running)


@pytest.mark.parametrize("ending", ["fails", "is stopped"])
async def test_a_job_that_does_not_succeed_holds_its_dependants_with_that_cause(running: Running, ending: str) -> None:
    await running.things()
    first = await start(running, adapter_name="first")
    after = await start(running, depends_on=["first"])
    last = await start(running, depends_on=[after])
    if ending == "fails":
        assert await claimed(running) == first
        await fail(running, first)
    else:
        await running.accepted("StopFineTuningJob", id=first)
    found = await job(running, after)
    assert (found["state"], found["cause"]) == ("held", "dependency_failed")
    word = "failed" if ending == "fails" else "was stopped"
    assert found["waiting_reason"] == f"held: it depends on 'first', which {word}"
    (held,) = running.events("JobHeld")
    (ended,) = running.events("JobFailed" if ending == "fails" else "JobStopped")
    assert held.causation_id == ended.causation_id, "decided with the dependency's end"
    assert held.data["dependency_id"] == first
    assert (await job(running, last))["waiting_reason"].startswith("waits for ")
    refused = await running.refused("ReleaseJob", job_id=after)
    assert refused.code == "wrong_state"
    assert "first" in refused.message
    await running.accepted("SetJobDependencies", job_id=after, depends_on=[])
    assert await claimed(running) is None, "it is held still"
    await running.accepted("ReleaseJob", job_id=after)
    assert await claimed(running) == after
    assert equals_a_rebuild(running)


@on_sqlite
async def test_dependencies_that_make_no_sense_are_refused(running: Running) -> None:
    await running.things()
    first = await start(running, adapter_name="first", hold=True)
    second = await start(running, depends_on=["first"])
    third = await start(running, depends_on=[second])

    async def refused(job_id: str, *others: str) -> Problem:
        return await running.refused("SetJobDependencies", job_id=job_id, depends_on=others)

    assert "itself" in (await refused(first, first)).message
    assert (await refused(first, third)).param == "depends_on.0"
    assert "already" in (await refused(first, third)).message
    assert (await refused(first, "nobody")).code == "not_found"
    await running.accepted("SetJobDependencies", job_id=third, depends_on=["first", second])
    await running.accepted("StopFineTuningJob", id=first)
    both = await running.refused(
        "StartFineTuningJob", base_model_id="starter", dataset_id="faq", depends_on=["first", "nobody"], priority=5000
    )
    assert {(problem.code, problem.param) for problem in both.details or []} == {
        ("wrong_state", "depends_on.0"),
        ("not_found", "depends_on.1"),
        ("invalid", "priority"),
    }


@on_sqlite
async def test_a_job_freed_of_its_last_dependency_is_started(running: Running) -> None:
    await running.things()
    first = await start(running, hold=True)
    second = await start(running, depends_on=[first])
    assert await claimed(running) is None
    await running.accepted("SetJobDependencies", job_id=second, depends_on=[])
    assert running.events("JobQueued", second)[-1].data["cause"] == "dependencies_met"
    assert await claimed(running) == second


# What people write on jobs ------------------------------------------------------------------------------------------


async def test_jobs_have_labels_and_notes_and_are_found_by_them(running: Running) -> None:
    await running.things()
    one = await start(running, adapter_name="faq-one", labels=["Baseline", "baseline", "50%_off"], notes="the first")
    two = await start(running, adapter_name="other", labels=["base"])
    evaluation = await evaluate(running, labels=["baseline"])
    assert (await job(running, one))["labels"] == ["Baseline", "50%_off"]
    assert (await job(running, one))["notes"] == "the first"

    async def found(kind: str = "ListFineTuningJobs", **fields: Any) -> list[str]:
        return [item["id"] for item in (await running.client.query(kind, fields))["items"]]

    assert await found(label="BASELINE") == [one]
    assert await found(label="50%_off") == [one]
    assert await found(label="50__off") == []
    assert await found("ListEvaluationJobs", label="baseline") == [evaluation]
    assert await found(search="FAQ-") == [one]
    assert await found(search="start") == [one, two], "by the model's name"
    assert await found(search="%") == []
    assert await found(order="newest") == [two, one]
    assert await found(order="newest", limit=1, after=None) == [two]
    await running.accepted("LabelJob", job_id=two, labels=["baseline"])
    await running.accepted("NoteJob", job_id="other", notes="better")
    assert await found(label="baseline", state="queued", order="newest") == [two, one]
    assert (await job(running, two))["notes"] == "better"
    await running.accepted("LabelJob", job_id=one, labels=[])
    assert await found(label="baseline") == [two]
    refused = await running.refused("LabelJob", job_id=one, labels=["x" * 51])
    assert refused.param == "labels.0"
    assert (await running.refused("LabelJob", job_id="nobody", labels=[])).code == "not_found"
    assert equals_a_rebuild(running)


# What jobs get of the machines --------------------------------------------------------------------------------------


def gpus(*numbers: int) -> dict[str, Any]:
    devices = [{"id": GPU.format(number), "name": "NVIDIA L4", "memory_gb": 22.5} for number in numbers]
    return {"gpus": [device["name"] for device in devices], "devices": devices}


async def test_two_workers_of_one_machine_do_not_get_the_same_gpu(running: Running) -> None:
    await running.things()
    first, second, third = [await start(running, num_gpu=1) for _ in range(3)]
    one = (await running.claim("w1", **gpus(1, 2))).assignment
    two = (await running.claim("w2", **gpus(1, 2))).assignment
    assert one is not None
    assert two is not None
    assert (one.job_id, one.gpus) == (first, [GPU.format(1)])
    assert (two.job_id, two.gpus) == (second, [GPU.format(2)])
    assert running.events("AttemptStarted")[0].data["gpus"] == [GPU.format(1)]
    reply = await running.claim("w3", **gpus(1, 2))
    assert reply.assignment is None
    assert reply.waiting_reason == "no waiting job fits this worker: the first needs 1 GPU (2 of 2 in use)"
    reason = (await job(running, third))["waiting_reason"]
    assert reason == "waiting for other jobs to end: needs 1 GPU (2 of 2 in use)"
    await succeed(running, first)
    freed = (await running.claim("w3", **gpus(1, 2))).assignment
    assert freed is not None
    assert freed.gpus == [GPU.format(1)]


@on_sqlite
async def test_a_gpu_known_by_its_id_is_one_gpu_whatever_its_machine_is_called(running: Running) -> None:
    """Two containers of one machine have two names."""
    await running.things()
    await start(running, num_gpu=1)
    await start(running, num_gpu=1)
    assert (await running.claim("w1", host="container-1", **gpus(1))).assignment is not None
    assert (await running.claim("w2", host="container-2", **gpus(1))).assignment is None
    assert (await running.claim("w2", host="container-2", **gpus(2))).assignment is not None


@on_sqlite
async def test_gpus_known_by_number_are_those_of_their_machine(running: Running) -> None:
    await running.things()
    for _ in range(3):
        await start(running, num_gpu=1)
    given = [
        (await running.claim(worker, host=host, gpus=["A", "B"])).assignment
        for worker, host in (("w1", "here"), ("w2", "here"), ("w3", "there"))
    ]
    assert [assignment and assignment.gpus for assignment in given] == [["0"], ["1"], ["0"]]


async def test_processors_and_memory_asked_for_do_not_exceed_the_machine(running: Running) -> None:
    await running.things()
    wide = await start(running, num_cpu=3, num_memory=2.0)
    second = await start(running, num_cpu=2)
    large = await start(running, num_memory=6.5)
    assert await claimed(running, "w1") == wide
    assert await claimed(running, "w2") is None, "4 processors, 8 GiB"
    assert (await job(running, second))["waiting_reason"].endswith("needs 2 CPUs (3 of 4 in use)")
    assert (await job(running, large))["waiting_reason"].endswith("needs 6.5 GiB of memory (2 of 8.0 in use)")
    assert (await running.claim("w3", kind="evaluation_job")).assignment is None
    small = await start(running, num_cpu=1, num_memory=6.0)
    assert await claimed(running, "w2") == small, "what fits passes what does not"
    evaluation = await evaluate(running, num_cpu=1)
    assert (await running.claim("e1", kind="evaluation_job")).assignment is None, "over all kinds of workers"
    assert (await running.claim("e1", kind="evaluation_job", host="there")).assignment is not None
    assert (await running.client.query("GetEvaluationJob", {"id": evaluation}))["host"] == "there"
    await succeed(running, wide)
    assert await claimed(running, "w1") == second


@on_sqlite
async def test_workers_say_how_busy_their_machine_is(running: Running) -> None:
    await running.things()
    started = await start(running)
    load = {"cpu_percent": 12.5, "memory_percent": 40.0, "gpus": []}
    await running.claim("w1", load=load)
    (worker,) = (await running.client.query("ListWorkers", {}))["items"]
    assert worker["load"] == load
    busier = load | {"cpu_percent": 99.0, "gpus": [{"id": GPU.format(1), "percent": 80.0, "memory_gb": 3.5}]}
    await running.call("Heartbeat", {"worker_id": "w1", "job_id": started, "attempt": 1, "load": busier})
    (worker,) = (await running.client.query("ListWorkers", {}))["items"]
    assert worker["load"] == busier
