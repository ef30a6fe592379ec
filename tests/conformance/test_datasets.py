"""Conformance 6-10 and 22: what files are taken, what is said of those that are not, and what each row becomes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import psutil
import pyarrow
import pyarrow.parquet
import pytest
from tunebus.contracts.errors import Code, Problem, TunebusError
from tunebus.contracts.identifiers import new_id
from tunebus.contracts.recipes import DatasetSource
from tunebus.services.platform.child.dataset import load_rows
from tunebus.services.platform.home import Home
from tunebus.services.platform.worker.inputs import localize

from tests.fixtures.dataset_files import Memory, MiB, write_questions
from tests.fixtures.registry import MODEL, Running

# What the database has no part in is tried on one.
on_one_database = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

Rows = Iterable[Mapping[str, Any]]
ANSWERS = {"prompt": "question", "completion": "answer"}


def jsonl(running: Running, name: str, rows: Rows) -> Path:
    path = running.files / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def questions(count: int, first: int = 0) -> list[dict[str, str]]:
    return [{"question": f"q{n}", "answer": f"a{n}"} for n in range(first, first + count)]


def mapped(**columns: str) -> dict[str, Any]:
    return {"column_mapping": columns}


async def add(running: Running, name: str, path: Path, **fields: Any) -> dict[str, Any]:
    """The dataset that was added, as `GetDataset` shows it."""
    dataset_id = await running.accepted("AddDataset", name=name, path=str(path), **fields)
    return await running.client.query("GetDataset", {"id": dataset_id})


async def refusal(running: Running, path: Path | str, **fields: Any) -> Problem:
    problem = await running.refused("AddDataset", **{"name": new_id()[:13], "path": str(path), **fields})
    assert running.events("DatasetAdded") == [], "nothing is written of what is refused"
    return problem


async def preview(running: Running, name: str, **fields: Any) -> dict[str, Any]:
    return await running.client.query("PreviewDataset", {"id": name, **fields})


async def training_rows(
    running: Running, dataset: str, **fields: Any
) -> tuple[list[dict[str, Any]], list[int], list[int]]:
    """All rows, and the numbers of those trained on and held out, as the child of a job on this dataset reads them."""
    job = await running.accepted("StartFineTuningJob", base_model_id="starter", dataset_id=dataset, **fields)
    claim = await running.claim()
    assert claim.assignment is not None
    assert claim.assignment.job_id == job
    return _read(running, claim.assignment.recipe)


async def evaluation_rows(
    running: Running, dataset: str, **fields: Any
) -> tuple[list[dict[str, Any]], list[int], list[int]]:
    combination = {"base_model_id": "starter", "dataset_id": dataset}
    await running.accepted("StartEvaluationJob", combinations=[combination], **fields)
    claim = await running.claim(kind="evaluation_job", worker="w2")
    assert claim.assignment is not None
    return _read(running, claim.assignment.recipe)


def _read(running: Running, recipe: dict[str, Any]) -> tuple[list[dict[str, Any]], list[int], list[int]]:
    home = Home(running.settings.home, running.settings.artifacts)
    rows, split = load_rows(DatasetSource.model_validate(localize(recipe, home)["dataset"]))
    return rows, split.train, split.test


async def starter(running: Running) -> None:
    await running.accepted("AddModel", name="starter", path=str(MODEL))


# 6: where a file may be ----------------------------------------------------------------------------------------------


@on_one_database
async def test_conformance_06_a_path_leads_inside_an_allowed_root(running: Running, tmp_path: Path) -> None:
    await running.accepted("AddDataset", name="by path", path=str(jsonl(running, "in/a.jsonl", questions(2))))
    await running.accepted("AddDataset", name="relative", path="in/a.jsonl")
    for path in ("in/../in/a.jsonl", str(running.files / "in" / ".." / "in" / "a.jsonl")):
        await running.accepted("AddDataset", name=path, path=path)


@on_one_database
async def test_conformance_06_what_is_outside_is_refused_without_telling_whether_it_exists(
    running: Running, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "there.csv").write_text("a,b\n1,2\n")
    (running.files / "there.csv").symlink_to(outside / "there.csv")
    (running.files / "gone.csv").symlink_to(outside / "gone.csv")
    (running.files / "door").symlink_to(outside)
    for form in ("{0}", "../outside/{0}", str(outside) + "/{0}", "door/{0}", "door/../outside/{0}"):
        answers = []
        for name in ("there.csv", "gone.csv"):
            given = form.format(name)
            problem = await refusal(running, given)
            answers.append((problem.code, problem.param, problem.message.replace(given, "PATH"), problem.hint))
        assert answers[0] == answers[1], form
        assert answers[0][:2] == (Code.NOT_PERMITTED, "path")


@on_one_database
async def test_conformance_06_a_suffix_of_any_case_must_be_of_the_type(running: Running) -> None:
    for name, text, kind in (
        ("a.CSV", "a,b\n1,2\n", "csv"),
        ("b.Tsv", "a\tb\n1\t2\n", "tsv"),
        ("c.JSONL", '{"a": 1, "b": 2}', "jsonl"),
        ("d.Json", '[{"a": 1, "b": 2}]', "json"),
    ):
        problem = await running.refused("AddDataset", name="wrong", path=str(running.write(name, text)), type="parquet")
        assert (problem.code, problem.param) == (Code.INVALID, "path")
        assert f"{Path(name).suffix!r}" in problem.message
        for asked in ({}, {"type": kind}):
            found = await add(running, new_id()[:13], running.files / name, **asked)
            assert (found["type"], found["features"]) == (kind, ["a", "b"])
    problem = await running.refused("AddDataset", name="x", path=str(running.write("a.txt", "a\n1\n")))
    assert "known suffixes: .csv" in (problem.hint or "")


async def test_conformance_06_a_missing_file_is_named_as_given(running: Running) -> None:
    problem = await refusal(running, "sub/nope.csv")
    assert (problem.code, problem.param) == (Code.NOT_FOUND, "path")
    assert "sub/nope.csv" in problem.message
    problem = await running.refused("AddDataset", name="nothing")
    assert (problem.code, problem.param) == (Code.INVALID, "path")


# 6: uploads ----------------------------------------------------------------------------------------------------------


async def test_conformance_06_an_upload_from_any_machine_is_a_copy_of_ours(running: Running, tmp_path: Path) -> None:
    file = tmp_path / "faq (new).jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in questions(3000)))
    steps: list[tuple[int, int]] = []
    name = await running.client.upload(file, progress=lambda done, total: steps.append((done, total)))
    assert steps[-1] == (file.stat().st_size, file.stat().st_size)
    dataset_id = await running.accepted("AddDataset", name="uploaded", upload=name)
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    file.unlink()
    found = await running.client.query("GetDataset", {"id": dataset_id})
    assert (found["location"], found["sha256"]) == (f"artifact:uploads/{sha256}.jsonl", sha256)
    assert found["rows"] == 3000
    await running.client.remove_upload(name)
    assert (await preview(running, "uploaded", limit=1))["rows"] == questions(1)
    again = await running.refused("AddDataset", name="gone", upload=name)
    assert (again.code, again.param) == (Code.NOT_FOUND, "upload")


@on_one_database
async def test_conformance_06_an_upload_that_is_no_dataset_is_not_kept(running: Running, tmp_path: Path) -> None:
    uploads = running.settings.artifacts / "uploads"
    broken, picture = tmp_path / "broken.csv", tmp_path / "picture.png"
    broken.write_text("a,b\n1,2,3\n")
    picture.write_bytes(b"\x89PNG")
    problem = await running.refused("AddDataset", name="x", upload=await running.client.upload(broken))
    assert "line 2: 3 fields" in problem.message
    problem = await running.refused("AddDataset", name="x", upload=await running.client.upload(picture))
    assert (problem.code, problem.param) == (Code.INVALID, "upload")
    assert [path for path in uploads.rglob("*") if path.is_file()] == []
    good = tmp_path / "good.csv"
    good.write_text("a,b\n1,2\n")
    name = await running.client.upload(good)
    await running.accepted("AddDataset", name="x", upload=name)
    problem = await running.refused("AddDataset", name="x", upload=name)
    assert problem.code == Code.DUPLICATE_NAME
    assert (await preview(running, "x"))["rows"] == [{"a": "1", "b": "2"}]
    problem = await running.refused("AddDataset", name="y", upload=name, path=str(good))
    assert (problem.code, problem.param) == (Code.INVALID, "upload")


# 7: what is read -----------------------------------------------------------------------------------------------------


@on_one_database
async def test_conformance_07_a_byte_order_mark_is_no_part_of_the_first_name(running: Running) -> None:
    for name, text in (
        ("a.csv", "\ufeffq,a\n1,2\n"),
        ("a.tsv", "\ufeffq\ta\n1\t2\n"),
        ("a.jsonl", '\ufeff{"q":1,"a":2}'),
    ):
        assert (await add(running, name, running.write(name, text)))["features"] == ["q", "a"]


@on_one_database
async def test_conformance_07_quoted_separators_and_newlines_are_values(running: Running) -> None:
    await add(running, "csv", running.write("a.csv", 'q,a\n"one, two","line 1\nline ""2"""\n'))
    await add(running, "tsv", running.write("a.tsv", 'q\ta\n"one\ttwo"\t"line 1\nline 2"\n'))
    assert (await preview(running, "csv"))["rows"] == [{"q": "one, two", "a": 'line 1\nline "2"'}]
    assert (await preview(running, "tsv"))["rows"] == [{"q": "one\ttwo", "a": "line 1\nline 2"}]


