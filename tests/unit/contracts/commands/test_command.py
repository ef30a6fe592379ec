"""What a name may hold, as every command that gives one asks."""

from __future__ import annotations

import pytest
from tunebus.contracts.commands import AddDataset, RenameModel, StartEvaluationJob, validate
from tunebus.contracts.errors import Code, TunebusError
from tunebus.contracts.events.dataset import DatasetRenamed


@pytest.mark.parametrize("character", "\0\t\n\r\x1b\x7f\x85\x9b\u2028\u2029\u202a\u202e\u2066\u2069")
def test_a_name_holds_nothing_that_a_terminal_or_a_reader_would_be_deceived_by(character: str) -> None:
    for kind, others in ((AddDataset, {"path": "x.csv"}), (RenameModel, {"id": "m"})):
        with pytest.raises(TunebusError) as refused:
            validate(kind, {"name": f"a{character}b", **others})
        problem = refused.value.problem
        assert (problem.code, problem.param) == (Code.INVALID, "name")
        assert problem.message.startswith("may hold no control characters")
        assert character not in problem.message


@pytest.mark.parametrize("name", ["Fragen & Antworten", "שלום \u200f(1)", "数据集 🙂\u200d", "<b> 'x' \\"])
def test_a_name_may_be_of_any_language(name: str) -> None:
    assert validate(RenameModel, {"id": "m", "name": f" {name}\n"}).model_dump()["name"] == name


def test_names_from_before_are_read_and_referred_to() -> None:
    assert DatasetRenamed(name="a\x1b[31m").name == "a\x1b[31m"
    assert validate(RenameModel, {"id": "a\x1b[31m", "name": "b"})


def test_a_column_may_be_called_whatever_its_file_says() -> None:
    fields = {"combinations": [{"base_model_id": "m"}], "selected_features": ["a\tb "]}
    assert validate(StartEvaluationJob, fields).model_dump()["selected_features"] == ["a\tb "]
