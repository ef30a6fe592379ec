"""From the training form to the command, its three spellings, and back: defaults left out, every wrong field named."""

from __future__ import annotations

import ast
import json
import shlex
from typing import Any

import pytest
import typer
from tunebus.contracts.client import Client
from tunebus.contracts.commands import CloneFineTuningJob, Command, StartFineTuningJob, validate
from tunebus.contracts.commands.fine_tuning_job import FineTuningFields
from tunebus.contracts.errors import TunebusError
from tunebus.contracts.recipes import LoraSettings, TrainingArguments
from tunebus.ui.cli import lifecycle
from tunebus.ui.cli.options import given
from tunebus.ui.web.training import estimate, spelling
from tunebus.ui.web.training.composing import as_clone, as_typed, compose, refuse_wrong
from tunebus.ui.web.training.fields import APART, INLINE, NOT_BUILT, fields
from tunebus.ui.web.words import catalogue
from typer.core import TyperGroup

THINGS = {"dataset_id": "d", "base_model_id": "m"}
EVERYTHING = {
    **THINGS,
    "prompt_id": "p",
    "adapter_name": "support-bot",
    "num_epochs": 2.5,
    "learning_rate": 2e-5,
    "batch_size": 4,
    "num_gpu": 1,
    "num_memory": 7.5,
    "gradient_checkpointing": False,
    "load_best_model_at_end": True,
    "early_stopping_patience": 2,
    "dataset_fraction": 0.5,
    "text_format": "plain",
    "lora": {"r": 4, "target_modules": ["q_proj", "v_proj"], "use_dora": True},
    "training_arguments": {"lr_scheduler_type": "linear", "warmup_ratio": 0.1},
    "register_adapter": False,
    "priority": -5,
    "hold": True,
    "depends_on": ["one", "two words"],
    "labels": ["it's", "--odd", "a b"],
    "notes": 'two\nlines, "quoted" $HOME \\ `x`',
}


def test_an_untouched_form_asks_for_a_dataset_and_a_model_alone() -> None:
    untouched = {
        "num_gpu": 0,
        "method": "lora",
        "hold": False,
        "register_adapter": True,
        "train_test_split": 0.95,
        "labels": [],
        "adapter_name": "",
        "configs": {"lora": ""},
        "wait_memory": "",
    }
    assert compose({**THINGS, **untouched}, {}) == THINGS


def test_every_field_of_the_contract_can_be_reached() -> None:
    shown = {field.name for field in fields()} | set(APART) | set(NOT_BUILT)
    assert set(FineTuningFields.model_fields) <= shown
    inner = {name.partition(".")[2] for name in shown if "." in name}
    assert set(LoraSettings.model_fields) <= inner
    longer = {"num_train_epochs": "num_epochs", "per_device_train_batch_size": "batch_size"}
    assert {longer.get(name, name) for name in TrainingArguments.model_fields} <= inner | shown


def test_every_field_says_what_it_is_and_what_it_takes() -> None:
    words = catalogue()
    for field in fields():
        assert words[f"{field.key}.label"]
        assert words[f"{field.key}.help"]
        assert field.default
        if field.kind in ("integer", "number"):
            assert field.range, field.name
            assert words[f"{field.key}.help"].endswith(";"), field.name  # the range goes on


def test_a_config_is_named_or_where_something_is_changed_sent_as_settings() -> None:
    configs = {"c": {"r": 8, "lora_alpha": 16}}
    assert compose({**THINGS, "configs": {"lora": "c"}}, configs)["lora"] == "c"
    assert compose({**THINGS, "configs": {"lora": "c"}, "lora": {"r": 4}}, configs)["lora"] == {
        "r": 4,
        "lora_alpha": 16,
    }
    assert "lora" not in compose({**THINGS, "method": "full", "lora": {"r": 4}}, configs)


def test_a_job_waits_for_memory_unless_a_person_said_how_much() -> None:
    assert compose({**THINGS, "wait_memory": 9}, {})["num_memory"] == 9
    assert compose({**THINGS, "wait_memory": 9, "num_memory": 3}, {})["num_memory"] == 3


def test_every_wrong_field_is_named_at_once() -> None:
    wrong = {"learning_rate": "nan", "batch_size": "a few", "lora": {"r": 0}, "training_arguments": {"optm": "sgd"}}
    with pytest.raises(TunebusError) as caught:
        refuse_wrong(compose(wrong, {}))
    named = {one.param for one in caught.value.problem.details or ()}
    assert named == {
        "base_model_id",
        "dataset_id",
        "learning_rate",
        "batch_size",
        "lora.r",
        "training_arguments.optm",
    }


def parsed_by_the_command_line(line: str) -> tuple[str, dict[str, Any]]:
    words = shlex.split(line.replace("\\\n", ""))
    assert words[:2] == ["tunebus", "train"]
    group = typer.main.get_command(lifecycle.train)
    assert isinstance(group, TyperGroup)
    found = group.commands[words[2]].make_context(words[2], words[3:]).params
    parsed = given({name: value for name, value in found.items() if name in StartFineTuningJob.model_fields})
    if words[2] == "clone":
        parsed |= {"id": found["id"], "changes": lifecycle.changes(found["settings"])}
    return words[2], parsed