@on_one_database
async def test_conformance_07_json_is_an_array_or_one_object_and_jsonl_one_object_a_line(running: Running) -> None:
    for name, text, rows in (
        ("a.json", '[{"q": 1}, {"q": {"deep": [null]}}]', [{"q": 1}, {"q": {"deep": [None]}}]),
        ("b.json", '{"q": 1}', [{"q": 1}]),
        ("c.jsonl", '{"q": 1}\n\n{"q": 2}\n', [{"q": 1}, {"q": 2}]),
    ):
        await add(running, name, running.write(name, text))
        assert (await preview(running, name))["rows"] == rows
    assert "JSONL" in ((await running.refused(
        "AddDataset", name="x", path=str(running.write("d.json", '{"q": 1}\n{"q": 2}\n'))
    )).hint or "")  # fmt: skip


@on_one_database
async def test_conformance_07_parquet_is_read_with_its_types(running: Running) -> None:
    table = pyarrow.table({"q": ["x", None], "n": [1.5, float("nan")], "turns": [[{"role": "user"}], []]})
    pyarrow.parquet.write_table(table, running.files / "a.parquet")
    found = await add(running, "p", running.files / "a.parquet")
    assert (found["type"], found["features"], found["rows"]) == ("parquet", ["q", "n", "turns"], 2)
    assert (await preview(running, "p"))["rows"] == [
        {"q": "x", "n": 1.5, "turns": [{"role": "user"}]},
        {"q": None, "n": None, "turns": []},
    ]
    assert found["sha256"] == hashlib.sha256((running.files / "a.parquet").read_bytes()).hexdigest()
    body = (running.files / "a.parquet").read_bytes()
    (running.files / "cut.parquet").write_bytes(body[: len(body) // 2])
    problem = await running.refused("AddDataset", name="x", path=str(running.files / "cut.parquet"))
    assert "not parquet" in problem.message


@on_one_database
async def test_conformance_07_broken_rows_are_all_counted_and_twenty_named(running: Running) -> None:
    lines = ['{"a": 1}' if n % 2 == 0 else "{broken" for n in range(60)]
    problem = await refusal(running, running.write("a.jsonl", "\n".join(lines)))
    assert "30 rows are broken: line 2: not JSON" in problem.message
    assert [(detail.message.split(":")[0]) for detail in problem.details or ()] == [
        f"line {n}" for n in range(2, 42, 2)
    ]
    assert "skip_broken" in (problem.hint or "")


async def test_conformance_07_skip_broken_adds_the_rest_and_training_reads_the_same_rows(running: Running) -> None:
    await starter(running)
    chat = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]
    good = [{"messages": chat, "n": n} for n in range(20)]
    lines = [json.dumps(row) for row in good]
    lines[5:5] = ["{broken", json.dumps({"messages": "text", "n": -1}), json.dumps({"messages": chat[:1], "n": -2})]
    found = await add(running, "chats", running.write("a.jsonl", "\n".join(lines)), skip_broken=True)
    assert (found["rows"], found["skipped"], found["skip_broken"]) == (20, 3, True)
    assert found["warnings"][0].startswith("3 rows are broken and left out: line 6: not JSON")
    rows, train, test = await training_rows(running, "chats")
    assert rows == good
    assert sorted(train + test) == list(range(20))
    assert (await preview(running, "chats", limit=50))["rows"] == good
    problem = await running.refused(
        "AddDataset", name="none", path=str(running.write("b.jsonl", "x")), skip_broken=True
    )
    assert problem.hint == "no row is left"


# 8: what is no dataset -----------------------------------------------------------------------------------------------

NO_DATASETS = [
    ("a.csv", "", "is empty"),
    ("a.tsv", "q\ta\n", "has a header but no rows"),
    ("a.csv", "question,answer\n", "has a header but no rows"),
    ("a.json", "[]", "is an empty array"),
    ("a.jsonl", "\n \n", "is empty"),
    ("a.csv", "a, a\n1,2\n", "duplicate column name 'a'"),
    ("a.csv", "a,,b\n1,2,3\n", "blank column name at column 2"),
    ("a.csv", "a,b\n1,2,3\n", "line 2: 3 fields, but the header has 2"),
    ("a.jsonl", '{" ": 1}', "blank column name"),
    ("a.jsonl", '{"a": 1, "a": 2}', "duplicate key 'a'"),
    ("a.json", "3", "is a number, not an array of objects"),
    ("a.parquet", "PAR1", "not parquet"),
    ("a.parquet", "", "is empty"),
]


@on_one_database
async def test_conformance_08_what_is_no_dataset_is_refused_in_words(running: Running) -> None:
    for name, text, words in NO_DATASETS:
        problem = await refusal(running, running.write(name, text))
        assert problem.code == Code.INVALID
        assert words in problem.message, name
        assert problem.hint, name


@on_one_database
async def test_conformance_08_columns_missing_from_some_rows_are_a_warning_with_their_count(running: Running) -> None:
    found = await add(running, "some", running.write("a.jsonl", '{"a": 1, "b": 2}\n{"a": 3}\n{"a": 4}\n'))
    assert (found["rows"], found["features"]) == (3, ["a", "b"])
    assert found["warnings"] == ["column 'b' is missing in 2 of 3 rows"]


@on_one_database
async def test_conformance_08_limits_are_refused_in_words(running: Running) -> None:
    (running.files / "huge.csv").touch()
    with (running.files / "huge.csv").open("r+") as file:
        file.truncate(64 * 1024**3 + 1)  # sparse: it takes no disk
    for name, text, words in (
        ("wide.csv", ",".join(f"c{n}" for n in range(2001)) + "\n1\n", "2001 columns, more than the limit of 2000"),
        ("wide.jsonl", json.dumps({f"c{n}": 1 for n in range(2001)}), "more than 2000 columns"),
        ("long.jsonl", '{"a": "' + "x" * (16 * MiB) + '"}\n{"a": 1}\n', "line 1: longer than 16777216 bytes"),
        ("deep.jsonl", '{"a": ' + "[" * 70 + "]" * 70 + "}", "nested deeper than 64 levels"),
        ("name.csv", "c" * 201 + "\n1\n", "is longer than 200 characters"),
        ("huge.csv", None, "over the limit of 68719476736"),
    ):
        problem = await refusal(running, running.write(name, text) if text else running.files / name)
        assert words in problem.message, name
        assert len(problem.message) < 500


# 9: hashes -----------------------------------------------------------------------------------------------------------


async def test_conformance_09_a_job_records_the_hash_and_a_changed_file_is_reported_before_training(
    running: Running,
) -> None:
    await starter(running)
    path = jsonl(running, "faq.jsonl", questions(20))
    found = await add(running, "faq", path)
    assert found["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    job = await running.accepted("StartFineTuningJob", base_model_id="starter", dataset_id="faq")
    recorded = await running.client.query("GetFineTuningJob", {"id": job})
    assert recorded["recipe"]["dataset"]["sha256"] == found["sha256"]
    jsonl(running, "faq.jsonl", questions(20, first=1))
    problem = await running.refused("StartFineTuningJob", base_model_id="starter", dataset_id="faq")
    assert (problem.code, problem.param) == (Code.CONFLICT, "dataset_id")
    path.unlink()
    problem = await running.refused("StartFineTuningJob", base_model_id="starter", dataset_id="faq")
    assert (problem.code, problem.param) == (Code.NOT_FOUND, "dataset_id")


@on_one_database
async def test_conformance_09_every_file_of_a_folder_is_hashed(running: Running) -> None:
    await starter(running)
    jsonl(running, "set/train.jsonl", questions(4))
    jsonl(running, "set/test.jsonl", questions(2, first=4))
    found = await add(running, "set", running.files / "set")
    assert {file["path"]: file["sha256"] for file in found["files"]} == {
        name: hashlib.sha256((running.files / "set" / name).read_bytes()).hexdigest()
        for name in ("train.jsonl", "test.jsonl")
    }
    jsonl(running, "set/test.jsonl", questions(2, first=5))
    problem = await running.refused("StartFineTuningJob", base_model_id="starter", dataset_id="set")
    assert (problem.code, problem.param) == (Code.CONFLICT, "dataset_id")
    assert "set/test.jsonl" in problem.message


# 10: inspection and preview ------------------------------------------------------------------------------------------


async def test_conformance_10_figures_of_all_rows_are_found_once_and_say_nothing_of_what_rows_hold(
    running: Running,
) -> None:
    rows = [{"question": "secret?", "answer": "yes"}, {"question": "secret?", "answer": "yes"}]
    rows += [{"question": "é", "answer": " "}, {"question": "abc"}]
    path = jsonl(running, "faq.jsonl", rows)
    found = await add(running, "faq", path)
    assert found["statistics"] == {
        "columns": [
            {"name": "question", "nulls": 0, "min_length": 1, "mean_length": 4.5, "max_length": 7},
            {"name": "answer", "nulls": 2, "min_length": 3, "mean_length": 3.0, "max_length": 3},
        ],
        "duplicate_rows": 1,
        "empty_answers": 2,
        "overlaps": {},
    }
    assert "secret" not in json.dumps([dict(event.data) for event in running.events("DatasetAdded")])
    shown = await preview(running, "faq", limit=2)
    assert (shown["rows"], shown["row_count"], shown["columns"]) == (rows[:2], 4, found["statistics"]["columns"])
    listed = (await running.client.query("ListDatasets", {}))["items"][0]
    assert "statistics" not in listed


@on_one_database
async def test_conformance_10_a_preview_reads_its_first_rows_alone(running: Running) -> None:
    path = jsonl(running, "faq.jsonl", questions(5))
    await add(running, "faq", path)
    path.write_text("\n".join([json.dumps(row) for row in questions(3)] + ["what was never read may be anything"]))
    shown = await preview(running, "faq", limit=3)
    assert (shown["rows"], shown["row_count"]) == (questions(3), 5)


@on_one_database
async def test_conformance_10_tokens_are_counted_and_those_that_carry_loss_are_marked(running: Running) -> None:
    await starter(running)
    rows = [{"question": f"question {n}? " * (n % 7 + 1), "answer": f"é {n}"} for n in range(300)]
    await add(running, "faq", jsonl(running, "faq.jsonl", rows), column_mapping=ANSWERS)
    shown = await preview(running, "faq", limit=2, model_id="starter", max_length=30)
    assert shown["text_format"] == "chat"
    pieces = shown["tokenized"][1]["pieces"]
    assert "".join(piece["text"] for piece in pieces if piece["loss"]) == "é 1<|end|>"
    before = "".join(piece["text"] for piece in pieces if not piece["loss"])
    assert before.endswith("question 1? question 1?<|end|><|assistant|>")
    counted = shown["token_lengths"]
    assert (counted["counted"], counted["rows"], counted["max_length"]) == (300, 300, 30)
    assert sum(each["rows"] for each in counted["histogram"]) == 300
    over = sum(each["rows"] for each in counted["histogram"] if each["from"] > 30)
    assert 0 < over <= counted["truncated"] < 300
    assert counted["truncated_share"] == pytest.approx(counted["truncated"] / 300)
    short = (await preview(running, "faq", limit=1, model_id="starter", max_length=5))["tokenized"][0]
    kept = sum(piece["tokens"] for piece in short["pieces"][: short["cut_at"]])
    assert kept <= 5 < kept + short["pieces"][short["cut_at"]]["tokens"], "the first piece that is cut"
    plain = await preview(running, "faq", limit=1, model_id="starter", text_format="plain")
    assert plain["tokenized"][0]["cut_at"] is None
    assert "".join(piece["text"] for piece in plain["tokenized"][0]["pieces"]) == "<|begin|>question 0? é 0<|end|>"
    assert counted["histogram"][0]["from"] == counted["min"]


@on_one_database
async def test_conformance_10_a_chat_template_that_does_not_end_is_an_error(running: Running, tmp_path: Path) -> None:
    folder = running.files / "endless"
    folder.mkdir()
    for file in MODEL.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    loop = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
    template = (MODEL / "chat_template.jinja").read_text()
    (folder / "chat_template.jinja").write_text(
        "{% if 'q1' in messages[0].content %}" + loop + "{% endif %}" + template
    )
    await running.accepted("AddModel", name="endless", path=str(folder))
    await add(running, "faq", jsonl(running, "faq.jsonl", questions(2)))
    with pytest.raises(TunebusError) as caught:
        await preview(running, "faq", model_id="endless")
    assert (caught.value.problem.code, caught.value.problem.param) == (Code.TOO_LARGE, "model_id")
    assert "row 2: rendering and tokenizing took longer than 2 s" in caught.value.problem.message


# Formats -------------------------------------------------------------------------------------------------------------

TURNS = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}]
FORMATS = [
    ("prompt_completion", {"prompt": "hi", "completion": "hello"}, "hi", "hello"),
    ("messages", {"messages": TURNS}, "user: hi\n", "hello"),
    ("alpaca", {"instruction": "greet", "input": "Ann", "output": "hello"}, "greet\n\nAnn\n", "hello"),
    ("alpaca", {"instruction": "greet", "output": "hello"}, "greet\n", "hello"),
    ("alpaca", {"instruction": "greet", "output": "hello", "system": "be kind"}, "be kind\n\ngreet\n", "hello"),
    (
        "messages",
        {"messages": [TURNS[0], {**TURNS[1], "weight": 0}, *TURNS]},
        "user: hi\nassistant: hello\nuser: hi\n",
        "hello",
    ),
    (
        "sharegpt",
        {"conversations": [{"from": "human", "value": "hi"}, {"from": "gpt", "value": "hello"}]},
        "user: hi\n",
        "hello",
    ),
    ("preference", {"prompt": "hi", "chosen": "hello", "rejected": "no"}, "hi", "hello"),
    ("preference", {"prompt": "hi", "chosen": TURNS, "rejected": TURNS}, "user: hi\n", "hello"),
    ("text", {"text": "once upon a time"}, "", "once upon a time"),
    ("prompt", {"question": "hi", "answer": "hello"}, "hi\n", "hello"),
]


