"""Adding by path through the bus: real files, every refusal with its field, nothing written."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from tests.fixtures.registry import MODEL, Running


async def add(running: Running, path: Path | str, **fields: Any) -> Any:
    return await running.refused("AddDataset", **{"name": "faq", "path": str(path), **fields})


GOOD_FILES = [
    ("a.csv", '\ufeffquestion,answer\n"q, 1","a\nb"\n', ["question", "answer"], 1),
    ("b.CSV", "question,answer\nq,a\n", ["question", "answer"], 1),
    ("c.json", '[{"q": 1}, {"q": 2}]', ["q"], 2),
    ("d.json", '{"q": 1}', ["q"], 1),
    ("e.jsonl", '{"q": 1}\n{"q": 2, "r": 3}\n', ["q", "r"], 2),
]


async def test_files_of_each_type_are_added(running: Running) -> None:
    for name, text, features, rows in GOOD_FILES:
        await running.accepted("AddDataset", name=name, path=str(running.write(name, text)))
        found = await running.client.query("GetDataset", {"id": name})
        assert (found["features"], found["rows"]) == (features, rows), name


async def test_a_broken_line_is_named(running: Running) -> None:
    lines = [json.dumps({"q": number}) for number in range(30)]
    lines[16] = "{broken"
    problem = await add(running, running.write("a.jsonl", "\n".join(lines)))
    assert (problem.code, problem.param) == ("invalid", "path")
    assert "line 17" in problem.message
    assert running.events() == []


NO_DATASETS = [
    ("a.csv", "", "empty"),
    ("a.csv", "question,answer\n", "no rows"),
    ("a.csv", "a,a\n1,2\n", "duplicate"),
    ("a.csv", "a,\n1,2\n", "blank"),
    ("a.csv", "a,b\n1,2,3\n", "3 fields"),
    ("a.json", "[]", "empty"),
    ("a.txt", "a,b\n1,2\n", "suffix"),
]


async def test_what_is_no_dataset_is_refused_in_words(running: Running) -> None:
    for name, text, word in NO_DATASETS:
        problem = await add(running, running.write(name, text))
        assert problem.code == "invalid"
        assert word in problem.message
    assert running.events() == []


async def test_a_missing_file_is_named_as_given(running: Running) -> None:
    path = str(running.files / "nope.csv")
    problem = await add(running, path)
    assert (problem.code, problem.param) == ("not_found", "path")
    assert path in problem.message


async def test_a_file_outside_the_roots_is_not_permitted(running: Running, tmp_path: Path) -> None:
    (tmp_path / "secret.csv").write_text("a,b\n1,2\n")
    (running.files / "link.csv").symlink_to(tmp_path / "secret.csv")
    for path in (tmp_path / "secret.csv", running.files / "link.csv", running.files / ".." / "secret.csv"):
        assert (await add(running, path)).code == "not_permitted"


async def test_a_suffix_of_another_type_is_refused(running: Running) -> None:
    problem = await add(running, running.write("a.csv", "a,b\n1,2\n"), type="jsonl")
    assert (problem.code, problem.param) == ("invalid", "path")


async def test_models_are_added_from_folders_and_pickles_refused(running: Running) -> None:
    folder = running.files / "model"
    shutil.copytree(MODEL, folder)
    await running.accepted("AddModel", name="mine", path=str(folder))
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    problem = await running.refused("AddModel", name="other", path=str(folder))
    assert (problem.code, problem.param) == ("not_supported", "path")
    assert problem.hint


async def test_an_adapter_of_an_unknown_model_names_all_that_is_unknown(running: Running) -> None:
    problem = await running.refused(
        "AddAdapter", name="a", model_id="m?", path="x", fine_tuning_job_id="j?", prompt_id="p?"
    )
    assert [detail.param for detail in problem.details or ()] == ["model_id", "fine_tuning_job_id", "prompt_id"]


async def test_a_config_as_yaml_is_the_same_as_json(running: Running) -> None:
    first = await running.accepted("AddConfig", type="lora", config="# mine\nr: 8\nlora_alpha: 16\n")
    assert await running.accepted("AddConfig", type="lora", config={"lora_alpha": 16, "r": 8}) == first
    assert await running.accepted("AddConfig", type="lora", config='{"r":8,"lora_alpha":16}') == first
    assert len(running.events("ConfigAdded")) == 1
    problem = await running.refused("AddConfig", type="lora", config="r: [")
    assert (problem.code, problem.param) == ("invalid", "config")


async def test_a_file_that_changed_is_reported_before_training(running: Running) -> None:
    await running.things()
    (running.files / "faq.jsonl").write_text('{"question": "other", "answer": "other"}\n')
    problem = await running.refused("StartFineTuningJob", base_model_id="starter", dataset_id="faq")
    assert (problem.code, problem.param) == ("conflict", "dataset_id")
    combination = {"base_model_id": "starter", "dataset_id": "faq"}
    problem = await running.refused("StartEvaluationJob", combinations=[combination])
    assert (problem.code, problem.param) == ("conflict", "combinations.0.dataset_id")
    (running.files / "faq.jsonl").unlink()
    problem = await running.refused("StartFineTuningJob", base_model_id="starter", dataset_id="faq", lora="l?")
    assert {detail.param: detail.code for detail in problem.details or ()} == {
        "dataset_id": "not_found",
        "lora": "not_found",
    }


async def test_wrong_fields_and_unknown_ids_come_in_one_reply(running: Running) -> None:
    problem = await running.refused(
        "StartFineTuningJob", base_model_id="m?", dataset_id="d?", learning_rate="nan", num_epoch=3
    )
    assert {detail.param for detail in problem.details or ()} == {
        "base_model_id",
        "dataset_id",
        "learning_rate",
        "num_epoch",
    }
