"""Queries about the record refuse what nothing can be called."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError
from tunebus.contracts.errors import Code, Problem, from_validation
from tunebus.contracts.queries import GetCommandOutcome, GetCommandProgress, ListChanges, ListEvents, Query
from tunebus.contracts.subjects import AGGREGATES

COMMAND = "0197a3f2-7c00-7000-8000-00000000000a"


def refusal(kind: type[Query], **arguments: Any) -> Problem:
    with pytest.raises(ValidationError) as refused:
        kind.model_validate(arguments)
    return from_validation(refused.value, kind.model_fields)


@pytest.mark.parametrize("kind", [ListEvents, ListChanges])
def test_a_kind_of_thing_that_there_is_none_of_is_refused_with_the_nearest(kind: type[Query]) -> None:
    problem = refusal(kind, aggregate="datset")
    assert (problem.code, problem.param, problem.hint) == (Code.INVALID, "aggregate", "did you mean 'dataset'?")
    assert all(f"'{name}'" in refusal(kind, aggregate="nope").message for name in AGGREGATES)


@pytest.mark.parametrize("kind", [GetCommandOutcome, GetCommandProgress])
def test_what_is_no_uuid_is_no_commands_id(kind: type[Query]) -> None:
    for text in ("x", "", "0" * 36, COMMAND[:-1]):
        problem = refusal(kind, command_id=text)
        assert (problem.code, problem.param) == (Code.INVALID, "command_id")
        assert problem.message == f"must be a UUID, as the id of every command is, not {text!r}"


@pytest.mark.parametrize("spelling", [COMMAND.upper(), COMMAND.replace("-", ""), f"urn:uuid:{COMMAND}"])
def test_a_commands_id_is_known_however_it_is_spelt(spelling: str) -> None:
    assert GetCommandOutcome(command_id=spelling).command_id == COMMAND
