"""Forwarding: each batch once while all is well, the very same again when it may not have arrived, none lost."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tunebus.contracts.errors import Code, fail
from tunebus.services.platform.worker import forwarding
from tunebus.services.platform.worker.folder import AttemptFolder
from tunebus.services.platform.worker.forwarding import Forwarder
from tunebus.services.platform.worker.spool import is_sent

JOB = "0197a3f2-7c00-7000-8000-000000000001"


class Recorder:
    """A stream that stores, and that can refuse before or after storing."""

    def __init__(self) -> None:
        self.is_connected = True
        self.messages: list[tuple[str, list[int]]] = []
        self.refuse_before = 0
        self.refuse_after = 0

    async def send(self, job_id: str, attempt: int, body: bytes, message_id: str) -> None:
        if self.refuse_before:
            self.refuse_before -= 1
            raise fail(Code.UNAVAILABLE, "no answer")
        self.messages.append((message_id, [record["n"] for record in json.loads(body)["records"]]))
        if self.refuse_after:
            self.refuse_after -= 1
            raise fail(Code.UNAVAILABLE, "stored, but the answer was lost")

    @property
    def stored(self) -> list[int]:
        """What the stream holds: it knows a message by its id."""
        return [n for numbers in dict(self.messages).values() for n in numbers]


@pytest.fixture
def folder(tmp_path: Path) -> AttemptFolder:
    return AttemptFolder(tmp_path, JOB, 3)


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forwarding, "PERIOD", 0.01)


def append(folder: AttemptFolder, *numbers: int, **fields: Any) -> None:
    with folder.spool.open("a") as file:
        for n in numbers:
            record = {"k": "metric", "n": n, "t": 1.0, "step": n, "values": {}, **fields}
            file.write(json.dumps(record, separators=(",", ":")) + "\n")


async def test_what_is_there_is_sent_once(folder: AttemptFolder) -> None:
    stream = Recorder()
    forwarder = Forwarder(stream, folder)
    append(folder, 1, 2)
    assert await forwarder.flush()
    append(folder, 3)
    assert await forwarder.flush()
    assert await forwarder.flush()
    assert [numbers for _, numbers in stream.messages] == [[1, 2], [3]]
    assert is_sent(folder)


async def test_a_new_forwarder_goes_on_where_the_last_one_was(folder: AttemptFolder) -> None:
    stream = Recorder()
    append(folder, 1, 2)
    await Forwarder(stream, folder).flush()
    append(folder, 3)
    await Forwarder(stream, folder).flush()
    assert stream.stored == [1, 2, 3]


async def test_a_batch_whose_answer_was_lost_is_known_again_after_a_crash(folder: AttemptFolder) -> None:
    stream = Recorder()
    append(folder, 1, 2)
    stream.refuse_after = 1
    assert not await Forwarder(stream, folder).flush(patience=0)
    append(folder, 3)
    assert await Forwarder(stream, folder).flush()
    first, again, rest = stream.messages
    assert first == again
    assert rest[1] == [3]
    assert stream.stored == [1, 2, 3]


async def test_it_waits_as_long_as_the_bus_is_away(folder: AttemptFolder) -> None:
    stream = Recorder()
    stream.is_connected = False
    stream.refuse_before = 20
    append(folder, 1)
    assert await Forwarder(stream, folder).flush(patience=0.001)
    assert stream.stored == [1]


async def test_it_gives_up_on_a_bus_that_is_there_and_refuses(folder: AttemptFolder) -> None:
    stream = Recorder()
    stream.refuse_before = 1_000_000
    append(folder, 1)
    assert not await Forwarder(stream, folder).flush(patience=0.05)
    assert not is_sent(folder)


async def test_it_notices_how_far_training_is(folder: AttemptFolder) -> None:
    forwarder = Forwarder(Recorder(), folder)
    append(folder, 1, k="progress", phase="preparing", step=3, total=5)
    await forwarder.flush()
    assert (forwarder.progress.step, forwarder.progress.total_steps) == (3, 5)
    append(folder, 2, k="progress", phase="training", step=40, total=190)
    append(folder, 3, k="progress", phase="evaluating", step=1, total=4)
    await forwarder.flush()
    assert (forwarder.progress.step, forwarder.progress.total_steps) == (40, 190)
