"""The AsyncAPI 3.0 document of the bus, made from the contracts: every channel, message, schema and an example of each.

    python -m tunebus.contracts.asyncapi > docs/asyncapi.yaml

A test compares the file with what this prints.
"""

from __future__ import annotations

import sys
from typing import Any

import yaml
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema
from tunebus.contracts import examples, queries, rpc, telemetry
from tunebus.contracts.commands import COMMANDS, Command
from tunebus.contracts.envelope import CONTENT_TYPE, EventEnvelope, Outcome
from tunebus.contracts.errors import Problem
from tunebus.contracts.events import EVENTS, Event
from tunebus.contracts.subjects import Subjects

_TIME = "2026-01-31T09:30:00.000000Z"
_SUBJECTS = Subjects()
_ANSWERS: dict[str, dict[str, Any]] = {
    "list": {"$ref": "#/components/schemas/Page"},
    "outcome": {"$ref": "#/components/schemas/Outcome"},
}
_DESCRIPTION = """\
Subjects and streams are shown for the namespace `tunebus`; `TUNEBUS_NAMESPACE` replaces that prefix.

Commands go onto the stream TUNEBUS_COMMANDS as CloudEvents 1.0 in structured JSON. A command needs only `id` (a UUID,
the same on every retry), `type` and `data`. With a `reply_to` header its outcome is sent to that subject; without one,
ask `GetCommandOutcome`. Events come from TUNEBUS_EVENTS, in the order of `position`, and carry `Nats-Msg-Id` equal to
their `id`. Queries and rpc calls are plain JSON by request and reply; a failed one is answered
`{"error": {code, message, param, hint}}`.
"""


def document() -> dict[str, Any]:
    """The whole document as plain data."""
    built = _Document()
    for name, command in COMMANDS.items():
        built.command(name, command)
    for name, event in EVENTS.items():
        built.event(name, event)
    built.telemetry()
    built.nudge()
    for name, query in queries.QUERIES.items():
        built.request("query", name, query, examples.QUERIES[name], _answer(query), None)
    for name, (call, reply) in rpc.CALLS.items():
        schema = {"$ref": f"#/components/schemas/{reply.__name__}"} if reply else {"type": "object"}
        built.request("rpc", name, call, examples.CALLS[name], schema, examples.REPLIES[name])
    return built.finished()


def source() -> str:
    """The document as YAML, the text of `docs/asyncapi.yaml`."""
    text: str = yaml.dump(document(), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)
    return f"# Written by `python -m tunebus.contracts.asyncapi`; do not edit.\n{text}"


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as such, and every value out, so that a reader meets no aliases."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)


_Dumper.add_representer(str, _text)


