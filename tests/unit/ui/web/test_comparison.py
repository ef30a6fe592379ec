"""What a comparison asks for, and what counts as a gain."""

from __future__ import annotations

from typing import Any

import pytest
from tunebus.contracts.envelope import Outcome
from tunebus.contracts.errors import TunebusError
from tunebus.ui.web.acting import Asking
from tunebus.ui.web.comparison import METRICS, MORE_METRICS, base_first, baseline_of, best_of, start_against_base

ADAPTERS = {
    "a1": {"id": "a1", "name": "first", "model_id": "m", "prompt_id": "p", "fine_tuning_job_id": "j"},
    "a2": {"id": "a2", "name": "second", "model_id": "m", "prompt_id": "p", "fine_tuning_job_id": "j"},
    "a3": {"id": "a3", "name": "foreign", "model_id": "m", "prompt_id": None, "fine_tuning_job_id": None},
}


MODELS = {
    "m": {"id": "m", "name": "base", "fine_tuning_job_id": None},
    "other": {"id": "other", "name": "other", "fine_tuning_job_id": None},
}
ASKED = "01a1f962-8742-7dde-84fc-12a35196719d"


class FakeStudio:
    def __init__(self) -> None:
        self.sent: list[tuple[str, dict[str, Any], str]] = []

    async def ask(self, name: str, *, id: str) -> dict[str, Any]:
        found: dict[str, Any] = {"GetAdapter": ADAPTERS, "GetModel": MODELS}.get(name, {}).get(id, {})
        return found or {"dataset_id": "d", "prompt_id": "p"}

    async def send(self, command: str, data: dict[str, Any], command_id: str) -> Outcome:
        self.sent.append((command, data, command_id))
        return Outcome(command_id=command_id, outcome="accepted", id="parent")


@pytest.fixture
def studio() -> Any:
    return FakeStudio()


@pytest.fixture
def asking(studio: Any) -> Asking:
    return Asking(studio, {}, ASKED)


async def test_two_adapters_share_one_base(studio: Any, asking: Asking) -> None:
    assert await start_against_base(asking, ["a1", "a2"]) == "parent"
    ((name, data, _),) = studio.sent
    assert name == "StartEvaluationJob"
    base = {"base_model_id": "m", "dataset_id": "d", "prompt_id": "p"}
    assert data["combinations"] == [base, {**base, "adapter_id": "a1"}, {**base, "adapter_id": "a2"}]


async def test_the_same_request_is_the_same_command(studio: Any, asking: Asking) -> None:
    for _ in range(2):
        await start_against_base(asking, ["a1"])
    first, again = studio.sent
    assert first == again


async def test_another_dataset_comes_without_the_adapters_prompt(studio: Any, asking: Asking) -> None:
    await start_against_base(asking, ["a1"], dataset_id="other")
    assert all(
        one == {**one, "dataset_id": "other"} and "prompt_id" not in one for one in studio.sent[0][1]["combinations"]
    )


async def test_a_model_that_was_not_made_here_is_scored_where_the_first_adapter_is(studio: Any, asking: Asking) -> None:
    await start_against_base(asking, ["a1"], model_ids=["other", "m"], with_base=False, options={"max_rows": 3})
    data = studio.sent[0][1]
    same = {"dataset_id": "d", "prompt_id": "p"}
    assert data["max_rows"] == 3
    assert data["combinations"] == [
        {"base_model_id": "other", **same},
        {"base_model_id": "m", **same},
        {"base_model_id": "m", **same, "adapter_id": "a1"},
    ]


async def test_an_adapter_made_elsewhere_needs_a_dataset(studio: Any, asking: Asking) -> None:
    with pytest.raises(TunebusError) as caught:
        await start_against_base(asking, ["a3"])
    assert caught.value.problem.param == "dataset_id"
    with pytest.raises(TunebusError):
        await start_against_base(asking, [])
    assert studio.sent == []


def test_the_best_is_marked_only_where_there_is_one() -> None:
    def measured(*values: float | None) -> list[dict[str, Any]]:
        return [{"metrics": {"loss": value, "bleu": value, "rows": value}} for value in values]

    by_name = {metric.name: metric for metric in (*METRICS, *MORE_METRICS)}
    assert best_of(by_name["loss"], measured(2.0, 1.0, None)) == 1.0
    assert best_of(by_name["bleu"], measured(0.2, 0.1)) == 0.2
    assert best_of(by_name["loss"], measured(1.0, 1.0)) is None
    assert best_of(by_name["loss"], measured(1.0)) is None
    assert best_of(by_name["rows"], measured(1.0, 2.0)) is None


def test_an_adapter_is_measured_against_its_own_base() -> None:
    def job(adapter: str | None, model: str = "m") -> dict[str, Any]:
        return {"adapter_id": adapter, "base_model_id": model, "dataset_id": "d", "prompt_id": None}

    jobs = base_first([job("a"), job(None, "other"), job(None)])
    assert [one["adapter_id"] for one in jobs] == [None, None, "a"]
    assert baseline_of(jobs[2], jobs) is jobs[1]
    assert baseline_of(jobs[0], jobs) is None
    assert baseline_of(job("b", "third"), jobs) is None


def test_less_loss_and_more_matches_are_gains() -> None:
    gains = {metric.name: metric.is_gain(+1.0) for metric in METRICS}
    assert gains == {"loss": False, "perplexity": False, "exact_match": True, "rouge_l": True, "bleu": True}


def test_shares_are_shown_in_percent() -> None:
    exact = next(metric for metric in METRICS if metric.name == "exact_match")
    assert exact.show(0.256) == "25.6 %"
    assert exact.show_change(0.2) == "+20.0 points"
    assert exact.show(None) == "–"
