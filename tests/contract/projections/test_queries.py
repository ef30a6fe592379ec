"""The answers of SQL, on both databases: paging, filters, ids or names, and refusals that help."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, select
from tunebus.contracts import queries as ask
from tunebus.contracts.errors import Code, TunebusError
from tunebus.contracts.events import RecordedEvent
from tunebus.contracts.identifiers import new_id, timestamp, utc_now
from tunebus.projections import queries, standing, tables
from tunebus.projections.rebuild import Record, ensure
from tunebus.services.platform import database, deadletters, schema
from tunebus.services.platform.upcasters import UPCASTERS
from tunebus.services.projector.parsing import Rows, parse
from tunebus.services.projector.store import Store

from tests.fixtures.histories import record, seeded_history

HISTORY = seeded_history(11, 600, changes=False)


@pytest.fixture
def studio(engine: Engine) -> Engine:
    ensure(Record(engine, database.read, database.lock_ledger, UPCASTERS.upcast))
    with database.write(engine) as connection:
        record(connection, HISTORY)
    return engine


def answer(engine: Engine, query: ask.Query) -> dict[str, Any]:
    with database.read(engine) as connection:
        return queries.answer(query, connection)


def refusal(engine: Engine, query: ask.Query) -> Any:
    with pytest.raises(TunebusError) as refused:
        answer(engine, query)
    return refused.value.problem


def pages(engine: Engine, ask_for: Callable[[str | None], ask.Query]) -> list[dict[str, Any]]:
    items, after = [], None
    while True:
        page = answer(engine, ask_for(after))
        items += page["items"]
        after = page["next"]
        if after is None:
            return items
        assert page["items"], "an empty page that says there is more"


def added(type: str) -> list[RecordedEvent]:
    return [event for event in HISTORY if event.type == type]


def worker(connection: Connection, **changes: Any) -> None:
    row = {
        "worker_id": "w",
        "kind": "fine_tuning_job",
        "host": "h",
        "capabilities": {"cpus": 2, "memory_gb": 8.0, "gpus": [], "artifact_root": "r"},
        "first_seen": timestamp(),
        "last_seen": timestamp(),
    }
    connection.execute(tables.workers.insert().values(row | changes))


@pytest.mark.parametrize("limit", [1, 3, 1000])
@pytest.mark.parametrize(
    ("kind", "type"),
    [
        (ask.ListDatasets, "DatasetAdded"),
        (ask.ListModels, "ModelAdded"),
        (ask.ListAdapters, "AdapterAdded"),
        (ask.ListPrompts, "PromptAdded"),
        (ask.ListConfigs, "ConfigAdded"),
        (ask.ListFineTuningJobs, "FineTuningJobAdded"),
        (ask.ListEvaluationJobs, "EvaluationJobAdded"),
    ],
)
def test_pages_give_all_in_the_order_added(studio: Engine, kind: Any, type: str, limit: int) -> None:
    found = pages(studio, lambda after: kind(limit=limit, after=after))
    assert [item["id"] for item in found] == [event.entity_id for event in added(type)]
    assert not any("name_key" in item for item in found)


def test_every_query_of_the_contract_is_answered_but_the_registrys_own() -> None:
    known = {*queries.ANSWERS, *queries.TELEMETRY_ANSWERS}
    of_the_registry = {"GetCommandProgress", "ListChanges", "EstimateFineTuningJob"}
    with_files = {
        "PreviewDataset", "GeneratePrompt", "RenderPrompt", "GetEvaluationRows", "CompareEvaluations",
        "ExportEvaluations", "InspectDataset", "ListDatasetFindings",
    }  # fmt: skip
    assert {*ask.QUERIES} - known == of_the_registry | with_files
    assert known <= {*ask.QUERIES}


def test_a_page_never_outgrows_a_message(studio: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queries, "ANSWER_BYTES", 2000)
    first = answer(studio, ask.ListDatasets(limit=1000))
    assert 0 < len(first["items"]) < len(added("DatasetAdded"))
    found = pages(studio, lambda after: ask.ListDatasets(limit=1000, after=after))
    assert len(found) == len(added("DatasetAdded"))


@pytest.mark.parametrize("cursor", ["x", "-1", "1.5", "", "9" * 30, "１"])
def test_a_cursor_that_is_none_is_refused(studio: Engine, cursor: str) -> None:
    for query in (ask.ListDatasets(after=cursor), ask.ListEvents(after=cursor), ask.ListWorkers(after=cursor)):
        assert refusal(studio, query).param == "after"


def test_filters(studio: Engine) -> None:
    for item in answer(studio, ask.ListDatasets(type="csv", limit=1000))["items"]:
        assert item["type"] == "csv"
    for item in answer(studio, ask.ListConfigs(model_family="llama", limit=1000))["items"]:
        assert item["model_family"] == "llama"
    states = {item["state"] for item in answer(studio, ask.ListFineTuningJobs(limit=1000))["items"]}
    assert len(states) > 2
    for state in states:
        assert {j["state"] for j in answer(studio, ask.ListFineTuningJobs(state=state))["items"]} == {state}
    parent = added("EvaluationJobAdded")[0].data["parent_id"]
    assert {j["parent_id"] for j in answer(studio, ask.ListEvaluationJobs(parent_id=parent))["items"]} == {parent}
    everything = answer(studio, ask.ListEvaluationJobs(limit=1000))["items"]
    adapted = next(job for job in everything if job["adapter_id"])
    for field, value in (("adapter_id", adapted["adapter_id"]), ("model_id", adapted["base_model_id"])):
        column = "base_model_id" if field == "model_id" else field
        found = answer(studio, ask.ListEvaluationJobs(limit=1000, **{field: value}))["items"]
        assert [job["id"] for job in found] == [job["id"] for job in everything if job[column] == value]
    scored = answer(studio, ask.ListEvaluationJobs(limit=1000, typed=False))["items"]
    typed = answer(studio, ask.ListEvaluationJobs(limit=1000, typed=True))["items"]
    assert {job["id"] for job in scored} == {job["id"] for job in everything if job["dataset_id"]}
    assert {job["id"] for job in typed} == {job["id"] for job in everything if not job["dataset_id"]}
    unknown = refusal(studio, ask.ListFineTuningJobs(state="runing"))
    assert (unknown.code, unknown.param, unknown.hint) == (Code.INVALID, "state", "did you mean 'running'?")


def test_things_are_found_by_their_words_the_newest_first(studio: Engine) -> None:
    every = answer(studio, ask.ListDatasets(limit=1000))["items"]
    names = [item["name"] for item in every]
    word = "break"
    found = answer(studio, ask.ListDatasets(search=f" {word.upper()} ", limit=1000))["items"]
    assert found == [item for item in every if word in f"{item['name']} {item['description']}".lower()]
    assert 0 < len(found) < len(every)
    newest = pages(studio, lambda after: ask.ListDatasets(order="newest", limit=1, after=after))
    assert [item["name"] for item in newest] == names[::-1]
    assert answer(studio, ask.ListDatasets(search="100%"))["items"] == []


def test_what_refers_to_a_thing_is_listed_with_what_stands_in_the_way(studio: Engine) -> None:
    datasets = {item["id"]: item["name"] for item in answer(studio, ask.ListDatasets(limit=1000))["items"]}
    jobs = [
        job
        for kind in (ask.ListFineTuningJobs, ask.ListEvaluationJobs, ask.ListExportJobs)
        for job in answer(studio, kind(limit=1000))["items"]
    ]
    prompts = answer(studio, ask.ListPrompts(limit=1000))["items"]
    for dataset_id, name in datasets.items():
        expected = {
            job["id"]: job["state"] not in tables.ENDED_STATES for job in jobs if job["dataset_id"] == dataset_id
        }
        expected |= {prompt["id"]: True for prompt in prompts if prompt["dataset_id"] == dataset_id}
        found = answer(studio, ask.ListUses(aggregate="dataset", id=name, limit=200))
        assert {item["id"]: item["blocks"] for item in found["items"]} == expected
        assert found["total"] == len(expected)
        assert all(item["name"] for item in found["items"])
    assert any(job["dataset_id"] in datasets for job in jobs)
    assert refusal(studio, ask.ListUses(aggregate="prompt", id="nope")).code == Code.NOT_FOUND


def test_a_filter_by_reference_takes_a_name_and_refuses_an_unknown_one(studio: Engine) -> None:
    prompt = next(event for event in added("PromptAdded") if event.data["dataset_id"] in {e.entity_id for e in HISTORY})
    dataset = next(event for event in added("DatasetAdded") if event.entity_id == prompt.data["dataset_id"])
    by_id = answer(studio, ask.ListPrompts(dataset_id=dataset.entity_id))
    by_name = answer(studio, ask.ListPrompts(dataset_id=f"  {dataset.data['name']} "))
    assert by_id["items"]
    assert by_id == by_name
    assert {item["dataset_name"] for item in by_id["items"]} == {dataset.data["name"]}
    assert refusal(studio, ask.ListPrompts(dataset_id="nothing")).param == "dataset_id"


@pytest.mark.parametrize(
    ("kind", "type", "name"),
    [
        (ask.GetDataset, "DatasetAdded", "name"),
        (ask.GetModel, "ModelAdded", "name"),
        (ask.GetAdapter, "AdapterAdded", "name"),
        (ask.GetPrompt, "PromptAdded", "name"),
        (ask.GetFineTuningJob, "FineTuningJobAdded", "adapter_name"),
    ],
)
def test_an_entity_is_found_by_id_and_by_name(studio: Engine, kind: Any, type: str, name: str) -> None:
    event = added(type)[1]
    found = answer(studio, kind(id=event.entity_id))
    assert found["id"] == event.entity_id
    assert found[name] == event.data[name]
    assert answer(studio, kind(id=event.data[name])) == found


def test_an_unknown_name_is_refused_with_the_nearest(studio: Engine) -> None:
    problem = refusal(studio, ask.GetFineTuningJob(id="tuned0"))
    assert (problem.code, problem.param, problem.hint) == (Code.NOT_FOUND, "id", "did you mean 'tuned-0'?")
    assert "'tuned0'" in problem.message
    parent = added("EvaluationJobAdded")[0].data["parent_id"]
    assert "parent" in (refusal(studio, ask.GetEvaluationJob(id=parent)).hint or "")
    for query in (ask.GetConfig(id="x"), ask.GetDeadLetter(id=5), ask.GetCommandOutcome(command_id=new_id())):
        assert refusal(studio, query).code == Code.NOT_FOUND


def test_a_job_shows_its_recipe_attempts_and_checkpoints(studio: Engine) -> None:
    job_id = next(event.entity_id for event in HISTORY if event.type == "CheckpointRecorded")
    of_job = [event for event in HISTORY if event.entity_id == job_id]
    kind = ask.GetFineTuningJob if of_job[0].aggregate == "fine_tuning_job" else ask.GetEvaluationJob
    found = answer(studio, kind(id=job_id))
    assert found["recipe"] == of_job[0].data["recipe"]
    assert [a["attempt"] for a in found["attempts_made"]] == [
        event.data["attempt"] for event in of_job if event.type == "AttemptStarted"
    ]
    assert [(c["attempt"], c["step"]) for c in found["checkpoints"]] == [
        (event.data["attempt"], event.data["step"]) for event in of_job if event.type == "CheckpointRecorded"
    ]
    assert found["version"] == of_job[-1].version


def test_events_by_position_aggregate_entity_and_type(studio: Engine) -> None:
    assert [e["position"] for e in pages(studio, lambda after: ask.ListEvents(limit=77, after=after))] == [
        event.position for event in HISTORY
    ]
    middle = HISTORY[300].position
    assert answer(studio, ask.ListEvents(**{"from": middle}))["items"][0]["position"] == middle
    jobs = answer(studio, ask.ListEvents(aggregate="fine_tuning_job", limit=1000))["items"]
    assert {item["aggregate"] for item in jobs} == {"fine_tuning_job"}
    event = added("FineTuningJobAdded")[0]
    for reference in (event.entity_id, event.data["adapter_name"]):
        found = answer(studio, ask.ListEvents(aggregate="fine_tuning_job", entity_id=reference, limit=1000))["items"]
        assert [item["version"] for item in found] == list(range(1, len(found) + 1))
        assert {item["entity_id"] for item in found} == {event.entity_id}
    typed = answer(studio, ask.ListEvents(type="JobQueued", limit=1000))["items"]
    assert len(typed) == len(added("JobQueued"))
    assert refusal(studio, ask.ListEvents(aggregate="dataset", entity_id="nobody")).param == "entity_id"


def test_events_backwards_by_actor_moment_text_and_what_they_came_of(studio: Engine) -> None:
    def positions(**wanted: Any) -> list[int]:
        found = pages(studio, lambda after: ask.ListEvents(limit=77, after=after, **wanted))
        return [item["position"] for item in found]

    assert positions(newest=True) == [event.position for event in reversed(HISTORY)]
    middle = HISTORY[300]
    assert positions(since=middle.position) == [event.position for event in HISTORY[301:]]
    assert positions(since=middle.recorded_at) == [e.position for e in HISTORY if e.recorded_at > middle.recorded_at]
    for name in ("actor", "correlation_id", "causation_id"):
        value = next(getattr(event, name) for event in HISTORY if getattr(event, name))
        assert positions(**{name: value}) == [event.position for event in HISTORY if getattr(event, name) == value]
        assert positions(**{name: f"{value}-no-such"}) == []
    event = added("FineTuningJobAdded")[0]
    assert answer(studio, ask.ListEvents(search=event.data["adapter_name"], named=True))["items"][0]["entity_name"]
    named = positions(search=event.data["adapter_name"].upper(), newest=True)
    assert event.position in named
    assert len(named) < len(HISTORY)
    assert positions(search="100%_no such") == []
    assert set(positions(search="jobqueued")) >= {queued.position for queued in added("JobQueued")}


def test_the_record_as_a_whole(studio: Engine) -> None:
    found = answer(studio, ask.GetDatabase())
    assert found["kind"] == studio.dialect.name
    assert (found["events"], found["position"]) == (len(HISTORY), HISTORY[-1].position)
    assert (found["first_recorded_at"], found["last_recorded_at"]) == (HISTORY[0].recorded_at, HISTORY[-1].recorded_at)
    assert found["bytes"] > 100 * len(HISTORY)
    assert "live" in {one["status"] for one in found["projections"]}


def test_a_kept_outcome_is_found_whatever_the_case_of_its_id(studio: Engine) -> None:
    outcome = {"command_id": "0197a3f2-7c00-7000-8000-00000000000a", "outcome": "accepted"}
    with database.write(studio) as connection:
        row = {"command_id": outcome["command_id"], "body_hash": "h", "outcome": outcome, "handled_at": timestamp()}
        connection.execute(schema.inbox.insert().values(row))
    assert answer(studio, ask.GetCommandOutcome(command_id=outcome["command_id"].upper())) == outcome


def test_dead_letters_show_what_was_sent(studio: Engine) -> None:
    with database.write(studio) as connection:
        ids = [
            deadletters.record(
                connection, stream="S", seq=seq, subject="s", data=data, reason="malformed", headers={"a": "b"}
            )
            for seq, data in enumerate([b'{"a": 1}', b"\xff\x00"], 1)
        ]
    page = answer(studio, ask.ListDeadLetters(limit=1))
    assert [item["id"] for item in page["items"]] == ids[:1]
    assert page["items"][0]["bytes"] == 8
    assert "data" not in page["items"][0]
    assert [i["id"] for i in pages(studio, lambda after: ask.ListDeadLetters(limit=1, after=after))] == ids
    text, binary = (answer(studio, ask.GetDeadLetter(id=id)) for id in ids)
    assert (text["data"], text["encoding"], text["headers"]) == ('{"a": 1}', "utf-8", {"a": "b"})
    assert (binary["data"], binary["encoding"], binary["bytes"]) == ("/wA=", "base64", 2)
    assert answer(studio, ask.GetOverview())["counts"]["dead_letters"] == 2


def test_the_largest_numbers_that_a_query_takes_find_nothing(studio: Engine) -> None:
    assert answer(studio, ask.ListEvents(from_position=2**63 - 1))["items"] == []
    assert answer(studio, ask.ListEvents(as_of=2**63 - 1, since=2**63 - 1))["items"] == []
    assert refusal(studio, ask.GetDeadLetter(id=2**63 - 1)).code == Code.NOT_FOUND


def test_only_workers_heard_of_lately_are_listed(studio: Engine) -> None:
    long_ago = timestamp(utc_now() - timedelta(seconds=standing.PRESENT_SECONDS + 5))
    with database.write(studio) as connection:
        worker(connection, worker_id="gone", last_seen=long_ago)
        for number in range(3):
            worker(connection, worker_id=f"w{number}", first_seen=f"2026-01-0{number + 1}")
    found = pages(studio, lambda after: ask.ListWorkers(limit=2, after=after))
    assert [item["worker_id"] for item in found] == ["w0", "w1", "w2"]


def test_a_waiting_job_says_why(studio: Engine) -> None:
    table = tables.fine_tuning_jobs

    def reasons() -> dict[str, str]:
        found = answer(studio, ask.ListFineTuningJobs(limit=1000))["items"]
        assert all((job["waiting_reason"] is None) == (job["state"] not in ("queued", "held")) for job in found)
        return {job["id"]: job["waiting_reason"] for job in found if job["state"] == "queued"}

    with database.write(studio) as connection:
        ids = list(connection.scalars(select(table.c.id).order_by(table.c.position).limit(3)))
        queued = {"state": "queued", "num_gpu": 0, "num_cpu": None, "num_memory": None, "priority": 0}
        connection.execute(table.update().values(state="stopped"))
        connection.execute(table.update().where(table.c.id.in_(ids)).values(queued))
    assert set(reasons().values()) == {"no trainer is running"}

    with database.write(studio) as connection:
        worker(connection)
    assert [reasons()[job_id] for job_id in ids] == [
        "waiting for a free trainer",
        "waiting for a free trainer, 1 job ahead",
        "waiting for a free trainer, 2 jobs ahead",
    ]

    with database.write(studio) as connection:
        connection.execute(table.update().where(table.c.id == ids[2]).values(num_gpu=2, num_memory=64.0, priority=5))
    found = reasons()
    assert found[ids[2]] == "no trainer fits: needs 2 GPUs (has none) and 64 GiB of memory (has 8.0)"


def test_the_overview_counts_and_sorts_the_jobs(studio: Engine) -> None:
    overview = answer(studio, ask.GetOverview())
    listed = answer(studio, ask.ListFineTuningJobs(limit=1000))["items"]
    assert overview["counts"]["datasets"] == len(added("DatasetAdded"))
    assert sum(overview["counts"]["fine_tuning_jobs"].values()) == len(listed)
    assert overview["position"] == HISTORY[-1].position
    assert {job["state"] for job in overview["running"]} <= {"starting", "running", "stopping"}
    assert {job["state"] for job in overview["waiting"]} <= {"queued", "held", "interrupted"}
    assert {job["state"] for job in overview["failed"]} == {"failed"}
    finished = [job["finished_at"] for job in overview["recent"]]
    assert finished == sorted(finished, reverse=True)
    kinds = {job["kind"] for part in ("running", "waiting", "recent") for job in overview[part]}
    assert kinds == set(tables.JOB_TABLES)


def test_live_progress_is_shown_of_the_attempt_that_runs(studio: Engine) -> None:
    store = Store(studio)
    store.create()
    table = tables.fine_tuning_jobs
    with database.write(studio) as connection:
        job_id = added("FineTuningJobAdded")[0].entity_id
        connection.execute(table.update().where(table.c.id == job_id).values(state="running", attempt=2))
        listed = tables.all_jobs
        connection.execute(listed.update().where(listed.c.id == job_id).values(state="running"))
        row = connection.execute(select(table).where(table.c.id == job_id)).mappings().one()

    def telemetry(attempt: int, step: int) -> Rows:
        body = {"k": "progress", "n": 1, "t": 1.0, "phase": "training", "step": step, "total": 100, "rate": 2.0}
        text = {"job_id": row["id"], "attempt": attempt, "records": [body]}
        return parse(json.dumps(text).encode())[0]

    def shown(query: ask.Query) -> dict[str, Any]:
        with database.read(studio) as connection:
            return queries.answer(query, connection, connection)

    before = shown(ask.GetFineTuningJob(id=row["id"]))["progress"]
    assert (before["step"], before["rate"]) == (row["step"], None)
    store.write(telemetry(1, 50))
    assert shown(ask.GetFineTuningJob(id=row["id"]))["progress"] == before, "an older attempt's progress is shown"
    store.write(telemetry(2, 77))
    job = shown(ask.GetFineTuningJob(id=row["id"]))
    assert (job["progress"]["step"], job["progress"]["rate"], job["step"]) == (77, 2.0, 77)
    listed = {item["id"]: item for item in shown(ask.ListFineTuningJobs(limit=1000))["items"]}
    assert listed[row["id"]]["progress"]["step"] == 77
    overview = {item["id"]: item for item in shown(ask.GetOverview())["running"]}
    assert overview[row["id"]]["progress"]["step"] == 77

    metrics = shown(ask.GetMetrics(job_id=row["adapter_name"]))
    assert (metrics["job_id"], metrics["kind"], metrics["progress"]["step"]) == (row["id"], "fine_tuning_job", 77)
    assert shown(ask.GetLog(job_id=row["id"]))["ended"] is False
    with pytest.raises(TunebusError, match="there is no attempt 99"):
        shown(ask.GetLog(job_id=row["id"], attempt=99))
    assert refusal(studio, ask.GetMetrics(job_id=row["id"])).code == Code.UNAVAILABLE


def every_job(engine: Engine) -> list[dict[str, Any]]:
    kinds = (ask.ListFineTuningJobs, ask.ListEvaluationJobs, ask.ListExportJobs)
    return [job for kind in kinds for job in pages(engine, lambda after, kind=kind: kind(limit=1000, after=after))]


def seconds(job: dict[str, Any]) -> float | None:
    if not job["started_at"] or not job["finished_at"]:
        return None
    began, ended = (datetime.fromisoformat(job[name]) for name in ("started_at", "finished_at"))
    return (ended - began).total_seconds()


SORTED_BY: dict[str, Callable[[dict[str, Any]], Any]] = {
    "created": lambda job: job["position"],
    "updated": lambda job: job["updated_at"],
    "name": lambda job: (job["adapter_name"] or job["base_model_name"] or "").lower() or None,
    "state": lambda job: tables.STATES.index(job["state"]),
    "duration": seconds,
    "loss": lambda job: job["metrics"].get("eval_loss", job["metrics"].get("loss")),
}


@pytest.mark.parametrize("descending", [True, False])
@pytest.mark.parametrize("sort", sorted(SORTED_BY))
def test_jobs_of_every_kind_are_one_list_in_any_order(studio: Engine, sort: Any, descending: bool) -> None:
    jobs = {job["id"]: job for job in every_job(studio)}
    found = pages(studio, lambda after: ask.ListAllJobs(sort=sort, descending=descending, limit=37, after=after))
    assert sorted(job["id"] for job in found) == sorted(jobs)
    assert answer(studio, ask.ListAllJobs(limit=1))["total"] == len(jobs)
    detail = queries._DETAIL
    assert found == [{k: v for k, v in jobs[job["id"]].items() if k not in detail} for job in found]
    keys = [SORTED_BY[sort](job) for job in found]
    present = [key for key in keys if key is not None]
    assert keys[len(present) :] == [None] * (len(keys) - len(present)), "those that lack it come last"
    if sort != "name":  # whose order is the database's own
        assert present == sorted(present, reverse=descending)


def test_the_list_of_all_jobs_is_chosen_as_asked_and_counts_what_it_chose(studio: Engine) -> None:
    jobs = every_job(studio)
    some = next(job for job in reversed(jobs) if job["base_model_name"] and job["dataset_name"])
    model, dataset = some["base_model_id"], some["dataset_id"]
    choices: list[tuple[dict[str, Any], Callable[[dict[str, Any]], bool]]] = [
        ({"kinds": ["evaluation_job"]}, lambda job: job["kind"] == "evaluation_job"),
        ({"states": ["succeeded", "queued"]}, lambda job: job["state"] in ("succeeded", "queued")),
        ({"model_id": some["base_model_name"]}, lambda job: job["base_model_id"] == model),
        ({"dataset_id": dataset, "kinds": ["evaluation_job"]},
         lambda job: job["dataset_id"] == dataset and job["kind"] == "evaluation_job"),
        ({"search": " TUNED-1 "}, lambda job: "tuned-1" in (job["adapter_name"] or "").lower()),
        ({"label": "nobody's"}, lambda job: False),
    ]  # fmt: skip
    for wanted, holds in choices:
        page = answer(studio, ask.ListAllJobs(**wanted, limit=1000))
        assert {job["id"] for job in page["items"]} == {job["id"] for job in jobs if holds(job)}, wanted
        assert page["total"] == len(page["items"])
        assert page["next"] is None
    assert refusal(studio, ask.ListAllJobs(states=["runing"])).hint == "did you mean 'running'?"
    assert refusal(studio, ask.ListAllJobs(model_id="nobody")).param == "model_id"
    assert answer(studio, ask.ListAllJobs(after="100000"))["items"] == []


def test_a_list_of_all_jobs_shows_the_course_of_each_loss(engine: Engine, studio: Engine, tmp_path: Path) -> None:
    measured = database.open_engine(f"sqlite:///{tmp_path}/telemetry.db", synchronous="NORMAL")
    store = Store(measured)
    store.create()
    first, second, third = [event.entity_id for event in added("FineTuningJobAdded")][:3]
    for job_id, steps in ((first, 20), (second, 9000)):
        records = [
            {"k": "metric", "n": n, "t": 0.0, "step": n, "values": {"loss": 1000.0 - n, "lr": 0.1}}
            for n in range(steps)
        ]
        body = {"v": 1, "job_id": job_id, "attempt": 1, "records": records}
        store.write(parse(json.dumps(body).encode())[0])
    with database.read(measured) as telemetry, database.read(engine) as ledger:
        page = queries.answer(ask.ListAllJobs(kinds=["fine_tuning_job"], limit=1000), ledger, telemetry)
    losses = {job["id"]: job["losses"] for job in page["items"]}
    assert losses[first] == [1000.0 - n for n in range(20)]
    assert 20 <= len(losses[second]) <= 40
    assert losses[second] == sorted(losses[second], reverse=True)
    assert (losses[second][0], losses[second][-1]) == (1000.0, -7999.0)
    assert losses[third] == []
    measured.dispose()