@on_one_database
async def test_formats_are_recognised_and_preview_and_training_convert_them_alike(running: Running) -> None:
    await starter(running)
    for number, (format, row, prompt, completion) in enumerate(FORMATS):
        name = f"f{number}"
        found = await add(running, name, jsonl(running, f"{name}.jsonl", [row] * 3))
        assert found["format"] == format, row
        shown = await preview(running, name, limit=1, model_id="starter", text_format=None)
        assert (shown["rendered"][0]["prompt"], shown["rendered"][0]["completion"]) == (prompt, completion)
        learnt = "".join(piece["text"] for piece in shown["tokenized"][0]["pieces"] if piece["loss"])
        assert learnt == completion + "<|end|>", format


@on_one_database
async def test_a_conversation_with_calls_of_tools_is_taken_and_what_is_not_read_of_it_is_said(running: Running) -> None:
    turns = [("human", "what time is it?"), ("function_call", "clock()"), ("observation", "noon"), ("gpt", "Noon.")]
    row = {"conversations": [{"from": who, "value": text} for who, text in turns], "tools": '[{"name": "clock"}]'}
    found = await add(running, "calls", jsonl(running, "calls.jsonl", [row] * 3))
    assert found["format"] == "sharegpt"
    assert found["warnings"] == ["the column 'tools' is not read: conversations are trained on without it"]
    shown = (await preview(running, "calls", limit=1))["rendered"][0]
    assert "assistant: clock()\ntool: noon\n" in shown["prompt"]


