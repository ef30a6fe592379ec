"""The bus reference is complete, holds together, and is what the contracts say."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from tunebus.contracts import asyncapi, examples, rpc
from tunebus.contracts.commands import COMMANDS, validate
from tunebus.contracts.envelope import EventEnvelope, Outcome, parse_command
from tunebus.contracts.events import EVENTS
from tunebus.contracts.queries import QUERIES
from tunebus.contracts.strictjson import dumps

ROOT = Path(__file__).parents[3]
DOCUMENT = asyncapi.document()
MESSAGES: dict[str, Any] = DOCUMENT["components"]["messages"]


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for inner in value.values():
            yield from references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from references(inner)


def resolve(reference: str) -> Any:
    found: Any = DOCUMENT
    for part in reference.removeprefix("#/").split("/"):
        found = found[part]
    return found


def test_the_file_is_what_the_contracts_say() -> None:
    written = (ROOT / "docs" / "asyncapi.yaml").read_text()
    assert written == asyncapi.source(), "run: python -m tunebus.contracts.asyncapi > docs/asyncapi.yaml"
    assert yaml.safe_load(written) == DOCUMENT


def test_every_reference_leads_somewhere() -> None:
    found = list(references(DOCUMENT))
    assert len(found) > 200
    for reference in found:
        assert isinstance(resolve(reference), dict), reference


def test_every_message_has_a_channel_and_an_operation() -> None:
    channels: dict[str, Any] = DOCUMENT["channels"]
    for name in COMMANDS:
        assert channels[f"cmd.{name}"]["address"] == f"tunebus.cmd.{{context}}.{name}"
        assert DOCUMENT["operations"][f"send{name}"]["reply"]["address"]["location"] == "$message.header#/reply_to"
    for name in EVENTS:
        assert channels[f"evt.{name}"]["address"] == f"tunebus.evt.{{aggregate}}.{{id}}.{name}"
    for name in QUERIES:
        assert channels[f"query.{name}"]["address"] == f"tunebus.query.{name}"
    for name in rpc.CALLS:
        assert channels[f"rpc.{name}"]["address"] == f"tunebus.rpc.{name}"
    assert {"tel", "relay.nudge", "outcome"} <= set(channels)
    used = {reference for reference in references(DOCUMENT["operations"]) if "/messages/" in reference}
    offered = {f"#/channels/{name}/messages/{message}" for name, it in channels.items() for message in it["messages"]}
    assert used == offered


@pytest.mark.parametrize("name", [*COMMANDS, *EVENTS, *QUERIES, *rpc.CALLS, "TelemetryBatch", "Outcome", "Error"])
def test_every_message_shows_an_example(name: str) -> None:
    assert MESSAGES[name]["examples"][0]["payload"] or name in {"ListWorkers", "GetOverview", "GetDatabase"}


def test_there_is_an_example_of_everything_and_nothing_else() -> None:
    assert set(examples.COMMANDS) == set(COMMANDS)
    assert set(examples.EVENTS) == set(EVENTS)
    assert set(examples.QUERIES) == set(QUERIES)
    assert set(examples.CALLS) == set(examples.REPLIES) == set(rpc.CALLS)


@pytest.mark.parametrize("name", COMMANDS)
def test_the_example_of_a_command_is_accepted_as_sent(name: str) -> None:
    envelope = parse_command(dumps(MESSAGES[name]["examples"][0]["payload"]))
    assert validate(COMMANDS[name], envelope.data)


@pytest.mark.parametrize("name", EVENTS)
def test_the_example_of_an_event_is_read_as_published(name: str) -> None:
    envelope = EventEnvelope.model_validate(MESSAGES[name]["examples"][0]["payload"])
    assert envelope.aggregate in EVENTS[name].aggregates
    assert EventEnvelope.model_validate_json(envelope.to_bytes()) == envelope
    assert EVENTS[name].model_validate(envelope.data).model_dump(mode="json") == envelope.data


def test_the_examples_of_queries_and_calls_are_valid() -> None:
    for name, query in QUERIES.items():
        query.model_validate(examples.QUERIES[name])
    for name, (call, reply) in rpc.CALLS.items():
        call.model_validate(examples.CALLS[name])
        if reply is not None:
            reply.model_validate(examples.REPLIES[name])
    Outcome.model_validate(examples.OUTCOME)
