"""What is typed to be tried becomes prompts, and rubbish is refused by field."""

from __future__ import annotations

from typing import Any

import pytest
from tunebus.contracts.commands import StartEvaluationJob
from tunebus.contracts.envelope import Outcome
from tunebus.contracts.errors import TunebusError
from tunebus.ui.web.acting import Asking
from tunebus.ui.web.trying import form, try_it

ASKED = "01a1f962-8742-7dde-84fc-12a35196719d"


class FakeStudio:
    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []

    async def ask(self, name: str, *, id: str) -> dict[str, Any]:
        return {"id": id, "model_id": "m"}

    async def send(self, command: str, data: dict[str, Any], command_id: str) -> Outcome:
        self.sent.append(data)
        return Outcome(command_id=command_id, outcome="accepted", id="parent")


async def tried(**data: Any) -> dict[str, Any]:
    studio: Any = FakeStudio()
    await try_it(Asking(studio, data, ASKED))
    (sent,) = studio.sent
    return dict(sent)


async def test_three_dashes_part_prompts() -> None:
    sent = await tried(adapter_id="a", prompts="one\r\nline\n---\n  two \n---\n\n", with_base=False)
    assert sent["prompts"] == ["one\nline", "two"]
    assert sent["combinations"] == [{"base_model_id": "m", "adapter_id": "a"}]


async def test_who_types_does_not_wait_for_whole_evaluations() -> None:
    assert (await tried(model_id="m", prompts="hi"))["priority"] > StartEvaluationJob.model_fields["priority"].default


async def test_base_and_others_are_asked_the_same_once() -> None:
    sent = await tried(adapter_id="a", prompts="hi", others=["b", "a"], generation={"temperature": 0.5})
    assert [one.get("adapter_id") for one in sent["combinations"]] == [None, "a", "b"]
    assert sent["generation"] == {"temperature": 0.5}


async def test_a_system_message_makes_conversations() -> None:
    sent = await tried(model_id="m", prompts="hi", system=" Be brief. ")
    assert sent["prompts"] == [[{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hi"}]]
    assert sent["combinations"] == [{"base_model_id": "m"}]


@pytest.mark.parametrize(
    ("data", "param"),
    [
        ({"prompts": " \n"}, "prompts"),
        ({"prompts": ["x"]}, "prompts"),
        ({}, "prompts"),
        ({"prompts": "x", "system": 3}, "system"),
        ({"prompts": "x", "others": "abc"}, "others"),
        ({"prompts": "x", "others": list("a" * 99)}, "others"),
    ],
)
async def test_rubbish_is_refused_by_its_field(data: dict[str, Any], param: str) -> None:
    with pytest.raises(TunebusError) as caught:
        await tried(adapter_id="a", **data)
    assert caught.value.problem.param == param


def test_an_earlier_try_fills_the_form_and_nothing_of_it_gets_out() -> None:
    hostile = "</textarea><script>alert(1)</script>"
    again = {"asked": {"prompts": [hostile, "second"]}, "generation": {"temperature": 0.7}}
    shown = form(adapter=None, model={"id": "m", "name": hostile}, others=(), again=again)
    assert "<script" not in shown
    assert "\n---\nsecond</textarea>" in shown
    assert 'value="0.7"' in shown
