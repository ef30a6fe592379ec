"""A bus without a server: it remembers what it is sent and answers what a test says."""

import copy
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from tunebus.contracts.envelope import EventEnvelope, Outcome
from tunebus.contracts.errors import Code, Problem, TunebusError, fail
from tunebus.ui.cli import call, program

Answer = dict[str, Any] | TunebusError


@dataclass
class FakeBus:
    """Commands are accepted unless `refusal` is set; queries get their next answer, and the last one for ever; those
    that have none get `otherwise`, where there is one.
    """

    answers: dict[str, list[Answer]] = field(default_factory=dict)
    sent: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    refusal: Problem | None = None
    happened: list[EventEnvelope] = field(default_factory=list)
    otherwise: dict[str, Any] | None = None
    closed: bool = False
    prepared_until_looked_at: str | None = None
    looked_at: threading.Event = field(default_factory=threading.Event)

    def answer(self, query: str, *answers: Answer) -> None:
        self.answers[query] = list(answers)

    def send(
        self, command: str, data: Mapping[str, Any], /, *, command_id: str | None = None, actor: str | None = None
    ) -> Outcome:
        self.sent.append((command, dict(data)))
        if command == self.prepared_until_looked_at:
            assert self.looked_at.wait(10), "nobody has asked how far it is"
        if self.refusal is not None:
            return Outcome(command_id="c", outcome="rejected", error=self.refusal)
        return Outcome(command_id="c", outcome="accepted", id="new-id", version=1, position=7)

    def query(self, name: str, data: Mapping[str, Any], /) -> dict[str, Any]:
        self.asked.append((name, dict(data)))
        if name == "GetCommandProgress":
            self.looked_at.set()
        waiting = self.answers.get(name)
        if not waiting and self.otherwise is not None:
            return copy.deepcopy(self.otherwise)
        if not waiting:
            raise fail(Code.NOT_FOUND, f"the test has no answer to {name}")
        found = waiting.pop(0) if len(waiting) > 1 else waiting[0]
        if isinstance(found, TunebusError):
            raise found
        return found

    def request(self, subject: str, data: Mapping[str, Any], *, timeout: float = 15.0) -> dict[str, Any]:
        return self.query(subject.rpartition(".")[2], data)

    def events(
        self, from_position: Any = "beginning", *, aggregate: str | None = None, entity_id: str | None = None
    ) -> Iterator[EventEnvelope]:
        self.asked.append(("events", {"from": from_position, "aggregate": aggregate, "entity_id": entity_id}))
        yield from self.happened
        raise KeyboardInterrupt

    def upload(self, file: Path, *, progress: Callable[[int, int], None] | None = None) -> str:
        return file.name

    def download(self, name: str, file: Path, *, progress: Callable[[int, int], None] | None = None) -> int:
        return file.write_text("{}")

    def remove_upload(self, name: str) -> None:
        return None

    def close(self) -> None:
        self.closed = True


@dataclass
class Ended:
    """How a command line ended."""

    code: int
    out: str
    err: str


Run = Callable[..., Ended]


@pytest.fixture
def bus(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeBus:
    for name in ("TUNEBUS_NATS_URL", "TUNEBUS_DATABASE_URL", "TUNEBUS_UI_PORT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TUNEBUS_HOME", str(tmp_path / "home"))
    made = FakeBus()
    monkeypatch.setattr(call, "open_bus", lambda settings, seconds=5.0: made)
    return made


@pytest.fixture
def run(bus: FakeBus, capfd: pytest.CaptureFixture[str]) -> Run:
    """Run one command line as `tunebus` would."""

    def _run(*arguments: str) -> Ended:
        capfd.readouterr()
        code = program.run(arguments)
        out, err = capfd.readouterr()
        return Ended(code, out, err)

    return _run