@pytest.mark.parametrize(
    ("kind", "command"),
    [
        (StartFineTuningJob, THINGS),
        (StartFineTuningJob, EVERYTHING),
        (StartFineTuningJob, {**THINGS, "lora": "config-id", "method": "full"}),
        (CloneFineTuningJob, {"id": "j", "changes": {}}),
        (
            CloneFineTuningJob,
            {"id": "a job", "changes": {**EVERYTHING, "seed": None}, "adapter_name": "n"},
        ),
    ],
)
def test_three_spellings_say_the_same_command(kind: type[Command], command: dict[str, Any]) -> None:
    meant = validate(kind, command)
    name, parsed = parsed_by_the_command_line(spelling.command_line(kind.__name__, command))
    assert name == {StartFineTuningJob: "start", CloneFineTuningJob: "clone"}[kind]
    assert validate(kind, parsed) == meant
    sent = json.loads(spelling.message(kind.__name__, command))
    assert sent["type"] == kind.__name__
    assert validate(kind, sent["data"]) == meant
    calls = [
        node for node in ast.walk(ast.parse(spelling.python(kind.__name__, command))) if isinstance(node, ast.Call)
    ]
    (call,) = [one for one in calls if ast.unparse(one.func).startswith("studio.")]
    assert hasattr(Client, ast.unparse(call.func).removeprefix("studio."))
    assert validate(kind, {str(one.arg): ast.literal_eval(one.value) for one in call.keywords}) == meant


def test_a_clone_asks_for_what_the_job_asked_for_and_says_what_is_different() -> None:
    job = {**THINGS, "id": "j", "prompt_id": "p", "asked": {**EVERYTHING, "dataset_id": "by name", "num_cpu": None}}
    typed: dict[str, Any] = {}
    for name, value in as_typed(job).items():
        settings, _, inner = name.rpartition(".")
        (typed.setdefault(settings, {}) if settings else typed)[inner] = value
    command = compose(typed, {})
    own = {"adapter_name", "depends_on", "hold", "priority"}
    assert command == {name: value for name, value in EVERYTHING.items() if name not in own}
    assert as_clone(job, command) == {"id": "j", "changes": {}}
    other = {**command, "seed": 7, "adapter_name": "n", "hold": True}
    del other["notes"]
    changes = {"seed": 7, "hold": True, "notes": None}
    assert as_clone(job, other) == {"id": "j", "changes": changes, "adapter_name": "n"}
    said = {**job, "asked": {**THINGS, "num_gpu": 0}}  # a default that was said is one still
    assert as_clone(said, THINGS)["changes"] == {}
    by_config = as_typed({**THINGS, "prompt_id": None, "asked": {**THINGS, "lora": "c"}})
    assert by_config == {**THINGS, "configs.lora": "c"}


def test_ways_to_need_less_are_fields_of_the_form() -> None:
    change = {"batch_size": 2, "gradient_checkpointing": True, "lora": {"r": 4}, "training_arguments": {"optim": "sgd"}}
    names = {field.name for field in fields()}
    found = estimate.flat(change)
    assert found == {
        "batch_size": "2",
        "gradient_checkpointing": "true",
        "lora.r": "4",
        "training_arguments.optim": "sgd",
    }
    assert set(found) <= names
    assert set(INLINE) == {"lora", "training_arguments"}


ESTIMATE: dict[str, Any] = {
    "device": "cpu",
    "memory": {"total": 10**9, **dict.fromkeys(estimate.TERMS, 10**8)},
    "time": {"seconds": None, "basis": "unknown"},
    "steps": 10,
    "trainable_parameters": 1000,
    "rows": {"train": 9, "held_out": 1},
    "tokens": 100,
    "lengths": {"mean": 8000.0, "longest": 9000, "median": 8000, "counted": 10},
    "disk": {"total": 1, "checkpoints": 1, "checkpoint": 1},
    "fits": True,
    "workers": [{"host": "here", "memory": 2 * 10**9}],
    "smaller": [],
}


def test_an_older_registry_gives_no_warnings() -> None:
    assert "tb-banner-warning" not in estimate.panel(ESTIMATE)
    assert "&lt;b&gt; is high" in estimate.panel({**ESTIMATE, "warnings": ["<b> is high"]})


def test_rows_that_are_cut_are_no_reason_to_say_nothing() -> None:
    assert "longer than 512 tokens: the middle one has 8,000" in estimate.panel(ESTIMATE, 512)
    asked = {**ESTIMATE, "resolved": {"training_arguments": {"max_length": 256}}}
    assert "longer than 256 tokens" in estimate.panel(asked, 512)
    assert "longer than" not in estimate.panel(ESTIMATE, 8000)
    uncounted = {**ESTIMATE, "lengths": {**ESTIMATE["lengths"], "counted": 0}}
    assert "longer than" not in estimate.panel(uncounted, 512)
