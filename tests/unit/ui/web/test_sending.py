"""Sending commands from a page: outcomes, refusals, and asking again after no answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tunebus.contracts.envelope import Outcome
from tunebus.contracts.errors import Code, Problem, TunebusError, fail
from tunebus.services.platform.settings import load_settings
from tunebus.ui.web.studio import Studio


class FakeClient:
    """Answers with what was prepared, in order, and remembers the ids it was sent."""

    def __init__(self, *answers: Problem | TunebusError | None) -> None:
        self.answers = list(answers)
        self.ids: list[str] = []
        self.actors: list[str] = []

    async def send(self, command: str, data: dict[str, Any], *, command_id: str, actor: str, timeout: float) -> Outcome:
        self.ids.append(command_id)
        self.actors.append(actor)
        answer = self.answers.pop(0)
        if isinstance(answer, TunebusError):
            raise answer
        outcome = "accepted" if answer is None else "rejected"
        return Outcome(command_id=command_id, outcome=outcome, id="x", error=answer)

    async def close(self) -> None:
        pass


def studio_of(tmp_path: Path, client: FakeClient) -> Studio:
    studio = Studio(load_settings({}, home=tmp_path))
    studio._client = client  # type: ignore[assignment]
    return studio


async def test_asking_again_after_no_answer_keeps_the_id(tmp_path: Path) -> None:
    silence = fail(Code.NOT_CONFIRMED, "no outcome within 20 s")
    client = FakeClient(silence, None, None)
    studio = studio_of(tmp_path, client)
    with pytest.raises(TunebusError) as caught:
        await studio.send("StopFineTuningJob", {"id": "j"})
    assert caught.value.problem.code == Code.NOT_CONFIRMED
    assert "never done twice" in str(caught.value.problem.hint)
    await studio.send("StopFineTuningJob", {"id": "j"})
    await studio.send("StopFineTuningJob", {"id": "j"})
    first, again, later = client.ids
    assert first == again != later


async def test_what_is_asked_for_by_a_page_says_so(tmp_path: Path) -> None:
    client = FakeClient(None)
    await studio_of(tmp_path, client).send("StopFineTuningJob", {"id": "j"})
    assert client.actors == ["pages"]


async def test_a_refusal_is_raised_with_its_fields(tmp_path: Path) -> None:
    studio = studio_of(tmp_path, FakeClient(Problem(code=Code.DUPLICATE_NAME, message="in use", param="name")))
    with pytest.raises(TunebusError) as caught:
        await studio.send("AddDataset", {"name": "a"})
    assert caught.value.problem.param == "name"


async def test_what_never_left_is_sent_under_a_new_id(tmp_path: Path) -> None:
    client = FakeClient(fail(Code.TOO_LARGE, "over the limit"), None)
    studio = studio_of(tmp_path, client)
    with pytest.raises(TunebusError):
        await studio.send("AddConfig", {"config": "x"})
    await studio.send("AddConfig", {"config": "x"})
    assert len(set(client.ids)) == 2
