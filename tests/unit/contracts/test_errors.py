"""Errors have one shape and an exit code; several wrong fields are told at once."""

from __future__ import annotations

import pytest
from tunebus.contracts.commands import AddDataset, StartFineTuningJob, command_type, validate
from tunebus.contracts.errors import EXIT_CODES, Code, Problem, TunebusError, combine, nearest


def test_every_code_has_an_exit_code() -> None:
    assert set(EXIT_CODES) == set(Code)
    assert Problem(code=Code.NOT_FOUND, message="x").exit_code == 4


def test_every_wrong_field_is_named_at_once() -> None:
    data = {"base_model_id": "m", "num_gpu": -1, "learning_rate": "nan", "num_epochs": 0, "learnin_rate": 1}
    with pytest.raises(TunebusError) as refused:
        validate(StartFineTuningJob, data)
    details = {detail.param: detail for detail in refused.value.problem.details or []}
    assert set(details) == {"dataset_id", "num_gpu", "learning_rate", "num_epochs", "learnin_rate"}
    assert details["dataset_id"].message == "is required"
    assert details["learnin_rate"].code is Code.UNKNOWN_FIELD
    assert details["learnin_rate"].hint == "did you mean 'learning_rate'?"
    assert "-1" in details["num_gpu"].message


def test_one_wrong_field_is_the_problem_itself() -> None:
    with pytest.raises(TunebusError) as refused:
        validate(AddDataset, {"name": "  ", "path": "x.csv"})
    assert (refused.value.problem.param, refused.value.problem.details) == ("name", None)


def test_a_long_value_is_shown_short() -> None:
    with pytest.raises(TunebusError) as refused:
        validate(AddDataset, {"name": "x" * 5000, "path": "x.csv"})
    assert len(refused.value.problem.message) < 300


def test_an_unknown_command_is_told_with_the_nearest_name() -> None:
    with pytest.raises(TunebusError) as refused:
        command_type("AddDatset")
    assert refused.value.problem.code is Code.UNKNOWN_TYPE
    assert refused.value.problem.hint == "did you mean 'AddDataset'?"


def test_several_problems_become_one_with_details() -> None:
    first, second = (Problem(code=Code.INVALID, message=word, param=word) for word in ("one", "two"))
    assert combine([first]) is first
    both = combine([first, second])
    assert both.message == "one: one; two: two"
    assert [detail["message"] for detail in both.document()["details"]] == ["one", "two"]  # type: ignore[attr-defined]


def test_nothing_near_is_none() -> None:
    assert nearest("zzz", ["name", "path"]) is None
