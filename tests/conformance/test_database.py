"""Conformance: the record as a whole. Exported, imported, seen as of any moment, backed up; on both databases.

An import goes into a studio on the other kind of database, so that each is a source and a target.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import secrets
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from tunebus.contracts import queries, strictjson
from tunebus.contracts.errors import Problem, TunebusError
from tunebus.contracts.events import RecordedEvent
from tunebus.contracts.identifiers import new_id
from tunebus.contracts.subjects import Subjects
from tunebus.projections.tables import ENDED_STATES, JOB_TABLES, LIVE_STATES
from tunebus.projections.verify import verify
from tunebus.services.platform import database, topology
from tunebus.services.platform.connection import BusClient
from tunebus.services.platform.home import STARTER_PACK
from tunebus.services.platform.ledger import events_after
from tunebus.services.platform.settings import Settings, load_settings
from tunebus.services.platform.upcasters import UPCASTERS
from tunebus.services.registry import backup

from tests.fixtures.databases import postgresql_database
from tests.fixtures.histories import record, seeded_history
from tests.fixtures.registry import MODEL, Running, serving

Document = dict[str, Any]

TEMPLATES = {
    "prompt_template": "{input}\n{completion}",
    "input_template": "{question}",
    "completion_template": "{answer}",
}
HELD = {"state", "cause", "message", "hint", "version", "updated_at", "worker_id", "host", "queued_at"}


@pytest.fixture
async def settings_elsewhere(
    request: pytest.FixtureRequest, tmp_path: Path, database_url: str, nats_url: str, nats_client: BusClient
) -> AsyncIterator[Settings]:
    """Of a studio with a namespace and a home of its own, and an empty database of the other kind."""
    subjects = Subjects(f"t{secrets.token_hex(5)}")
    files = tmp_path / "files elsewhere"
    files.mkdir()
    with contextlib.ExitStack() as stack:
        url = f"sqlite:///{tmp_path / 'elsewhere.db'}"
        if database_url.startswith("sqlite"):
            url = stack.enter_context(postgresql_database(request.getfixturevalue("postgresql")))
        settings = load_settings(
            {},
            home=tmp_path / "home elsewhere",
            nats_url=nats_url,
            namespace=subjects.namespace,
            database_url=url,
            dataset_roots=(files, STARTER_PACK),
        )
        await topology.apply(nats_client, subjects)
        yield settings
        for stream in topology.streams(subjects):
            with contextlib.suppress(Exception):
                await nats_client.jsm().delete_stream(stream.name)


@pytest.fixture
async def elsewhere(settings_elsewhere: Settings, nats_url: str) -> AsyncIterator[Running]:
    """An empty studio on the other kind of database."""
    async with serving(settings_elsewhere, nats_url) as (registry, running):
        running.registry = registry
        yield running


def whole_history(length: int) -> list[RecordedEvent]:
    """A history in which nothing refers to what never was."""
    nothing = "00000000-0000-0000-0000-000000000000"
    for seed in range(200):
        events = seeded_history(seed, length)
        if not any(nothing in str(event.data) for event in events):
            return events
    raise AssertionError("no seed makes such a history")


async def exported(studio: Running, folder: Path, **asked: Any) -> Document:
    """The document of an export, downloaded and parsed."""
    found = await studio.client.query("GetDatabaseExport", {"id": await studio.accepted("ExportDatabase", **asked)})
    file = folder / f"{new_id()}.json"
    await studio.client.download(found["object"], file)
    assert hashlib.sha256(file.read_bytes()).hexdigest() == found["sha256"]
    assert file.stat().st_size == found["bytes"]
    document: Document = json.loads(file.read_bytes())
    assert (document["position"], len(document["events"])) == (found["position"], found["events"])
    return document


async def sent(studio: Running, folder: Path, document: Document | bytes) -> str:
    """The name under which a document is uploaded."""
    file = folder / f"{new_id()}.json"
    file.write_bytes(document if isinstance(document, bytes) else strictjson.dumps(document))
    return await studio.client.upload(file)


async def imported(studio: Running, folder: Path, document: Document | bytes) -> Document:
    import_id = await studio.accepted("ImportDatabase", upload=await sent(studio, folder, document))
    return await studio.client.query("GetDatabaseImport", {"id": import_id})


async def refusal(studio: Running, folder: Path, document: Document | bytes) -> Problem:
    return await studio.refused("ImportDatabase", upload=await sent(studio, folder, document))


def chained(document: Document) -> Document:
    """The document with every hash made anew, as somebody would who wants to be believed."""
    header = {name: document[name] for name in ("format", "version", "exported_at", "studio", "position", "count")}
    running = ""

    def add(value: Any) -> str:
        nonlocal running
        running = hashlib.sha256(running.encode() + strictjson.canonical(value)).hexdigest()
        return running

    events = []
    for event in document["events"]:
        bare = {name: value for name, value in event.items() if name != "hash"}
        events.append({**bare, "hash": add(bare)})
    made: Document = {**header, "events": events}
    if "projections" in document:
        made["projections"] = document["projections"]
        for table, rows in document["projections"].items():
            for row in rows:
                add({"row": row, "table": table})
    return {**made, "hash": add(header)}


def rows_of(document: Document, *, without: set[str] = frozenset()) -> dict[str, list[Document]]:  # type: ignore[assignment]
    """The projections of a document in order, but for positions and the ranks made of them, and `without` for jobs that
    had not ended."""
    found = {}
    for table, rows in document["projections"].items():
        if rows and "position" in rows[0]:
            rows = sorted(rows, key=lambda row: row["position"])
        found[table] = [
            {
                name: value
                for name, value in row.items()
                if name not in ("position", "rank") and not (row.get("state") in LIVE_STATES and name in without)
            }
            for row in rows
        ]
    return found


# 30: export and import ------------------------------------------------------------------------------------------------


async def test_conformance_30_an_import_into_an_empty_studio_reproduces_every_row(
    running: Running, elsewhere: Running, tmp_path: Path
) -> None:
    history = whole_history(400)
    with database.write(running.engine) as connection:
        record(connection, history)
    document = await exported(running, tmp_path, projections=True)
    assert [event["event_id"] for event in document["events"]] == [event.event_id for event in history]
    assert chained(document) == document, "the hashes are as they are documented"

    found = await imported(elsewhere, tmp_path, document)
    assert (found["added"], found["skipped"], found["refused"]) == (len(history), 0, 0)
    copy = await exported(elsewhere, tmp_path, projections=True)
    live = [row["id"] for table in JOB_TABLES.values() for row in document["projections"][table.name]
            if row["state"] in LIVE_STATES]  # fmt: skip
    assert found["held"] == len(live)
    assert rows_of(copy, without=HELD) == rows_of(document, without=HELD)
    taken = copy["events"][: len(history)]
    for ours, theirs in zip(taken, document["events"], strict=True):
        bare = {"position": None, "hash": None}
        assert {**ours, **bare} == {**theirs, **bare}
    positions = [event["position"] for event in copy["events"]]
    assert positions == sorted(set(positions))
    for kind in ("Datasets", "Models", "Prompts", "Adapters", "Configs"):
        left, right = [await studio.client.query(f"List{kind}", {"limit": 1000}) for studio in (running, elsewhere)]
        assert [item["id"] for item in left["items"]] == [item["id"] for item in right["items"]]


async def test_conformance_30_an_import_over_existing_data_skips_what_is_there(
    running: Running, elsewhere: Running, tmp_path: Path
) -> None:
    await running.things()
    first = await exported(running, tmp_path)
    own = elsewhere.write("own.jsonl", '{"question": "q", "answer": "a"}\n')
    await elsewhere.accepted("AddDataset", name="own", path=str(own))
    assert (await imported(elsewhere, tmp_path, first))["added"] == 2
    await running.accepted("AddPrompt", name="p", dataset_id="faq", **TEMPLATES)
    await running.accepted("RenameDataset", id="faq", name="faq two")
    second = await exported(running, tmp_path)
    found = await imported(elsewhere, tmp_path, second)
    # The first export is an event as well, and so is history.
    assert (found["added"], found["skipped"], found["refused"]) == (3, 2, 0)
    assert found["left_out"] == []
    again = await imported(elsewhere, tmp_path, second)
    assert (again["added"], again["skipped"], again["refused"]) == (0, 5, 0)
    names = [item["name"] for item in (await elsewhere.client.list_datasets()).items]
    assert names == ["own", "faq two"]
    assert [item["dataset_name"] for item in (await elsewhere.client.list_prompts()).items] == ["faq two"]


async def test_conformance_30_a_document_with_anything_wrong_is_refused_whole(
    running: Running, elsewhere: Running, tmp_path: Path
) -> None:
    await running.things()
    await running.accepted("StartFineTuningJob", base_model_id="starter", dataset_id="faq", adapter_name="a")
    good = await exported(running, tmp_path, projections=True)
    text = strictjson.dumps(good)

    def changed(change: Callable[[Document], Any]) -> Document:
        document: Document = json.loads(text)
        change(document)
        return chained(document)

    def event(**fields: Any) -> Document:
        return changed(lambda document: document["events"][0].update(fields))

    def data(number: int = 0, **fields: Any) -> Document:
        return changed(lambda document: document["events"][number]["data"].update(fields))

    job = next(n for n, found in enumerate(good["events"]) if found["type"] == "FineTuningJobAdded")
    unhashed = json.loads(text)
    unhashed["events"][0]["data"]["description"] = "another"
    cases: dict[str, tuple[Document | bytes, str, str]] = {
        "a changed event": (strictjson.dumps(unhashed), "conflict", "hash"),
        "a changed row": (text.replace(b'"rows":20', b'"rows":21'), "conflict", "hash"),
        "cut short": (text[:-200], "malformed", "broken"),
        "not JSON": (b"PK\x03\x04 not JSON", "malformed", "broken"),
        "a pickle": (b"\x80\x04\x95cos\nsystem\n(S'touch /tmp/x'\ntR.", "malformed", "UTF-8"),
        "another document": (b'{"name": "a dataset"}', "malformed", "'format'"),
        "a newer format": (chained({**good, "version": 2}), "not_supported", "version 2"),
        "an unknown event": (event(type="DatasetAded"), "unknown_type", "DatasetAded"),
        "a newer event": (event(schema_version=9), "not_supported", "newer"),
        "an event of another's": (event(aggregate="model"), "invalid", "does not happen to"),
        "an id that is none": (event(entity_id="../../etc"), "invalid", "UUID"),
        "a gap in versions": (event(version=2), "invalid", "gap"),
        "a field that is wrong": (data(rows="20"), "invalid", "rows"),
        "an unknown member": (event(exec="import os"), "invalid", "exec"),
        "an unknown table": (
            changed(lambda document: document["projections"].update(users=[{"id": "x"}])), "invalid", "users",
        ),
        "twice the same event": (
            changed(
                lambda document: (document["events"].append({**document["events"][0], "position": 10**6}),
                                  document.update(count=document["count"] + 1))
            ),
            "invalid",
            "twice",
        ),
        "a duplicate key": (text.replace(b'"studio"', b'"format":"tunebus-database","studio"'), "malformed", "broken"),
        "deep nesting": (text.replace(b'"meta":{}', b'"meta":' + b'{"a":' * 200 + b"1" + b"}" * 200, 1),
                         "malformed", "nested"),
        "a folder that is not the job's": (data(job, out_dir="artifact:"), "not_permitted", "out_dir"),
        "a file that climbs": (data(0, location="artifact:../../etc/passwd"), "not_permitted", "location"),
    }  # fmt: skip
    for what, (document, code, word) in cases.items():
        problem = await refusal(elsewhere, tmp_path, document)
        assert (problem.code, problem.param) == (code, "upload"), (what, problem)
        assert word in problem.message, (what, problem)
    assert (await elsewhere.client.list_events()).items == []
    missing = await elsewhere.refused("ImportDatabase", upload="no such thing")
    assert (missing.code, missing.param) == ("not_found", "upload")


async def test_conformance_30_whatever_a_command_was_accepted_with_can_be_exported_and_imported(
    running: Running, elsewhere: Running, tmp_path: Path
) -> None:
    deep = "[" * 61 + "]" * 61
    bodies: list[Any] = [
        {"raw": 2**63 - 1, "small": -(2**63) + 1, "float": 1.7976931348623157e308, "minus": -0.0},
        {"raw": 2**70},
        json.dumps({"raw": 2**70}),
        f"y: {2**70}",
        f"y: -{2**64}",
        "y: 0x" + "f" * 4000,
        "y: .nan",
        "y: -.inf",
        'y: "\\0"',
        'y: "\\uD83D"',
        'y: "\\U0001F600"',
        f"y: {deep}",
        json.loads(f'{{"y": {deep}}}'),
        "y: [" + "~," * 49_000 + "~]",
        {"y": ["x" * 99_000] * 10},
        "? y\n: 1\n",
        "true: 1",
        "'': 1",
        "y: 1_000\nz: 1:30\nsince: 2026-01-01\nis: yes",
    ]
    accepted = 0
    for number, body in enumerate(bodies):
        outcome = await running.client.send("AddConfig", {"type": "custom", "config": body})
        problem = outcome.error
        assert problem is None or (problem.code in ("invalid", "malformed") and problem.message), (number, problem)
        accepted += problem is None
    await running.things()
    long = ["q" * 900_000 + ".q_proj"]  # stands twice in the event: as it was asked for, and in the recipe
    await running.accepted(
        "StartFineTuningJob",
        base_model_id="starter",
        dataset_id="faq",
        adapter_name="long",
        lora={"target_modules": long},
    )
    document = await exported(running, tmp_path, projections=True)
    assert accepted == sum(event["type"] == "ConfigAdded" for event in document["events"]) > 6
    # What studios recorded before whole numbers were bounded is read all the same.
    document["events"][0]["data"]["config"]["raw"] = 2**200
    found = await imported(elsewhere, tmp_path, chained(document))
    assert found["added"] == found["events"] == len(document["events"])
    assert (await elsewhere.client.list_configs()).items[0]["config"]["raw"] == 2**200
    document["events"][0] |= {"event_id": new_id(), "entity_id": new_id(), "position": 2**70}
    assert "position" in (await refusal(elsewhere, tmp_path, chained(document))).message


async def test_conformance_30_a_path_in_a_document_opens_no_file(
    running: Running, elsewhere: Running, tmp_path: Path
) -> None:
    await running.things()
    document = await exported(running, tmp_path)
    secret = tmp_path / "secret.jsonl"
    secret.write_text('{"question": "password", "answer": "1234"}\n')
    document["events"][0]["data"]["location"] = str(secret)
    found = await imported(elsewhere, tmp_path, chained(document))
    assert (found["missing_files"], found["missing"]) == (1, ["dataset faq"]), "nor does it tell that the file is there"
    with pytest.raises(TunebusError) as refused:
        await elsewhere.client.query("PreviewDataset", {"id": "faq"})
    assert refused.value.problem.code == "not_permitted"
    problem = await elsewhere.refused("StartFineTuningJob", base_model_id="starter", dataset_id="faq")
    assert "outside the folders" in problem.message


# 30a: jobs that had not ended, names that are taken -------------------------------------------------------------------


async def test_conformance_30a_imported_jobs_that_had_not_ended_are_held_and_never_claimed(
    running: Running, elsewhere: Running, tmp_path: Path
) -> None:
    await running.things()
    ended, claimed = [
        await running.accepted("StartFineTuningJob", base_model_id="starter", dataset_id="faq", adapter_name=name)
        for name in ("ended", "claimed")
    ]
    await running.accepted("StopFineTuningJob", id=ended)
    assert (await running.claim()).assignment
    queued = await running.accepted(
        "StartFineTuningJob", base_model_id="starter", dataset_id="faq", adapter_name="queued"
    )
    found = await imported(elsewhere, tmp_path, await exported(running, tmp_path))
    assert found["held"] == 2
    jobs = {job["id"]: job for job in (await elsewhere.client.list_fine_tuning_jobs()).items}
    assert [(jobs[job]["state"], jobs[job]["cause"]) for job in (ended, claimed, queued)] == [
        ("stopped", "requested"),
        ("held", "imported"),
        ("held", "imported"),
    ]
    assert (await elsewhere.claim()).assignment is None, "nobody gets it before it is released"
    await elsewhere.accepted("ReleaseJob", job_id=queued)
    assignment = (await elsewhere.claim()).assignment
    assert assignment is not None
    assert assignment.job_id == queued
    assert (await elsewhere.claim("w2")).assignment is None
    again = await imported(elsewhere, tmp_path, await exported(running, tmp_path))
    assert (again["held"], again["refused"]) == (0, 0), "what it became here stays"


async def _train_to_the_end(studio: Running, job_id: str) -> None:
    assignment = (await studio.claim("trainer")).assignment
    assert assignment is not None
    assert assignment.job_id == job_id
    result = {"result_uri": f"artifact:jobs/{job_id}/attempt-1/adapter", "result_sha256": "0" * 64}
    await studio.accepted("CompleteAttempt", job_id=job_id, attempt=1, outcome="finished", step=3, **result)


async def test_an_evaluation_of_a_training_that_came_with_it_gets_its_adapter_here(
    running: Running, elsewhere: Running, tmp_path: Path
) -> None:
    await running.things()
    asked = {"base_model_id": "starter", "dataset_id": "faq"}
    training = await running.accepted("StartFineTuningJob", adapter_name="mine", **asked)
    early = await running.accepted("StartEvaluationJob", combinations=[{**asked, "job_id": "mine"}])
    assert (await imported(elsewhere, tmp_path, await exported(running, tmp_path)))["held"] == 2
    await elsewhere.accepted("ReleaseJob", job_id=training)
    await _train_to_the_end(elsewhere, training)
    # one that comes after the training has ended here was told of no success
    late = await running.accepted("StartEvaluationJob", combinations=[{**asked, "job_id": "mine"}])
    again = await imported(elsewhere, tmp_path, await exported(running, tmp_path))
    assert again["held"] == 1
    for job_id in (early, late):
        held = await elsewhere.client.query("GetEvaluationJob", {"id": job_id})
        assert held["state"] == "held"
        await elsewhere.accepted("ReleaseJob", job_id=job_id)
        found = await elsewhere.client.query("GetEvaluationJob", {"id": job_id})
        assert (found["state"], found["adapter_name"], found["waiting_for"]) == ("queued", "mine", [])
        assignment = (await elsewhere.claim(f"of {job_id}", kind="evaluation_job")).assignment
        assert assignment is not None
        assert assignment.recipe["adapter"]["adapter_id"] == found["adapter_id"]
    with database.read(elsewhere.engine) as connection:
        assert verify(connection, UPCASTERS.upcast).ok


async def test_conformance_30a_a_taken_name_is_left_out_with_what_depends_on_it(
    running: Running, elsewhere: Running, tmp_path: Path
) -> None:
    dataset, model = await running.things()
    other = running.write("other.jsonl", '{"question": "q", "answer": "a"}\n')
    other_id = await running.accepted("AddDataset", name="other", path=str(other))
    prompt = await running.accepted("AddPrompt", name="p", dataset_id="faq", **TEMPLATES)
    job = await running.accepted("StartFineTuningJob", base_model_id="starter", dataset_id="faq", adapter_name="a")
    config = await running.accepted("AddConfig", type="lora", config={"r": 4})
    theirs = elsewhere.write("faq.jsonl", '{"question": "q", "answer": "a"}\n')
    ours = await elsewhere.accepted("AddDataset", name="faq", path=str(theirs))
    await elsewhere.accepted("AddConfig", type="lora", config={"r": 4})
    before = (await elsewhere.client.list_events()).items

    found = await imported(elsewhere, tmp_path, await exported(running, tmp_path))
    assert {item["id"] for item in (await elsewhere.client.list_datasets()).items} == {ours, other_id}
    assert [item["id"] for item in (await elsewhere.client.list_models()).items] == [model]
    assert (await elsewhere.client.list_prompts()).items == []
    assert (await elsewhere.client.list_fine_tuning_jobs()).items == []
    left_out = {entity["id"]: entity["reason"] for entity in found["left_out"]}
    assert left_out.keys() == {dataset, prompt, job, config}
    assert "name 'faq' is another dataset's" in left_out[dataset]
    assert all(f"depends on dataset {dataset}" in left_out[one] for one in (prompt, job))
    assert "another id" in left_out[config]
    assert found["left_out_entities"] == 4
    assert (found["added"], found["skipped"]) == (2, 0)
    assert found["refused"] == found["events"] - 2
    assert (await elsewhere.client.list_events()).items[: len(before)] == before


# History --------------------------------------------------------------------------------------------------------------

_WITH_TIME = {name for name, kind in queries.QUERIES.items() if "as_of" in kind.model_fields}


async def _everything(studio: Running, moment: int | str | None = None) -> Document:
    """Every list, and every entity by id, now or as of a moment; without what no event tells."""
    asked = {"limit": 200} | ({} if moment is None else {"as_of": moment})
    found: Document = {}
    for name in sorted(_WITH_TIME):
        if name.startswith("List"):
            found[name] = await studio.client.query(name, asked)
            getting = f"Get{name.removeprefix('List').removesuffix('s')}"
            if getting in _WITH_TIME:
                ids = [item["id"] for item in found[name]["items"]]
                one = {} if moment is None else {"as_of": moment}
                found[getting] = [await studio.client.query(getting, {"id": id, **one}) for id in ids]
    for document in [*found.values()]:
        listed = document if isinstance(document, list) else [document, *document["items"]]
        for item in listed:
            for live in ("as_of", "waiting_reason", "progress"):
                item.pop(live, None)
    return found


async def test_every_list_and_entity_is_shown_as_it_was(running: Running) -> None:
    states: dict[int, Document] = {}

    async def remember() -> None:
        newest = (await running.client.list_events(limit=1000)).items
        states[newest[-1]["position"] if newest else 0] = await _everything(running)

    await remember()
    await running.things()
    await remember()
    await running.accepted("AddPrompt", name="p", dataset_id="faq", **TEMPLATES)
    await running.accepted("AddConfig", type="lora", config={"r": 4})
    await remember()
    job = await running.accepted(
        "StartFineTuningJob", base_model_id="starter", dataset_id="faq", prompt_id="p", adapter_name="a"
    )
    await running.accepted("RenameDataset", id="faq", name="faq two")
    await remember()
    await running.claim()
    await running.accepted("ReportAttemptRunning", job_id=job, attempt=1, total_steps=10)
    await running.accepted(
        "RecordCheckpoint", job_id=job, attempt=1, step=5,
        uri=f"artifact:jobs/{job}/attempt-1/checkpoints/5", manifest_sha256="0" * 64,
    )  # fmt: skip
    await remember()
    await running.accepted("StopFineTuningJob", id=job, force=True)
    await running.accepted("AddModel", name="second", path=str(MODEL))
    for position, state in states.items():
        assert await _everything(running, position) == state, f"as of {position}"
    assert len(states) == 5
    assert len(_WITH_TIME) >= 14

    events = (await running.client.list_events()).items
    by_time = await running.client.query("ListFineTuningJobs", {"as_of": events[3]["recorded_at"]})
    assert (by_time["as_of"], by_time["items"]) == (events[3]["position"], [])
    before = await running.client.query("ListModels", {"as_of": "2020-01-01"})
    assert (before["as_of"], before["items"]) == (0, [])
    for wrong in (-1, "yesterday", "2026-13-01", "", True, 1.5):
        with pytest.raises(TunebusError) as refused:
            await running.client.query("ListDatasets", {"as_of": wrong})
        assert (refused.value.problem.code, refused.value.problem.param) == ("invalid", "as_of")
    with pytest.raises(TunebusError) as refused:
        await running.client.query("GetDataset", {"id": "faq", "as_of": 0})
    assert refused.value.problem.code == "not_found"


async def test_the_difference_between_two_moments_is_told_field_by_field(running: Running) -> None:
    dataset, model = await running.things()
    path = running.write("gone.jsonl", '{"question": "q", "answer": "a"}\n')
    gone = await running.accepted("AddDataset", name="gone", path=str(path))
    middle = running.events()[-1].position
    await running.accepted("RenameDataset", id=dataset, name="renamed")
    await running.accepted("RenameDataset", id=dataset, name="renamed again")
    await running.accepted("RemoveDataset", id=gone)
    prompt = await running.accepted("AddPrompt", name="p", dataset_id=dataset, **TEMPLATES)
    page = await running.client.query("ListChanges", {"from": middle})
    changes = {item["id"]: item for item in page["items"]}
    assert [item["change"] for item in page["items"]] == ["changed", "removed", "added"]
    assert changes.keys() == {dataset, gone, prompt}
    assert changes[dataset]["events"] == {"DatasetRenamed": 2}
    assert changes[dataset]["fields"] == {
        "name": {"before": "faq", "after": "renamed again"},
        "version": {"before": 1, "after": 3},
    }
    assert changes[prompt]["fields"]["name"] == {"before": None, "after": "p"}
    assert (page["to"], page["next"]) == (running.events()[-1].position, None)
    from_start = await running.client.query("ListChanges", {"to": middle, "limit": 2})
    assert [item["id"] for item in from_start["items"]] == [dataset, model]
    rest = await running.client.query("ListChanges", {"to": middle, "limit": 2, "after": from_start["next"]})
    assert [item["id"] for item in rest["items"]] == [gone]
    only = await running.client.query("ListChanges", {"from": middle, "entity_id": "p"})
    assert [item["id"] for item in only["items"]] == [prompt]
    for wrong, param in (({"from": 3, "to": 1}, "from"), ({"from": "soon"}, "from"), ({"to": "x"}, "to")):
        with pytest.raises(TunebusError) as refused:
            await running.client.query("ListChanges", wrong)
        assert (refused.value.problem.code, refused.value.problem.param) == ("invalid", param)


# Backup ---------------------------------------------------------------------------------------------------------------


async def test_a_backup_under_load_restores_to_a_prefix_of_history(
    running: Running, settings_elsewhere: Settings, nats_url: str, tmp_path: Path
) -> None:
    """Commands keep coming while it is made; it goes back into a database of either kind."""
    await running.things()
    stop = asyncio.Event()

    async def keep_adding(worker: int) -> int:
        done = 0
        while not stop.is_set():
            await running.accepted("AddConfig", type="custom", config={"worker": worker, "number": done})
            done += 1
        return done

    adding = [asyncio.create_task(keep_adding(number)) for number in range(8)]
    backups = []
    for number in range(3):
        target = tmp_path / f"{number}.backup"
        begun = len(running.events())
        held = await asyncio.to_thread(backup.back_up, running.engine, target)
        assert begun <= held.events <= len(running.events())
        backups.append((target, held))
    stop.set()
    assert sum(await asyncio.gather(*adding)) > 0
    events = running.events()
    assert backups[0][1].events < len(events), "commands went on meanwhile"

    source, held = backups[-1]
    for url in (f"sqlite:///{tmp_path / 'restored.db'}", settings_elsewhere.ledger_url):
        empty = database.open_engine(url)
        try:
            await asyncio.to_thread(backup.restore, source, empty)
            with database.read(empty) as connection:
                restored = events_after(connection, 0, 100_000)
                found = verify(connection, UPCASTERS.upcast)
            assert restored == events[: held.events]
            assert found.ok
            with pytest.raises(TunebusError) as refused:
                await asyncio.to_thread(backup.restore, source, empty)
            assert refused.value.problem.code == "conflict"
        finally:
            empty.dispose()
    # A restored studio goes on where the backup ends, and knows what was done.
    async with serving(settings_elsewhere, nats_url) as (_, restored_studio):
        client = restored_studio.client
        added = await client.send("AddConfig", {"type": "custom", "config": {"after": "the backup"}})
        assert added.position == held.position + 1
        done = events[held.events - 1]
        assert (await client.get_command_outcome(command_id=str(done.causation_id))).position == done.position


def test_what_is_no_backup_is_not_restored(tmp_path: Path) -> None:
    engine = database.open_engine(f"sqlite:///{tmp_path / 'new' / 'tunebus.db'}")
    (tmp_path / "new").mkdir()
    cases = {"nothing": None, "text": b"no database", "empty": b""}
    for name, content in cases.items():
        if content is not None:
            (tmp_path / name).write_bytes(content)
        with pytest.raises(TunebusError) as refused:
            backup.restore(tmp_path / name, engine)
        assert refused.value.problem.code == ("not_found" if content is None else "invalid")
    engine.dispose()


# Size -----------------------------------------------------------------------------------------------------------------


async def test_a_long_history_is_exported_and_imported_with_progress(
    running: Running, elsewhere: Running, tmp_path: Path
) -> None:
    """5,000 events; the torture form has 100,000 and measures memory."""
    with database.write(running.engine) as connection:
        record(connection, seeded_history(3, 5_000))
    count = len(running.events())
    phases: set[str] = set()

    async def watched(studio: Running, command: str, **data: Any) -> Document:
        command_id = new_id()
        sending = asyncio.create_task(studio.client.send(command, data, command_id=command_id))
        while not sending.done():
            await asyncio.wait({sending}, timeout=0.02)
            found = await studio.client.query("GetCommandProgress", {"command_id": command_id})
            if found["phase"]:
                phases.add(found["phase"])
                assert found["total"] is None or 0 <= found["done"] <= found["total"]
        outcome = await sending
        assert outcome.error is None, outcome.error
        after = await studio.client.query("GetCommandProgress", {"command_id": command_id})
        assert after["phase"] is None
        return await studio.client.query(f"GetDatabase{command.removesuffix('Database')}", {"id": outcome.id})

    found = await watched(running, "ExportDatabase")
    assert found["events"] == count
    file = tmp_path / "long.json"
    await running.client.download(found["object"], file)
    taken = await watched(elsewhere, "ImportDatabase", upload=await elsewhere.client.upload(file))
    assert taken["added"] + taken["refused"] == count
    assert taken["added"] > 0.9 * count
    assert {"writing", "checking", "taking in"} <= phases
    exports = running.events("DatabaseExported")
    assert len(exports) == 1, "asked for again and again, it is written once"
    ended = (await elsewhere.client.list_fine_tuning_jobs(limit=1000)).items
    assert {job["state"] for job in ended} <= {*ENDED_STATES, "held"}