@on_one_database
async def test_columns_of_other_names_are_mapped_and_every_reader_sees_the_standard_ones(running: Running) -> None:
    await starter(running)
    path = jsonl(running, "faq.jsonl", [{**row, "id": n} for n, row in enumerate(questions(20))])
    found = await add(running, "faq", path, column_mapping=ANSWERS)
    assert (found["format"], found["features"]) == ("prompt_completion", ["prompt", "completion", "id"])
    rows, _, _ = await training_rows(running, "faq")
    assert rows[0] == {"prompt": "q0", "completion": "a0", "id": 0}
    assert (await evaluation_rows(running, "faq"))[0] == rows
    assert (await preview(running, "faq", limit=20))["rows"] == rows


@on_one_database
async def test_a_file_that_fits_no_format_says_what_is_missing_and_for_which(running: Running) -> None:
    path = jsonl(running, "a.jsonl", [{"instruction": "x", "response": "y"}])
    for fields, param, words in (
        ({"format": "alpaca"}, "format", "does not fit Alpaca: it lacks 'output'"),
        ({"format": "messages"}, "format", "does not fit messages: it lacks 'messages'"),
        (mapped(prompt="instruction"), "column_mapping", "for prompt/completion it lacks 'completion'"),
        (mapped(output="answer"), "column_mapping.output", "there is no column 'answer'"),
        (mapped(instruction="response"), "column_mapping.instruction", "a column 'instruction' of its own"),
        (mapped(outptu="response"), "column_mapping.outptu", "no name that a format knows"),
    ):
        problem = await refusal(running, path, **fields)
        assert (problem.code, problem.param) == (Code.INVALID, param), fields
        assert words in problem.message
    assert "did you mean 'output'" in (problem.hint or "")
    found = await add(running, "mapped", path, column_mapping={"output": "response"})
    assert found["format"] == "alpaca"
    plain = await add(running, "plain", path)
    assert plain["warnings"] == ["plain columns, which need a prompt: for Alpaca it lacks 'output'"]


