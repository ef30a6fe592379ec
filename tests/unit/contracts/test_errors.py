"""Errors have one shape and an exit code; several wrong fields are told at once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from tunebus.contracts.commands import COMMANDS, AddDataset, StartFineTuningJob, command_type, validate
from tunebus.contracts.errors import EXIT_CODES, PATTERNS, Code, Problem, TunebusError, combine, nearest


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


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("learning_rate", "fast", "must be a number, not 'fast'"),
        ("learning_rate", -1, "must be greater than 0, not -1"),
        ("batch_size", "a few", "must be a whole number, not 'a few'"),
        ("batch_size", 1.5, "must be a whole number, not 1.5"),
        ("hold", "perhaps", "must be true or false, not 'perhaps'"),
        ("labels", "one", "must be a list, not 'one'"),
        ("adapter_name", "my first one", "may hold letters, digits, - and _ only, not 'my first one'"),
    ],
)
def test_a_wrong_value_is_told_in_plain_words(field: str, value: object, words: str) -> None:
    with pytest.raises(TunebusError) as refused:
        validate(StartFineTuningJob, {"base_model_id": "m", "dataset_id": "d", field: value})
    assert refused.value.problem.message == words


def test_a_number_too_large_for_a_float_is_told_as_one() -> None:
    for power, shown in ((400, f"1{'0' * 76}..."), (5000, "one of thousands of digits")):
        with pytest.raises(TunebusError) as refused:
            validate(StartFineTuningJob, {"base_model_id": "m", "dataset_id": "d", "learning_rate": 10**power})
        assert refused.value.problem.message == f"must be a smaller number, not {shown}"


@pytest.mark.parametrize(
    ("command", "field", "value", "words"),
    [
        ("StartFineTuningJob", "labels", ["x"] * 8000, "must have at most 20 items, not 8000"),
        ("StartEvaluationJob", "combinations", [], "must have at least 1 item, not 0"),
        ("BranchFineTuningJob", "changes", {str(n): 1 for n in range(100)}, "must have at most 60 items, not more"),
    ],
)
def test_a_list_of_a_wrong_length_is_told_by_its_length(command: str, field: str, value: object, words: str) -> None:
    with pytest.raises(TunebusError) as refused:
        validate(COMMANDS[command], {"base_model_id": "m", "dataset_id": "d", field: value})
    problems = refused.value.problem.details or [refused.value.problem]
    assert [problem.message for problem in problems if problem.param == field] == [words]


@pytest.mark.parametrize(
    ("command", "field", "hint"),
    [
        ("StartFineTuningJob", "dataset_id", "give an id or a name"),
        ("RenameModel", "id", "give an id or a name"),
        ("RenameModel", "name", "RenameModel takes id, name"),
    ],
)
def test_what_is_required_is_told_with_what_to_give(command: str, field: str, hint: str) -> None:
    with pytest.raises(TunebusError) as refused:
        validate(COMMANDS[command], {})
    found = {problem.param: problem for problem in refused.value.problem.details or []}[field]
    assert (found.message, found.hint) == ("is required", hint)


def test_a_number_that_is_none_is_told_with_one_that_would_do() -> None:
    with pytest.raises(TunebusError) as refused:
        validate(StartFineTuningJob, {"base_model_id": "m", "dataset_id": "d", "learning_rate": "nan"})
    assert refused.value.problem.message == "must be a finite number, not 'nan'"
    assert refused.value.problem.hint == "give a number such as 1 or 0.5"


def test_every_pattern_of_the_contract_is_told_in_words() -> None:
    asked = set(patterns([kind.model_json_schema() for kind in COMMANDS.values()]))
    assert asked
    assert asked <= set(PATTERNS)


def patterns(schema: Any) -> Iterator[str]:
    inside = schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ()
    if isinstance(schema, dict) and isinstance(schema.get("pattern"), str):
        yield schema["pattern"]
    for part in inside:
        yield from patterns(part)
