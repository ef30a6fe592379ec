"""Queries over the bus: lists, entities, previews, logs and scored rows, and every wrong argument in words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from tunebus.contracts import queries
from tunebus.contracts.errors import TunebusError
from tunebus.projections.queries import TELEMETRY_ANSWERS
from tunebus.services.platform.home import Home
from tunebus.services.registry import uploads

from tests.fixtures.registry import Running

HASH = "0" * 64


async def ask(running: Running, name: str, body: bytes = b"") -> dict[str, Any]:
    reply = await running.bus.request(running.subjects.query(name), body, timeout=10)
    return dict(json.loads(reply.data))


async def refusal(running: Running, name: str, arguments: dict[str, Any]) -> Any:
    with pytest.raises(TunebusError) as refused:
        await running.client.query(name, arguments)
    return refused.value.problem


async def test_every_query_is_answered(running: Running) -> None:
    """An empty studio: lists are empty, things are not found, and nothing is silent."""
    for name, kind in queries.QUERIES.items():
        required = {field: "1" for field, info in kind.model_fields.items() if info.is_required()}
        document = await ask(running, name, json.dumps(required).encode())
        if "error" in document:
            # Nobody has made the telemetry's tables here: that is the projector's part.
            expected = {"not_found", "invalid"} | ({"unavailable"} if name in TELEMETRY_ANSWERS else set())
            assert document["error"]["code"] in expected, (name, document)
        else:
            assert document, name


WRONG_ARGUMENTS = [
    (b"not json", "malformed", None),
    (b"[]", "invalid", None),
    (b'{"limt": 5}', "unknown_field", "limt"),
    (b'{"limit": 0}', "invalid", "limit"),
    (b'{"limit": "x"}', "invalid", "limit"),
    (b'{"after": "x"}', "invalid", "after"),
]


async def test_wrong_arguments_are_refused_in_words(running: Running) -> None:
    for body, code, param in WRONG_ARGUMENTS:
        error = (await ask(running, "ListDatasets", body))["error"]
        assert (error["code"], error["param"]) == (code, param), body


async def test_null_arguments_mean_absent(running: Running) -> None:
    assert await ask(running, "ListDatasets", b'{"after": null, "type": null}') == {"items": [], "next": None}


async def test_things_are_found_by_id_and_by_name(running: Running) -> None:
    dataset_id, model_id = await running.things()
    for query, found, name in (("GetDataset", dataset_id, "faq"), ("GetModel", model_id, "starter")):
        assert (await running.client.query(query, {"id": found}))["id"] == found
        assert (await running.client.query(query, {"id": name}))["id"] == found
        assert (await refusal(running, query, {"id": "nope"})).code == "not_found"


async def test_a_dataset_is_previewed_with_statistics_and_rendered(running: Running) -> None:
    rows = [{"question": f"q{n}", "answer": "a" * (n % 5)} for n in range(50)] + [{"question": "last"}]
    path = running.write("faq.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    await running.accepted("AddDataset", name="faq", path=str(path))
    found = await running.client.query("PreviewDataset", {"id": "faq", "limit": 3})
    assert found["rows"] == rows[:3]
    assert found["row_count"] == 51
    assert found["columns"][1] == {
        "name": "answer",
        "nulls": 11,
        "min_length": 1,
        "max_length": 4,
        "mean_length": 2.5,
    }
    assert found["rendered"][1] == {"prompt": "q1\n", "input": "q1", "completion": "a"}
    assert found["generated_prompt"]["completion_template"] == "{answer}"


async def test_a_preview_goes_through_the_prompt_that_is_named(running: Running) -> None:
    await running.things()
    await running.accepted(
        "AddPrompt",
        name="p",
        dataset_id="faq",
        prompt_template="Q: {input}\nA: {completion}",
        input_template="{question}",
        completion_template="{answer}",
    )
    found = await running.client.query("PreviewDataset", {"id": "faq", "prompt_id": "p", "limit": 1})
    assert found["rendered"] == [{"prompt": "Q: q0\nA: ", "input": "q0", "completion": "a0"}]
    assert found["generated_prompt"] is None
    problem = await refusal(running, "PreviewDataset", {"id": "faq", "prompt_id": "nope"})
    assert (problem.code, problem.param) == ("not_found", "prompt_id")


async def test_long_values_are_cut_so_that_a_preview_fits_a_message(running: Running) -> None:
    path = running.write("wide.jsonl", "".join(json.dumps({"a": "x" * 100_000}) + "\n" for _ in range(200)))
    await running.accepted("AddDataset", name="wide", path=str(path))
    found = await running.client.query("PreviewDataset", {"id": "wide", "limit": 200})
    assert 0 < len(found["rows"]) <= 200
    assert len(json.dumps(found)) < 1_000_000


async def test_a_preview_goes_on_where_it_is_asked_to(running: Running) -> None:
    path = running.write("many.jsonl", "".join(json.dumps({"n": n, "answer": str(n)}) + "\n" for n in range(30)))
    await running.accepted("AddDataset", name="many", path=str(path))
    found = await running.client.query("PreviewDataset", {"id": "many", "limit": 10, "offset": 25})
    assert [row["n"] for row in found["rows"]] == [25, 26, 27, 28, 29]
    assert (found["offset"], len(found["rendered"])) == (25, 5)
    assert (await running.client.query("PreviewDataset", {"id": "many", "offset": 99}))["rows"] == []


async def test_a_file_is_looked_at_before_it_is_added(running: Running) -> None:
    pairs = "".join(json.dumps({"frage": f"q{n}", "antwort": f"a{n}"}) + "\n" for n in range(20))
    path = running.write("faq.jsonl", pairs + "{broken\n")
    plain = await running.client.query("InspectDataset", {"path": str(path), "limit": 2})
    assert (plain["type"], plain["recognised"], plain["features"]) == ("jsonl", "prompt", ["frage", "antwort"])
    assert (plain["rows"][1], plain["looked_at"], plain["complete"]) == ({"frage": "q1", "antwort": "a1"}, 21, True)
    assert [one["place"] for one in plain["findings"]] == ["line 21"]
    lacking = {one["name"]: one["lacks"] for one in plain["formats"]}
    assert lacking["prompt_completion"] == ["prompt", "completion"]
    half = {"path": str(path), "format": "prompt_completion", "column_mapping": {"prompt": "frage"}}
    assert (await running.client.query("InspectDataset", half))["lacks"] == ["completion"]
    whole = {"path": str(path), "column_mapping": {"prompt": "frage", "completion": "antwort"}}
    assert (await running.client.query("InspectDataset", whole))["recognised"] == "prompt_completion"
    uploaded = await running.client.upload(path)
    assert await running.client.query("InspectDataset", {"upload": uploaded, "limit": 2}) == plain
    assert [*running.settings.artifacts.rglob("*.jsonl")] == [], "nothing is kept of what was only looked at"
    assert (await refusal(running, "InspectDataset", {"path": "/etc/passwd.csv"})).code == "not_permitted"
    assert (await refusal(running, "InspectDataset", {"upload": "gone.csv"})).code == "not_found"
    assert (await refusal(running, "InspectDataset", {})).param == "path"
    wrong = {"path": str(path), "column_mapping": {"prompt": "nope"}}
    assert (await refusal(running, "InspectDataset", wrong)).param == "column_mapping.prompt"


async def test_only_the_beginning_of_a_large_upload_is_looked_at(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "BEGINNING_BYTES", 200_000)
    text = "".join(json.dumps({"question": "x" * 900, "answer": str(n)}) + "\n" for n in range(900))
    uploaded = await running.client.upload(running.write("large.jsonl", text))
    found = await running.client.query("InspectDataset", {"upload": uploaded})
    assert 150 < found["looked_at"] < 600
    assert (found["complete"], found["broken"]) == (False, 0)


async def test_rows_that_deserve_a_look_are_named_by_number_and_line(running: Running) -> None:
    folder = running.files / "splits"
    folder.mkdir()
    same = {"prompt": "p1", "completion": "c1"}
    train = [{"prompt": f"p{n}", "completion": f"c{n}"} for n in range(4)]
    lines = [*map(json.dumps, train), json.dumps(same), "", json.dumps({"prompt": "p", "completion": " "}), "{broken"]
    (folder / "train.jsonl").write_text("\n".join(lines) + "\n")
    (folder / "test.jsonl").write_text(
        json.dumps({"prompt": "new", "completion": "n"}) + "\n" + json.dumps(same) + "\n"
    )
    await running.accepted("AddDataset", name="splits", path=str(folder), skip_broken=True)

    async def found(kind: str, **fields: Any) -> dict[str, Any]:
        return await running.client.query("ListDatasetFindings", {"id": "splits", "kind": kind, **fields})

    duplicates = await found("duplicate")
    assert [(one["row"], one["place"], one["same_as"]) for one in duplicates["items"]] == [
        (5, "train.jsonl: line 5", 2)
    ]
    assert (duplicates["looked_at"], duplicates["complete"], duplicates["next"]) == (9, True, None)
    empty = (await found("empty_answer"))["items"]
    assert [(one["row"], one["place"]) for one in empty] == [(6, "train.jsonl: line 7")]
    overlap = (await found("overlap"))["items"]
    assert [(one["row"], one["split"], one["same_as"]) for one in overlap] == [(8, "test", 2)]
    broken = (await found("broken"))["items"]
    assert [(one["row"], one["place"]) for one in broken] == [(None, "train.jsonl: line 8")]
    assert broken[0]["error"]
    statistics = (await running.client.query("GetDataset", {"id": "splits"}))["statistics"]
    assert (statistics["duplicate_rows"], statistics["empty_answers"]) == (1, 1)
    assert statistics["overlaps"] == {"test": 1}
    again = running.write("again.csv", "question,answer\n" + "a,b\n" * 6)
    await running.accepted("AddDataset", name="again", path=str(again))
    page = await running.client.query("ListDatasetFindings", {"id": "again", "kind": "duplicate", "limit": 3})
    rest = await running.client.query(
        "ListDatasetFindings", {"id": "again", "kind": "duplicate", "limit": 3, "after": page["next"]}
    )
    assert [one["row"] for one in [*page["items"], *rest["items"]]] == [2, 3, 4, 5, 6]
    assert rest["next"] is None


def artifact(running: Running, uri: str) -> Path:
    path = Home(running.settings.home, running.settings.artifacts).path(uri)
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


async def test_a_log_is_read_from_the_attempts_file_until_telemetry_has_it(running: Running) -> None:
    await running.things()
    job = await running.accepted("StartFineTuningJob", base_model_id="starter", dataset_id="faq")
    assert (await running.client.query("GetLog", {"job_id": job}))["text"] == ""
    await running.claim()
    artifact(running, f"artifact:jobs/{job}/attempt-1/output.log").write_text("one\ntwo\n")
    found = await running.client.query("GetLog", {"job_id": job, "offset": 4})
    assert (found["attempt"], found["text"], found["next_offset"]) == (1, "two\n", 8)
    assert (await refusal(running, "GetLog", {"job_id": "nope"})).code == "not_found"


async def test_scored_rows_come_in_pages(running: Running) -> None:
    await running.things()
    job = await running.accepted("StartEvaluationJob", combinations=[{"base_model_id": "starter", "dataset_id": "faq"}])
    assert await running.client.query("GetEvaluationRows", {"job_id": job}) == {"items": [], "next": None}
    await running.claim(kind="evaluation_job")
    uri = f"artifact:jobs/{job}/attempt-1/rows.jsonl"
    rows = [{"row": number, "answer": "é" * number} for number in range(5)]
    artifact(running, uri).write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    await running.accepted("CompleteAttempt", job_id=job, attempt=1, outcome="finished", result_uri=uri)
    seen, after = [], None
    while True:
        page = await running.client.query("GetEvaluationRows", {"job_id": job, "limit": 2, "after": after})
        assert len(page["items"]) <= 2
        seen += page["items"]
        after = page["next"]
        if after is None:
            break
    assert seen == rows
    assert (await refusal(running, "GetEvaluationRows", {"job_id": job, "after": "x"})).param == "after"


async def test_the_record_is_listed_in_order(running: Running) -> None:
    await running.things()
    page = await running.client.query("ListEvents", {"from": 1})
    assert [event["type"] for event in page["items"]] == ["DatasetAdded", "ModelAdded"]
    assert [event["position"] for event in page["items"]] == [1, 2]
    only = await running.client.query("ListEvents", {"aggregate": "model"})
    assert [event["type"] for event in only["items"]] == ["ModelAdded"]


async def test_an_outcome_is_kept_for_whoever_asks(running: Running) -> None:
    outcome = await running.client.send("AddConfig", {"type": "custom", "config": {}})
    kept = await running.client.query("GetCommandOutcome", {"command_id": outcome.command_id})
    assert kept["id"] == outcome.id
    assert (await refusal(running, "GetCommandOutcome", {"command_id": str(UUID(int=0))})).code == "not_found"


async def test_a_call_with_wrong_arguments_is_refused_in_words(running: Running) -> None:
    reply = await running.call("ClaimJob", {"worker_id": "w"})
    assert reply["error"]["code"] == "invalid"
    assert "claim_id" in reply["error"]["message"]
    assert (await running.call("RecordDeadLetter", {
        "stream": "s", "seq": 1, "subject": "x", "data": "%%%", "reason": "r"
    }))["error"]["param"] == "data"  # fmt: skip
    assert await running.call("RecordDeadLetter", {
        "stream": "s", "seq": 1, "subject": "x", "data": "AAA=", "reason": "r"
    }) == {}  # fmt: skip
    assert [letter.reason for letter in running.letters()] == ["r"]