class _Document:
    """Collects channels, operations and messages; the schemas come last, all at once, so that names stay unique."""

    def __init__(self) -> None:
        self._channels: dict[str, Any] = {}
        self._operations: dict[str, Any] = {}
        self._messages: dict[str, Any] = {}
        self._message("Outcome", Outcome, examples.OUTCOME, title="What became of a command")
        self._channels["outcome"] = {
            "address": None,
            "description": "The subject that a command's `reply_to` header names.",
            "messages": {"Outcome": {"$ref": "#/components/messages/Outcome"}},
        }
        self._message("Error", None, {"error": _error_example()}, schema=_ERROR_SCHEMA, title="A failed request")

    def command(self, name: str, kind: type[Command]) -> None:
        """A channel for each context, the message, and the operation with its outcome."""
        body = {"id": examples.COMMAND_ID, "type": name, "data": examples.COMMANDS[name]}
        schema = {
            "allOf": [
                {"$ref": "#/components/schemas/CommandEnvelope"},
                {
                    "type": "object",
                    "properties": {"type": {"const": name}, "data": {"$ref": f"#/components/schemas/{name}"}},
                },
            ]
        }
        headers = {"type": "object", "properties": {"reply_to": {"type": "string"}}}
        self._message(name, kind, body, schema=schema, headers=headers, content_type=CONTENT_TYPE)
        parameters = {"context": {"enum": list(kind.contexts), "default": kind.context()}}
        channel = {
            "address": _SUBJECTS.command("{context}", name),
            "parameters": parameters,
            "messages": {name: {"$ref": f"#/components/messages/{name}"}},
            "x-stream": _SUBJECTS.commands_stream,
        }
        self._channels[f"cmd.{name}"] = channel
        self._operations[f"send{name}"] = {
            "action": "receive",
            "channel": {"$ref": f"#/channels/cmd.{name}"},
            "summary": "Sent by workers." if kind.for_workers else "Sent by anyone.",
            "messages": [{"$ref": f"#/channels/cmd.{name}/messages/{name}"}],
            "reply": {
                "address": {"location": "$message.header#/reply_to"},
                "channel": {"$ref": "#/channels/outcome"},
                "messages": [{"$ref": "#/channels/outcome/messages/Outcome"}],
            },
        }

    def event(self, name: str, kind: type[Event]) -> None:
        schema = {
            "allOf": [
                {"$ref": "#/components/schemas/EventEnvelope"},
                {
                    "type": "object",
                    "properties": {"type": {"const": name}, "data": {"$ref": f"#/components/schemas/{name}"}},
                },
            ]
        }
        headers = {"type": "object", "properties": {"Nats-Msg-Id": {"type": "string", "format": "uuid"}}}
        self._message(name, kind, event_example(name), schema=schema, headers=headers, content_type=CONTENT_TYPE)
        self._channels[f"evt.{name}"] = {
            "address": _SUBJECTS.event("{aggregate}", "{id}", name),
            "parameters": {"aggregate": {"enum": list(kind.aggregates)}, "id": {"description": "id of the entity"}},
            "messages": {name: {"$ref": f"#/components/messages/{name}"}},
            "x-stream": _SUBJECTS.events_stream,
        }
        self._operations[f"on{name}"] = {
            "action": "send",
            "channel": {"$ref": f"#/channels/evt.{name}"},
            "messages": [{"$ref": f"#/channels/evt.{name}/messages/{name}"}],
        }

    def telemetry(self) -> None:
        kind = telemetry.TelemetryBatch
        self._message(kind.__name__, kind, telemetry.example_batch(), content_type="application/json")
        self._channels["tel"] = {
            "address": _SUBJECTS.telemetry("{job_id}", "{attempt}"),
            "parameters": {"job_id": {"description": "id of the job"}, "attempt": {"description": "number from 1"}},
            "messages": {kind.__name__: {"$ref": f"#/components/messages/{kind.__name__}"}},
            "x-stream": _SUBJECTS.telemetry_stream,
        }
        self._operations["onTelemetry"] = {
            "action": "send",
            "channel": {"$ref": "#/channels/tel"},
            "messages": [{"$ref": f"#/channels/tel/messages/{kind.__name__}"}],
        }

    def nudge(self) -> None:
        """The one core message between services that carries no fact."""
        schema = {"type": "string", "maxLength": 0}
        self._message("RelayNudge", None, None, schema=schema, title="Events were committed", content_type="text/plain")
        self._channels["relay.nudge"] = {
            "address": _SUBJECTS.relay_nudge,
            "description": "Internal: the registry wakes the relay. Losing one costs half a second.",
            "messages": {"RelayNudge": {"$ref": "#/components/messages/RelayNudge"}},
        }
        self._operations["onRelayNudge"] = {
            "action": "send",
            "channel": {"$ref": "#/channels/relay.nudge"},
            "messages": [{"$ref": "#/channels/relay.nudge/messages/RelayNudge"}],
        }

    def request(
        self,
        group: str,
        name: str,
        kind: type[BaseModel],
        example: dict[str, Any],
        answer: dict[str, Any],
        answer_example: dict[str, Any] | None,
    ) -> None:
        """A request channel with its reply: the answer, or an error."""
        self._message(name, kind, example)
        self._message(f"{name}Answer", None, answer_example, schema=answer, title=f"The answer to {name}")
        replies = {
            f"{name}Answer": {"$ref": f"#/components/messages/{name}Answer"},
            "Error": {"$ref": "#/components/messages/Error"},
        }
        channel, reply = f"{group}.{name}", f"{group}.{name}.reply"
        self._channels[channel] = {
            "address": getattr(_SUBJECTS, group)(name),
            "messages": {name: {"$ref": f"#/components/messages/{name}"}},
        }
        self._channels[reply] = {"address": None, "messages": replies}
        self._operations[f"{'ask' if group == 'query' else 'call'}{name}"] = {
            "action": "receive",
            "channel": {"$ref": f"#/channels/{channel}"},
            "messages": [{"$ref": f"#/channels/{channel}/messages/{name}"}],
            "reply": {
                "channel": {"$ref": f"#/channels/{reply}"},
                "messages": [{"$ref": f"#/channels/{reply}/messages/{message}"} for message in replies],
            },
        }

    def finished(self) -> dict[str, Any]:
        return {
            "asyncapi": "3.0.0",
            "info": {
                "title": "Tunebus",
                "version": "1",
                "description": _DESCRIPTION,
                "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
            },
            "defaultContentType": "application/json",
            "servers": {
                "studio": {
                    "host": "127.0.0.1:{port}",
                    "protocol": "nats",
                    "description": "The `nats_url` of `tunebus status --json`; it always demands its password.",
                    "variables": {"port": {"description": "chosen at the studio's start"}},
                    "security": [{"type": "userPassword"}],
                }
            },
            "channels": self._channels,
            "operations": self._operations,
            "components": {"messages": self._messages, "schemas": _schemas()},
        }

    def _message(
        self,
        name: str,
        kind: type[BaseModel] | None,
        example: dict[str, Any] | None,
        *,
        schema: dict[str, Any] | None = None,
        headers: dict[str, Any] | None = None,
        title: str | None = None,
        content_type: str = "application/json",
    ) -> None:
        """Add a message; its schema is its class's unless given."""
        about = " ".join((kind.__dict__.get("__doc__") or "").split()) if kind else ""
        message: dict[str, Any] = {"name": name, "title": title or name, "contentType": content_type}
        if about:
            message["description"] = about
        if headers:
            message["headers"] = headers
        message["payload"] = schema or {"$ref": f"#/components/schemas/{kind.__name__ if kind else name}"}
        if example is not None:
            message["examples"] = [{"payload": example}]
        self._messages[name] = message


