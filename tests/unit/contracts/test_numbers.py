"""Whole numbers that no database has a column for are refused by name, whoever sends them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError
from tunebus.contracts import queries, rpc
from tunebus.contracts.commands import COMMANDS
from tunebus.contracts.errors import Code, from_validation
from tunebus.contracts.events.dataset import DatasetAdded
from tunebus.contracts.events.job import AttemptStarted

SENT: dict[str, type[BaseModel]] = {
    **COMMANDS,
    **queries.QUERIES,
    **{name: kind for name, (kind, _) in rpc.CALLS.items()},
}


BOUNDS = {"maximum", "exclusiveMaximum", "le", "lt"}  # the latter are pydantic's, of a field with a check of its own


def unbounded(schema: Any, path: str = "") -> Iterator[str]:
    if isinstance(schema, dict):
        if schema.get("type") == "integer" and not BOUNDS & set(schema):
            yield path
        for name, part in schema.items():
            yield from unbounded(part, f"{path}.{name}" if name not in ("properties", "$defs", "anyOf") else path)
    elif isinstance(schema, list):
        for part in schema:
            yield from unbounded(part, path)


def test_every_whole_number_that_is_sent_has_a_bound() -> None:
    assert not [name + path for name, kind in SENT.items() for path in unbounded(kind.model_json_schema())]


@pytest.mark.parametrize(
    ("kind", "field", "largest"),
    [
        (queries.ListEvents, "from", 2**63 - 1),
        (queries.GetDeadLetter, "id", 2**63 - 1),
        (queries.GetLog, "attempt", 2**31 - 1),
        (rpc.Heartbeat, "attempt", 2**31 - 1),
        (rpc.RecordDeadLetter, "seq", 2**63 - 1),
        (DatasetAdded, "rows", 2**63 - 1),
        (AttemptStarted, "attempt", 2**31 - 1),
    ],
)
def test_a_number_too_large_for_its_column_is_refused_by_name(kind: type[BaseModel], field: str, largest: int) -> None:
    with pytest.raises(ValidationError) as refused:
        kind.model_validate({field: largest + 1})
    problem = from_validation(refused.value, kind.model_fields)
    said = {one.param: one for one in problem.details or [problem]}[field]
    assert (said.code, f"not {largest + 1}" in said.message) == (Code.INVALID, True)
    with pytest.raises(ValidationError) as other:
        kind.model_validate({field: largest, "a field that is none": 0, "job_id": {}})
    assert field not in {error["loc"][0] for error in other.value.errors()}
