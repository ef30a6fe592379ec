"""From the training form to the command: numbers as typed, empty fields left out, every wrong one named."""

from __future__ import annotations

from typing import Any

import pytest
from tunebus.contracts.commands import StartFineTuningJob, validate
from tunebus.contracts.errors import TunebusError
from tunebus.contracts.recipes import LoraSettings, TrainingArguments
from tunebus.ui.web.train import SETTINGS, command_of


def typed(**given: str) -> list[str]:
    assert set(given) <= {setting.name for setting in SETTINGS}
    return [given.get(setting.name, "") for setting in SETTINGS]


def command(**given: str) -> dict[str, Any]:
    return command_of("d", "m", None, "cosine", "", typed(**given))


def test_an_empty_form_asks_for_nothing_but_a_dataset_and_a_model() -> None:
    assert command() == {"dataset_id": "d", "base_model_id": "m"}


def test_numbers_go_where_the_command_takes_them() -> None:
    found = command(num_epochs="2.5", learning_rate="2e-4", batch_size=" 8 ", r="4", warmup_ratio="0.1")
    assert found["num_epochs"] == 2.5
    assert found["learning_rate"] == 2e-4
    assert found["batch_size"] == 8
    assert found["lora"] == {"r": 4}
    assert found["training_arguments"] == {"warmup_ratio": 0.1}


def test_every_setting_is_a_field_of_the_contract() -> None:
    everything = command_of("d", "m", "p", "linear", "name", ["1" for _ in SETTINGS])
    checked = validate(StartFineTuningJob, {**everything, "lora": {**everything["lora"], "lora_dropout": 0.5}})
    assert isinstance(checked, StartFineTuningJob)
    assert set(everything["lora"]) <= set(LoraSettings.model_fields)
    assert set(everything["training_arguments"]) <= set(TrainingArguments.model_fields)
    assert everything["training_arguments"]["lr_scheduler_type"] == "linear"


def test_every_wrong_field_is_named() -> None:
    with pytest.raises(TunebusError) as caught:
        command_of(None, None, None, None, None, typed(learning_rate="nan", batch_size="2.5", seed="x"))
    details = caught.value.problem.details
    assert details is not None
    assert [one.param for one in details] == ["dataset_id", "base_model_id", "learning_rate", "batch_size", "seed"]


@pytest.mark.parametrize("words", ["inf", "-inf", "1e999", "one", "1,5", "0x10"])
def test_what_is_no_finite_number_is_refused(words: str) -> None:
    with pytest.raises(TunebusError):
        command(learning_rate=words)
