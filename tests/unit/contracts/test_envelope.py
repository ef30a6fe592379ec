"""A command needs an id, a type and data; its hash tells a retry from a reused id."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tunebus.contracts.envelope import CommandEnvelope, EventEnvelope, Outcome, parse_command
from tunebus.contracts.errors import Code, Problem, TunebusError
from tunebus.contracts.events import RecordedEvent

ID = "0197a3f2-7c00-7000-8000-000000000001"


def parsed(**fields: Any) -> CommandEnvelope:
    return parse_command(json.dumps({"id": ID, "type": "AddDataset", "data": {"name": "faq"}, **fields}).encode())


def test_id_type_and_data_are_enough() -> None:
    envelope = parsed()
    assert (envelope.id, envelope.type, envelope.data) == (ID, "AddDataset", {"name": "faq"})
    assert (envelope.source, envelope.actor, envelope.expected_version) == ("unknown", None, None)


def test_null_means_absent_and_unknown_attributes_are_kept() -> None:
    envelope = parsed(actor=None, traceparent="00-1", data=None)
    assert envelope.actor is None
    assert envelope.data == {}
    assert envelope.extensions == {"traceparent": "00-1"}


def test_an_id_is_the_same_in_any_spelling() -> None:
    assert parsed(id=ID.upper()).id == parsed(id=f"urn:uuid:{ID}").id == ID


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"id": None}, "id"),
        ({"id": "one"}, "id"),
        ({"id": 1}, "id"),
        ({"type": None}, "type"),
        ({"type": ""}, "type"),
        ({"type": 5}, "type"),
        ({"data": []}, "data"),
        ({"actor": "x" * 257}, "actor"),
        ({"expectedversion": -1}, "expectedversion"),
        ({"expectedversion": True}, "expectedversion"),
        ({"expectedversion": "1"}, "expectedversion"),
    ],
)
def test_a_wrong_envelope_is_malformed_and_names_the_field(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(TunebusError) as refused:
        parsed(**fields)
    assert refused.value.problem.code is Code.MALFORMED
    assert refused.value.problem.param == param


@pytest.mark.parametrize("body", [b"[]", b"1", b'"x"', b"null"])
def test_a_command_is_an_object(body: bytes) -> None:
    with pytest.raises(TunebusError, match="JSON object"):
        parse_command(body)


def test_the_hash_covers_what_is_asked_and_nothing_else() -> None:
    asked = parsed()
    assert asked.body_hash == parsed(actor="me", time="2026-01-01T00:00:00Z", source="x").body_hash
    assert asked.body_hash == parsed(id="0197a3f2-7c00-7000-8000-000000000002").body_hash
    others = [parsed(type="AddModel"), parsed(data={"name": "faqs"}), parsed(expectedversion=0)]
    assert len({asked.body_hash, *(other.body_hash for other in others)}) == 4


def test_the_order_of_keys_does_not_change_the_hash() -> None:
    assert parsed(data={"a": 1, "b": 2}).body_hash == parsed(data={"b": 2, "a": 1}).body_hash


def test_an_envelope_is_read_back_as_it_was_written() -> None:
    envelope = CommandEnvelope(
        id=ID, type="AddDataset", data={"name": "é", "note": None}, source="me", time="2026-01-31T09:30:00Z",
        correlation_id="c", causation_id="d", actor="a", expected_version=3, extensions={"traceparent": "00-1"},
    )  # fmt: skip
    assert parse_command(envelope.to_bytes()) == envelope


def test_an_event_keeps_the_nulls_of_its_data_and_leaves_out_absent_attributes() -> None:
    event = RecordedEvent(
        position=7, event_id=ID, aggregate="dataset", entity_id="d1", version=2, type="DatasetAdded",
        schema_version=1, data={"name": "faq", "note": None}, recorded_at="2026-01-31T09:30:00.000000Z", actor="me",
    )  # fmt: skip
    envelope = EventEnvelope.of(event)
    assert (envelope.aggregate, envelope.entity_id, envelope.streamversion) == ("dataset", "d1", 2)
    body = json.loads(envelope.to_bytes())
    assert body["data"] == {"name": "faq", "note": None}
    assert "causationid" not in body
    assert body["dataschema"] == "urn:tunebus:event:DatasetAdded:1"
    assert EventEnvelope.model_validate_json(envelope.to_bytes()) == envelope


def test_an_outcome_shows_its_error_in_the_one_shape() -> None:
    problem = Problem(code=Code.DUPLICATE_NAME, message="in use", param="name")
    document = Outcome(command_id=ID, outcome="rejected", error=problem).document()
    assert document == {
        "command_id": ID,
        "outcome": "rejected",
        "id": None,
        "version": None,
        "position": None,
        "error": {"code": "duplicate_name", "message": "in use", "param": "name", "hint": None},
    }
    assert Outcome(command_id=ID, outcome="accepted", ids=["a"]).document()["ids"] == ["a"]
