"""What is typed becomes the fields of a command or query, and nothing else."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
from tunebus.contracts.commands import StartFineTuningJob

from tests.unit.ui.cli.conftest import FakeBus, Run

DATASET = {"id": "d", "name": "faq", "rows": 2, "features": ["q", "a"], "warnings": []}


def only(bus: FakeBus) -> tuple[str, dict[str, Any]]:
    assert len(bus.sent) == 1
    return bus.sent[0]


def test_a_path_is_sent_absolute(run: Run, bus: FakeBus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    bus.answer("GetDataset", DATASET)
    assert run("dataset", "add", "faq.csv", "--name", "faq").code == 0
    assert only(bus) == ("AddDataset", {"path": str(tmp_path / "faq.csv"), "name": "faq"})


@pytest.mark.parametrize(
    ("words", "param"),
    [
        (("dataset", "add", "", "--name", "e"), "path"),
        (("dataset", "add", "", "--name", "e", "--upload"), "path"),
        (("dataset", "inspect", ""), "path"),
        (("model", "add", "", "--name", "e"), "path"),
        (("adapter", "add", " ", "--name", "e", "--model", "m"), "path"),
        (("train", "import", "", "--name", "e"), "path"),
        (("train", "import", "", "--name", "e", "--upload"), "path"),
        (("export", "start", "--adapter", "a", "--type", "merged", "--destination", ""), "destination"),
        (("config", "add", "", "--type", "lora"), "config"),
        (("eval", "export", "PARENT", "--output", ""), "output"),
        (("password", "set", "--file", ""), "file"),
        (("db", "export", ""), "file"),
        (("db", "export", "", "--offline"), "file"),
        (("db", "import", ""), "file"),
        (("db", "backup", ""), "file"),
        (("db", "restore", ""), "file"),
        (("status", "--home", ""), "TUNEBUS_HOME"),
    ],
)
def test_an_empty_path_is_refused_and_never_the_current_folder(
    run: Run, bus: FakeBus, words: tuple[str, ...], param: str
) -> None:
    ended = run(*words, "--json")
    assert ended.code == 3
    problem = json.loads(ended.err)
    assert (problem["code"], problem["param"]) == ("invalid", param)
    assert problem["message"].startswith("names no f")
    assert bus.sent == bus.asked == []


def test_a_uri_is_sent_as_it_is(run: Run, bus: FakeBus) -> None:
    assert run("model", "add", "artifact:starter/model", "--name", "m").code == 0
    assert only(bus) == ("AddModel", {"path": "artifact:starter/model", "name": "m"})


def test_a_model_and_a_dataset_are_enough_to_start(run: Run, bus: FakeBus) -> None:
    assert run("train", "start", "--model", "m", "--dataset", "d").code == 0
    assert only(bus) == ("StartFineTuningJob", {"base_model_id": "m", "dataset_id": "d"})


def test_a_job_that_is_held_is_not_said_to_be_queued_and_warnings_are_shown(run: Run, bus: FakeBus) -> None:
    bus.answer("GetFineTuningJob", {"warnings": ["train_test_split 0.8 has no effect"]})
    ended = run("train", "start", "--model", "m", "--dataset", "d", "--hold")
    assert "held until it is released: tunebus queue release new-id" in ended.err
    assert "queued" not in ended.err
    assert "train_test_split 0.8 has no effect" in ended.err
    assert "queued" in run("train", "start", "--model", "m", "--dataset", "d").err


def test_every_field_of_a_job_has_an_option_of_its_name(run: Run, bus: FakeBus) -> None:
    given = {
        "base_model_id": "m", "dataset_id": "d", "prompt_id": "p", "adapter_name": "a", "method": "lora",
        "num_workers": 1, "num_cpu": 2, "num_gpu": 1, "num_memory": 1.5, "num_epochs": 3.0, "learning_rate": 2e-3,
        "max_steps": 10, "batch_size": 4, "max_length": 128, "seed": 7, "save_steps": 5, "eval_steps": 5,
        "dataset_fraction": 0.5, "train_test_split": 0.9, "training_arguments": {"weight_decay": 0.1},
        "lora": {"r": 8}, "quantization": "config-id", "framework_type": "transformers", "text_format": "plain",
        "register_adapter": False, "gradient_accumulation_steps": 2, "gradient_checkpointing": True,
        "save_total_limit": 3, "load_best_model_at_end": True, "early_stopping_patience": 2,
        "early_stopping_threshold": 0.1, "eval_samples": 0, "user_script": "mine.py", "user_config": {"x": 1},
        "priority": 3, "hold": True, "depends_on": ["one", "two"], "labels": ["a"], "notes": "to remember",
    }  # fmt: skip
    assert set(given) == set(StartFineTuningJob.model_fields)
    words = []
    for name, value in given.items():
        option = "--" + name.replace("_", "-")
        if isinstance(value, bool):
            words.append(option if value else f"--no-{option[2:]}")
        elif isinstance(value, list):
            words += [word for one in value for word in (option, one)]
        elif isinstance(value, dict):
            words += [option, str(value).replace("'", '"')]
        else:
            words += [option, str(value)]
    assert run("train", "start", *words).code == 0
    command, data = only(bus)
    assert command == "StartFineTuningJob"
    assert data == given


@pytest.mark.parametrize("number", ["nan", "inf", "-inf"])
def test_a_number_json_cannot_say_is_sent_as_the_word(run: Run, bus: FakeBus, number: str) -> None:
    run("train", "start", "--model", "m", "--dataset", "d", "--learning-rate", number)
    word = only(bus)[1]["learning_rate"]
    assert isinstance(word, str)
    assert not math.isfinite(float(word))


def test_settings_that_are_no_json_are_refused_before_anything_is_sent(run: Run, bus: FakeBus) -> None:
    ended = run("train", "start", "--model", "m", "--dataset", "d", "--lora", '{"r": ')
    assert ended.code == 3
    assert "lora: is not JSON" in ended.err
    assert bus.sent == []


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('{"r": NaN}', "NaN is no JSON number"),
        (r'{"r": "\ud800"}', "half a surrogate pair"),
        ('{"r": 1, "r": 2}', "'r'"),
    ],
)
def test_settings_that_no_message_can_hold_are_refused_before_anything_is_sent(
    run: Run, bus: FakeBus, text: str, why: str
) -> None:
    ended = run("train", "start", "--model", "m", "--dataset", "d", "--lora", text)
    assert ended.code == 3
    assert ended.err.startswith("lora: is not JSON: ")
    assert why in ended.err
    assert bus.sent == []


NOT_UTF8 = "d/\udcff.jsonl"  # what Python makes of the byte 0xff


@pytest.mark.parametrize(
    ("words", "param"),
    [
        (("dataset", "add", NOT_UTF8, "--name", "s"), "path"),
        (("dataset", "add", "d.jsonl", "--name", NOT_UTF8), "name"),
        (("train", "start", "--model", "m", "--dataset", "d", "--label", NOT_UTF8), "labels"),
        (("db", "export", NOT_UTF8), "file"),
        (("dataset", "list", "--home", NOT_UTF8), "home"),
    ],
)
def test_an_argument_that_is_not_utf8_is_refused_by_its_name(
    run: Run, bus: FakeBus, words: tuple[str, ...], param: str
) -> None:
    ended = run(*words)
    assert ended.code == 3
    assert ended.err.startswith(f"{param}: is not UTF-8: d/\\udcff.jsonl")
    problem = json.loads(run(*words, "--json").err)
    assert (problem["code"], problem["param"]) == ("invalid", param)
    assert bus.sent == bus.asked == []


def test_a_number_that_is_not_utf8_is_wrong_usage(run: Run) -> None:
    ended = run("train", "start", "--model", "m", "--dataset", "d", "--num-epochs", "\udcff")
    assert ended.code == 2
    assert "'--num-epochs': must be" in ended.err


def test_a_config_is_read_from_its_file(run: Run, bus: FakeBus, tmp_path: Path) -> None:
    file = tmp_path / "lora.yaml"
    file.write_text("r: 8\n")
    assert run("config", "add", str(file), "--type", "lora", "--is-default").code == 0
    assert only(bus) == ("AddConfig", {"config": "r: 8\n", "type": "lora", "is_default": True})


def test_a_config_may_be_typed(run: Run, bus: FakeBus) -> None:
    assert run("config", "add", '{"r": 8}', "--type", "lora").code == 0
    assert only(bus) == ("AddConfig", {"config": '{"r": 8}', "type": "lora"})


def test_a_config_file_that_is_not_there_is_named(run: Run, bus: FakeBus) -> None:
    ended = run("config", "add", "nowhere.yaml", "--type", "lora")
    assert ended.code == 4
    assert "nowhere.yaml cannot be read" in ended.err


def test_a_job_is_stopped_gently_unless_forced(run: Run, bus: FakeBus) -> None:
    run("train", "stop", "job")
    run("train", "stop", "job", "--force")
    assert bus.sent == [("StopFineTuningJob", {"id": "job"}), ("StopFineTuningJob", {"id": "job", "force": True})]


def test_filters_of_a_list_are_the_querys_fields(run: Run, bus: FakeBus) -> None:
    bus.answer("ListEvents", {"items": [], "next": None})
    assert run("events", "list", "--from", "5", "--aggregate", "dataset", "--limit", "3").code == 0
    assert bus.asked == [("ListEvents", {"from_position": 5, "aggregate": "dataset", "limit": 3})]


def test_tail_follows_new_events_or_those_from_a_position(run: Run, bus: FakeBus) -> None:
    run("events", "tail")
    run("events", "tail", "--from", "9", "--aggregate", "model")
    assert bus.asked == [
        ("events", {"from": "live", "aggregate": None, "entity_id": None}),
        ("events", {"from": 9, "aggregate": "model", "entity_id": None}),
    ]


ADAPTER = {"id": "adapter-id", "model_id": "m", "fine_tuning_job_id": "job", "prompt_id": "p"}


def test_an_adapter_alone_is_compared_with_its_base_on_its_own_data(run: Run, bus: FakeBus) -> None:
    bus.answer("GetAdapter", ADAPTER)
    bus.answer("GetFineTuningJob", {"dataset_id": "d", "prompt_id": "p"})
    assert run("eval", "start", "--adapter", "tuned", "--max-rows", "5").code == 0
    base = {"base_model_id": "m", "dataset_id": "d", "prompt_id": "p"}
    tuned = {**base, "adapter_id": "adapter-id"}
    assert only(bus) == ("StartEvaluationJob", {"combinations": [base, tuned], "max_rows": 5})


def test_two_adapters_of_one_base_are_compared_with_it_once(run: Run, bus: FakeBus) -> None:
    bus.answer("GetAdapter", ADAPTER, {**ADAPTER, "id": "other"})
    bus.answer("GetFineTuningJob", {"dataset_id": "d", "prompt_id": "p"})
    run("eval", "start", "--adapter", "one", "--adapter", "two")
    assert [one.get("adapter_id") for one in only(bus)[1]["combinations"]] == [None, "adapter-id", "other"]


def test_a_base_alone_is_evaluated(run: Run, bus: FakeBus) -> None:
    run("eval", "start", "--model", "m", "--dataset", "d")
    assert only(bus)[1] == {"combinations": [{"base_model_id": "m", "dataset_id": "d"}]}


def test_combinations_may_be_written_out(run: Run, bus: FakeBus) -> None:
    run("eval", "start", "--combination", '{"base_model_id": "m", "dataset_id": "d", "adapter_id": "a"}')
    assert only(bus)[1]["combinations"] == [{"base_model_id": "m", "dataset_id": "d", "adapter_id": "a"}]


def test_what_no_adapter_can_tell_is_asked_for(run: Run, bus: FakeBus) -> None:
    bus.answer("GetAdapter", {**ADAPTER, "fine_tuning_job_id": None})
    ended = run("eval", "start", "--adapter", "foreign")
    assert ended.code == 3
    assert "dataset_id: is required" in ended.err
    assert bus.sent == []
