"""Reports: in order, each until it has an outcome, always under the same id."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tunebus.contracts.commands import RecordCheckpoint, ReportAttemptRunning
from tunebus.contracts.envelope import Outcome
from tunebus.contracts.errors import Code, Problem, fail
from tunebus.services.platform.worker.reports import Reports, command_id

JOB = "0197a3f2-7c00-7000-8000-000000000001"


class Sender:
    """Takes reports; `answers` are codes of refusals (None accepts, `away` fails), then everything is accepted."""

    def __init__(self, *answers: str | None) -> None:
        self.answers = list(answers)
        self.sent: list[tuple[str, str, str]] = []

    async def __call__(self, name: str, data: dict[str, Any], context: str, identity: str) -> Outcome:
        self.sent.append((name, context, identity))
        answer = self.answers.pop(0) if self.answers else None
        if answer == "away":
            raise fail(Code.NOT_CONFIRMED, "no outcome")
        if answer is None:
            return Outcome(command_id=identity, outcome="accepted")
        return Outcome(command_id=identity, outcome="rejected", error=Problem(code=Code(answer), message="no"))


class Line:
    """A queue at work."""

    def __init__(self, *answers: str | None) -> None:
        self.sender = Sender(*answers)
        self.stale: list[bool] = []
        self.reports = Reports(self.sender, "fine_tuning_job", lambda: self.stale.append(True))
        self.task = asyncio.create_task(self.reports.run())

    async def settled(self) -> None:
        await asyncio.wait_for(self.reports.settled(), 10)

    def add_all(self) -> None:
        self.reports.add(ReportAttemptRunning(job_id=JOB, attempt=2, total_steps=9))
        for step in (3, 6):
            self.reports.add(checkpoint(step), step)


@pytest.fixture
async def lines() -> AsyncIterator[list[Line]]:
    made: list[Line] = []
    yield made
    for line in made:
        line.task.cancel()


def checkpoint(step: int) -> RecordCheckpoint:
    return RecordCheckpoint(job_id=JOB, attempt=2, step=step, uri="artifact:x", manifest_sha256="0" * 64)


async def test_they_go_out_in_order(lines: list[Line]) -> None:
    lines.append(line := Line())
    line.add_all()
    await line.settled()
    assert [name for name, _, _ in line.sender.sent] == ["ReportAttemptRunning", "RecordCheckpoint", "RecordCheckpoint"]
    assert {context for _, context, _ in line.sender.sent} == {"fine_tuning_job"}


async def test_one_without_an_outcome_holds_back_the_others(lines: list[Line]) -> None:
    lines.append(line := Line("away", "away"))
    line.add_all()
    await line.settled()
    identities = [identity for _, _, identity in line.sender.sent]
    assert identities[0] == identities[1] == identities[2]
    assert len(set(identities)) == 3


async def test_an_old_attempt_is_told(lines: list[Line]) -> None:
    lines.append(line := Line(None, "stale_attempt"))
    line.add_all()
    await line.settled()
    assert line.stale == [True]


async def test_one_that_was_said_before_in_other_words_counts_as_said(lines: list[Line]) -> None:
    lines.append(line := Line("command_id_reused", "invalid"))
    line.add_all()
    await line.settled()
    assert line.stale == []
    assert len(line.sender.sent) == 3


def test_ids_are_the_same_for_the_same_fact_alone() -> None:
    same = command_id(JOB, 2, "RecordCheckpoint", 3)
    assert same == command_id(JOB, 2, "RecordCheckpoint", 3)
    others = {
        command_id(JOB, 2, "RecordCheckpoint", 6),
        command_id(JOB, 3, "RecordCheckpoint", 3),
        command_id(JOB, 2, "CompleteAttempt", 3),
        command_id(JOB.replace("1", "2"), 2, "RecordCheckpoint", 3),
    }
    assert len(others | {same}) == 5