async def test_preference_pairs_are_kept_and_trained_on_only_when_the_chosen_answer_is_mapped(running: Running) -> None:
    await starter(running)
    path = jsonl(running, "p.jsonl", [{"prompt": f"q{n}", "chosen": "a", "rejected": "b"} for n in range(10)])
    await add(running, "pairs", path)
    problem = await running.refused("StartFineTuningJob", base_model_id="starter", dataset_id="pairs")
    assert (problem.code, problem.param) == (Code.NOT_SUPPORTED, "dataset_id")
    assert "completion=chosen" in (problem.hint or "")
    await add(running, "chosen", path, column_mapping={"completion": "chosen"})
    rows, _, _ = await training_rows(running, "chosen")
    assert rows[0] == {"prompt": "q0", "completion": "a", "rejected": "b"}


@on_one_database
async def test_plain_text_is_no_chat(running: Running) -> None:
    await starter(running)
    await add(running, "stories", jsonl(running, "t.jsonl", [{"text": f"story {n}"} for n in range(20)]))
    asked = {"base_model_id": "starter", "dataset_id": "stories"}
    problem = await running.refused("StartFineTuningJob", **asked, text_format="chat")
    assert (problem.code, problem.param) == (Code.NOT_SUPPORTED, "text_format")
    job = await running.accepted("StartFineTuningJob", **asked)
    recipe = (await running.client.query("GetFineTuningJob", {"id": job}))["recipe"]
    assert (recipe["text_format"], recipe["dataset"]["format"]) == ("plain", "text")