_ERROR_SCHEMA = {
    "type": "object",
    "required": ["error"],
    "properties": {"error": {"$ref": "#/components/schemas/Problem"}},
}
_COMMAND_ENVELOPE: dict[str, Any] = {
    "title": "CommandEnvelope",
    "description": "CloudEvents 1.0, structured. Null means absent; other attributes are kept and ignored.",
    "type": "object",
    "required": ["id", "type"],
    "properties": {
        "specversion": {"const": "1.0"},
        "id": {"type": "string", "format": "uuid", "description": "made by the sender, the same on every retry"},
        "source": {"type": "string"},
        "type": {"type": "string"},
        "subject": {"type": "string"},
        "time": {"type": "string", "format": "date-time"},
        "datacontenttype": {"const": "application/json"},
        "dataschema": {"type": "string"},
        "correlationid": {"type": "string"},
        "causationid": {"type": "string"},
        "actor": {"type": "string", "description": "who the sender says it acts for; not verified"},
        "expectedversion": {
            "type": "integer",
            "minimum": 0,
            "description": "refused `conflict` when the entity is at another version",
        },
        "data": {"type": "object"},
    },
}


def event_example(name: str) -> dict[str, Any]:
    """The envelope of the example of an event."""
    kind = EVENTS[name]
    envelope = EventEnvelope(
        id="0197a3f2-7c00-7000-8000-0000000000e1",
        type=name,
        subject=f"{kind.aggregates[0]}/{examples.ENTITIES.get(name, examples.JOB_ID)}",
        time=_TIME,
        dataschema=f"urn:tunebus:event:{name}:{kind.schema_version}",
        causationid=examples.COMMAND_ID,
        position=1,
        streamversion=1,
        data=kind.model_validate(examples.EVENTS[name]).model_dump(mode="json"),
    )
    return envelope.model_dump(mode="json", exclude_none=True) | {"data": envelope.data}


def _error_example() -> dict[str, Any]:
    return {"code": "not_found", "message": "there is no dataset 'faqq'", "param": "id", "hint": "did you mean 'faq'?"}


def _answer(query: type[queries.Query]) -> dict[str, Any]:
    return _ANSWERS.get(query.answers, {"type": "object", "description": f"the {query.answers}'s fields"})


def _schemas() -> dict[str, Any]:
    """The JSON schema of every class, under its own name."""
    received: list[type[BaseModel]] = [*COMMANDS.values(), *queries.QUERIES.values()]
    sent: list[type[BaseModel]] = [*EVENTS.values(), EventEnvelope, Outcome, Problem, queries.Page]
    sent.append(telemetry.TelemetryBatch)
    for call, reply in rpc.CALLS.values():
        received.append(call)
        sent += [reply] if reply else []
    _, document = models_json_schema(
        [(kind, "validation") for kind in received + sent], ref_template="#/components/schemas/{model}"
    )
    schemas: dict[str, Any] = document["$defs"]
    return {"CommandEnvelope": _COMMAND_ENVELOPE, **schemas}


if __name__ == "__main__":
    sys.stdout.write(source())
