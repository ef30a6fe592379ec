"""The CloudEvents 1.0 structured envelope of commands and events, and the outcome a command gets.

A command needs only `id`, `type` and `data`. Unknown envelope attributes are kept and ignored; null means absent.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict
from tunebus.contracts import strictjson
from tunebus.contracts.errors import Code, Problem, fail
from tunebus.contracts.events import RecordedEvent
from tunebus.contracts.identifiers import timestamp

CONTENT_TYPE = "application/cloudevents+json"
SPEC_VERSION = "1.0"
REPLY_HEADER = "reply_to"

_ATTRIBUTES = frozenset(
    {
        "specversion", "id", "source", "type", "subject", "time", "datacontenttype", "dataschema", "data",
        "correlationid", "causationid", "actor", "expectedversion",
    }
)  # fmt: skip


@dataclass(frozen=True)
class CommandEnvelope:
    """A command as it came over the bus, before its `data` is validated. `body_hash` tells a retry from a reused id."""

    id: str
    type: str
    data: dict[str, Any]
    source: str = "unknown"
    subject: str | None = None
    time: str | None = None
    correlation_id: str | None = None
    causation_id: str | None = None
    actor: str | None = None
    expected_version: int | None = None
    extensions: dict[str, Any] = field(default_factory=dict)

    @property
    def body_hash(self) -> str:
        """SHA-256 over what the command asks for: type, data and expected version, in canonical JSON."""
        asked = {"type": self.type, "data": self.data, "expectedversion": self.expected_version}
        return hashlib.sha256(strictjson.canonical(asked)).hexdigest()

    def to_bytes(self) -> bytes:
        """The structured CloudEvents JSON; absent attributes are left out."""
        body: dict[str, Any] = {
            "specversion": SPEC_VERSION,
            "id": self.id,
            "source": self.source,
            "type": self.type,
            "subject": self.subject,
            "time": self.time or timestamp(),
            "datacontenttype": "application/json",
            "correlationid": self.correlation_id,
            "causationid": self.causation_id,
            "actor": self.actor,
            "expectedversion": self.expected_version,
            **self.extensions,
            "data": self.data,
        }
        return strictjson.dumps({key: value for key, value in body.items() if value is not None})


def parse_command(body: bytes) -> CommandEnvelope:
    """Read a command envelope. Errors: `malformed` (also for a missing or non-UUID id), `too_large`, `invalid`."""
    document = strictjson.loads(body)
    if not isinstance(document, dict):
        raise fail(Code.MALFORMED, "a command is a JSON object", hint='send {"id": …, "type": …, "data": {…}}')
    given = {key: value for key, value in document.items() if value is not None}
    command_id = given.get("id")
    if not isinstance(command_id, str):
        raise fail(Code.MALFORMED, "the command has no id", param="id", hint="send a UUID, the same on every retry")
    try:
        command_id = str(UUID(command_id))
    except ValueError:
        raise fail(Code.MALFORMED, "the command's id is no UUID", param="id", hint="send a UUID") from None
    kind = _text(given, "type")
    if kind is None:
        raise fail(Code.MALFORMED, "the command has no type", param="type", hint="for example AddDataset")
    data = given.get("data", {})
    if not isinstance(data, dict):
        raise fail(Code.MALFORMED, "data is a JSON object", param="data")
    version = given.get("expectedversion")
    if version is not None and (isinstance(version, bool) or not isinstance(version, int) or version < 0):
        raise fail(Code.MALFORMED, "expectedversion is a whole number from 0", param="expectedversion")
    return CommandEnvelope(
        id=command_id,
        type=kind,
        data=data,
        source=_text(given, "source") or "unknown",
        subject=_text(given, "subject"),
        time=_text(given, "time"),
        correlation_id=_text(given, "correlationid"),
        causation_id=_text(given, "causationid"),
        actor=_text(given, "actor"),
        expected_version=version,
        extensions={key: value for key, value in given.items() if key not in _ATTRIBUTES},
    )


def _text(given: dict[str, Any], name: str) -> str | None:
    value = given.get(name)
    if value is None:
        return None
    if not isinstance(value, str) or not value or len(value) > 256:
        raise fail(Code.MALFORMED, f"{name} is a text of 1-256 characters", param=name)
    return value


class EventEnvelope(BaseModel):
    """An event as the relay publishes it.
    `position` is the total order; `streamversion` the order within one entity.
    """

    model_config = ConfigDict(extra="ignore")

    specversion: Literal["1.0"] = "1.0"
    id: str
    source: str = "tunebus/registry"
    type: str
    subject: str
    time: str
    datacontenttype: Literal["application/json"] = "application/json"
    dataschema: str
    correlationid: str | None = None
    causationid: str | None = None
    actor: str | None = None
    position: int
    streamversion: int
    data: dict[str, Any]

    @classmethod
    def of(cls, event: RecordedEvent) -> EventEnvelope:
        """The envelope of a recorded event."""
        return cls(
            id=event.event_id,
            type=event.type,
            subject=f"{event.aggregate}/{event.entity_id}",
            time=event.recorded_at,
            dataschema=f"urn:tunebus:event:{event.type}:{event.schema_version}",
            correlationid=event.correlation_id,
            causationid=event.causation_id,
            actor=event.actor,
            position=event.position,
            streamversion=event.version,
            data=dict(event.data),
        )

    def to_bytes(self) -> bytes:
        """The structured CloudEvents JSON; absent attributes are left out, nulls inside `data` are kept."""
        return strictjson.dumps({name: value for name, value in self.__dict__.items() if value is not None})

    @property
    def aggregate(self) -> str:
        return self.subject.split("/", 1)[0]

    @property
    def entity_id(self) -> str:
        return self.subject.split("/", 1)[1]


class Outcome(BaseModel):
    """What became of a command; sent to its `reply_to` and kept for ever.
    `ids` is set where one command made several.
    """

    model_config = ConfigDict(extra="ignore")

    command_id: str
    outcome: Literal["accepted", "rejected"]
    id: str | None = None
    ids: list[str] | None = None
    version: int | None = None
    position: int | None = None
    error: Problem | None = None

    @cached_property
    def text(self) -> str:
        """Its document as JSON, as it is kept and sent."""
        return strictjson.dumps(self.document()).decode()

    def document(self) -> dict[str, Any]:
        body: dict[str, Any] = {
            "command_id": self.command_id,
            "outcome": self.outcome,
            "id": self.id,
            "version": self.version,
            "position": self.position,
            "error": self.error.document() if self.error else None,
        }
        if self.ids is not None:
            body["ids"] = self.ids
        return body