# 22: splits ----------------------------------------------------------------------------------------------------------


async def test_conformance_22_an_existing_split_is_the_test_set_untouched_in_training_and_evaluation(
    running: Running,
) -> None:
    await starter(running)
    jsonl(running, "set/train.jsonl", questions(40))
    jsonl(running, "set/more/part-1.csv", [])
    (running.files / "set/more/part-1.csv").write_text("question,answer\nq90,a90\n")
    jsonl(running, "set/validation.jsonl", questions(5, first=50))
    jsonl(running, "set/test/part.jsonl", questions(7, first=60))
    found = await add(running, "set", running.files / "set")
    assert (found["type"], found["splits"]) == ("folder", {"train": 41, "validation": 5, "test": 7})
    for fields in ({}, {"dataset_fraction": 0.5, "train_test_split": 1.0}):
        rows, train, test = await training_rows(running, "set", **fields)
        assert [rows[number] for number in test] == questions(7, first=60), "whole, in its order"
        share = int(41 * fields.get("dataset_fraction", 1))
        assert len(train) == share
        assert {rows[number]["question"] for number in train} <= {f"q{n}" for n in [*range(40), 90]}
        scored, _, held_out = await evaluation_rows(running, "set")
        assert [scored[number] for number in held_out] == questions(7, first=60)


