"""What was once on the bus or in a ledger is read for ever: golden JSON of every event version, command and batch.

After adding a message, or a version of one, write its file: python tests/contract/contracts/test_golden.py
A file that exists is never changed: that would be a change of history.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tunebus.contracts import asyncapi, examples, telemetry
from tunebus.contracts.commands import COMMANDS, validate
from tunebus.contracts.envelope import EventEnvelope, parse_command
from tunebus.contracts.events import EVENTS

GOLDEN = Path(__file__).parents[1] / "golden"


def wanted() -> dict[Path, dict[str, Any]]:
    """Every golden file there must be, and what a new one is made of."""
    files: dict[Path, dict[str, Any]] = {}
    for name, kind in EVENTS.items():
        for version in range(1, kind.schema_version + 1):
            files[GOLDEN / "events" / f"{name}.v{version}.json"] = asyncapi.event_example(name)
    for name in COMMANDS:
        body = {"id": examples.COMMAND_ID, "type": name, "data": examples.COMMANDS[name]}
        files[GOLDEN / "commands" / f"{name}.json"] = body
    files[GOLDEN / "telemetry" / f"batch.v{telemetry.SCHEMA_VERSION}.json"] = telemetry.example_batch()
    return files


def read(*path: str) -> Any:
    return json.loads(GOLDEN.joinpath(*path).read_text())


def files(folder: str) -> list[str]:
    return sorted(path.name for path in (GOLDEN / folder).glob("*.json"))


def covers(newer: Any, older: Any) -> bool:
    """Whether everything the older document says is said by the newer one: fields may come, none may go or change."""
    if isinstance(older, dict) and isinstance(newer, dict):
        return all(key in newer and covers(newer[key], value) for key, value in older.items())
    if isinstance(older, list) and isinstance(newer, list):
        return len(newer) == len(older) and all(map(covers, newer, older))
    return bool(newer == older)


def test_every_version_of_everything_has_its_golden_file() -> None:
    missing = [str(path.relative_to(GOLDEN)) for path in wanted() if not path.exists()]
    assert not missing, "run: python tests/contract/contracts/test_golden.py"


@pytest.mark.parametrize("file", files("events"))
def test_an_event_of_any_version_is_read(file: str) -> None:
    from tunebus.services.platform.upcasters import UPCASTERS

    document = read("events", file)
    name, version = file.removesuffix(".json").split(".v")
    envelope = EventEnvelope.model_validate(document)
    assert envelope.type == name
    assert envelope.dataschema.endswith(f":{version}")
    newest, data = UPCASTERS.upcast(name, int(version), envelope.data)
    kind = EVENTS[name]
    assert newest == kind.schema_version
    read_back = kind.model_validate(data).model_dump(mode="json")
    assert covers(read_back, data)


@pytest.mark.parametrize("file", files("commands"))
def test_a_command_is_accepted_as_it_ever_was(file: str) -> None:
    document = read("commands", file)
    envelope = parse_command(json.dumps(document).encode())
    command = validate(COMMANDS[envelope.type], envelope.data)
    assert covers(command.model_dump(mode="json"), document["data"])


@pytest.mark.parametrize("file", files("telemetry"))
def test_a_telemetry_batch_of_any_version_is_read(file: str) -> None:
    document = read("telemetry", file)
    assert covers(telemetry.TelemetryBatch.model_validate(document).model_dump(mode="json"), document)
    lines = [json.dumps(record).encode() + b"\n" for record in document["records"]]
    body = telemetry.batch_bytes(document["job_id"], document["attempt"], lines)
    assert json.loads(body) == document


if __name__ == "__main__":
    for path, content in wanted().items():
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n")