@on_one_database
async def test_conformance_22_overlap_of_splits_is_counted_and_a_folder_without_training_rows_is_refused(
    running: Running,
) -> None:
    await starter(running)
    jsonl(running, "a/train.jsonl", questions(10))
    jsonl(running, "a/eval.jsonl", questions(4, first=8))
    found = await add(running, "a", running.files / "a", type="folder")
    assert found["statistics"]["overlaps"] == {"eval": 2}
    assert "2 rows of the split 'eval' are in 'train' as well" in found["warnings"]
    jsonl(running, "b/test.jsonl", questions(4))
    await add(running, "b", running.files / "b")
    problem = await running.refused("StartFineTuningJob", base_model_id="starter", dataset_id="b")
    assert (problem.code, problem.param) == (Code.INVALID, "dataset_id")
    rows, _, test = await evaluation_rows(running, "b")
    assert (rows, test) == (questions(4), [0, 1, 2, 3])


@on_one_database
async def test_conformance_22_a_share_is_split_by_seed_in_decimal(running: Running) -> None:
    await starter(running)
    await add(running, "faq", jsonl(running, "faq.jsonl", questions(30)))
    _, train, test = await training_rows(running, "faq", train_test_split=0.9)
    assert (len(train), len(test)) == (27, 3)
    assert (await evaluation_rows(running, "faq", train_test_split=0.9))[2] == test
    _, train, test = await training_rows(running, "faq", dataset_fraction=0.5, train_test_split=1.0)
    assert (len(train), test) == (15, [])


@on_one_database
async def test_folders_are_refused_in_words(running: Running, tmp_path: Path) -> None:
    (running.files / "none").mkdir()
    (running.files / "none" / "notes.txt").write_text("x")
    problem = await refusal(running, running.files / "none")
    assert "a folder without a dataset file" in problem.message
    jsonl(running, "bad/train.jsonl", questions(2))
    jsonl(running, "bad/test.jsonl", questions(1)).write_text('{"question": "q"}\n{broken\n')
    problem = await refusal(running, running.files / "bad")
    assert "test.jsonl: line 2: not JSON" in problem.message
    jsonl(running, "out/train.jsonl", questions(2))
    (tmp_path / "secret.jsonl").write_text('{"a": 1}')
    (running.files / "out" / "test.jsonl").symlink_to(tmp_path / "secret.jsonl")
    problem = await refusal(running, running.files / "out")
    assert problem.code == Code.NOT_PERMITTED
    problem = await refusal(running, jsonl(running, "file.jsonl", questions(1)), type="folder")
    assert (problem.code, problem.param) == (Code.INVALID, "type")


# Size ----------------------------------------------------------------------------------------------------------------


@on_one_database
async def test_fifty_megabytes_are_added_in_bounded_memory_with_progress(running: Running) -> None:
    await add_large(running, 50 * MiB)


@pytest.mark.torture
@pytest.mark.timeout(900)
@on_one_database
async def test_a_gigabyte_is_added_in_bounded_memory_with_progress(running: Running) -> None:
    await add_large(running, 1000 * MiB)


async def add_large(running: Running, size: int) -> None:
    path = running.files / "large.jsonl"
    rows = write_questions(path, size)
    await running.accepted("AddDataset", name="small", path=str(jsonl(running, "small.jsonl", questions(9))))
    command_id = new_id()
    seen: list[dict[str, Any]] = []
    async with Memory(psutil.Process()) as memory:

        async def look() -> None:
            progress = await running.client.query("GetCommandProgress", {"command_id": command_id})
            if progress["phase"] is not None:
                seen.append(progress)

        data = {"name": "large", "path": str(path)}
        sending = running.client.send("AddDataset", data, command_id=command_id, timeout=600)
        outcome = await memory.until(sending, look)
    assert outcome.error is None, outcome.error
    found = await running.client.query("GetDataset", {"id": "large"})
    assert (found["rows"], found["bytes"]) == (rows, path.stat().st_size)
    assert found["statistics"]["duplicate_rows"] == 0
    assert memory.grown < 300 * MiB
    assert [each["done"] for each in seen] == sorted(each["done"] for each in seen)
    assert {(each["phase"], each["unit"]) for each in seen} == {("inspecting", "bytes")}
    assert 0 < seen[-1]["done"] <= seen[-1]["total"] == path.stat().st_size
    assert (await preview(running, "large", limit=1))["row_count"] == rows
    print(f"{path.stat().st_size / MiB:.0f} MiB, {rows} rows: {memory.grown / MiB:.0f} MiB above idle")
