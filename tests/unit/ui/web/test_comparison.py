"""What a comparison asks for, and what counts as a gain."""

from __future__ import annotations

from typing import Any

import pytest
from tunebus.contracts.envelope import Outcome
from tunebus.contracts.errors import TunebusError
from tunebus.ui.web.acting import Asking
from tunebus.ui.web.comparison import (
    METRICS,
    MORE_METRICS,
    Contender,
    Split,
    base_first,
    baseline_of,
    best_of,
    column_names,
    contenders,
    may_have_seen,
    scored_on,
    start_against_base,
)
from tunebus.ui.web.evaluate import plan

ADAPTERS = {
    "a1": {"id": "a1", "name": "first", "model_id": "m", "prompt_id": "p", "fine_tuning_job_id": "j"},
    "a2": {"id": "a2", "name": "second", "model_id": "m", "prompt_id": "p", "fine_tuning_job_id": "j"},
    "a3": {"id": "a3", "name": "foreign", "model_id": "m", "prompt_id": None, "fine_tuning_job_id": None},
    "a4": {"id": "a4", "name": "plain", "model_id": "m", "prompt_id": None, "fine_tuning_job_id": "plain"},
}


RECIPE = {"dataset": {"dataset_fraction": 1.0, "train_test_split": 0.9, "split_seed": 7}}
JOBS = {
    "j": {"id": "j", "dataset_id": "d", "prompt_id": "p", "recipe": RECIPE},
    "plain": {"id": "plain", "dataset_id": "d", "prompt_id": None, "recipe": RECIPE},
}
DATASETS = {
    "d": {"id": "d", "name": "faq", "format": "prompt", "splits": {}},
    "other": {"id": "other", "name": "starter-questions", "format": "prompt", "splits": {}},
    "split": {"id": "split", "name": "halves", "format": "text", "splits": {"train": 30, "test": 10}},
}
MODELS = {
    "m": {"id": "m", "name": "base", "fine_tuning_job_id": None},
    "other": {"id": "other", "name": "other", "fine_tuning_job_id": None},
}
ASKED = "01a1f962-8742-7dde-84fc-12a35196719d"


class FakeStudio:
    def __init__(self) -> None:
        self.sent: list[tuple[str, dict[str, Any], str]] = []

    async def ask(self, name: str, *, id: str = "", dataset_id: str = "", limit: int = 0) -> dict[str, Any]:
        if name == "ListPrompts":
            return {"items": [{"id": "only"}] if dataset_id == "other" else []}
        tables = {"GetAdapter": ADAPTERS, "GetModel": MODELS, "GetFineTuningJob": JOBS, "GetDataset": DATASETS}
        return dict(tables[name][id])

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


@pytest.mark.parametrize(
    ("adapters", "dataset", "bases"),
    [
        (["a1", "a4"], None, ["p"]),  # one without a prompt is scored as the first training on its rows
        (["a1", "a3"], "d", ["p"]),
        (["a4", "a1"], None, [None, "p"]),
        (["a1", "a3"], "other", [None]),
    ],
)
async def test_a_base_that_comes_to_the_same_is_scored_once(
    studio: Any, adapters: list[str], dataset: str | None, bases: list[str | None]
) -> None:
    found = await contenders(studio, adapters, dataset_id=dataset)
    assert [one.combination.get("prompt_id") for one in found if not one.is_tuned] == bases
    assert sum(one.is_tuned for one in found) == len(adapters)


async def test_the_only_prompt_of_a_dataset_is_the_one_that_is_meant(studio: Any) -> None:
    found = await contenders(studio, ["a1", "a2"], ["other", "m"], dataset_id="other", prompt_id="only")
    assert [one.combination["base_model_id"] for one in found if not one.is_tuned] == ["m", "other"]
    bare = [{"base_model_id": "m", "dataset_id": "other"}, {"base_model_id": "m", "dataset_id": "other"}]
    assert [one.combination for one in await contenders(studio, [], ["m", "m"], dataset_id="other")] == bare[:1]


def test_columns_of_one_name_say_what_tells_them_apart() -> None:
    base = {"kind": "evaluation_job", "base_model_id": "m", "base_model_name": "m", "dataset_name": "faq"}
    named = [{**base, "prompt_name": "short"}, {**base, "prompt_name": None}, {**base, "adapter_name": "a"}]
    assert column_names(named) == ["m · short", "m · without a prompt", "m + a"]
    assert column_names([base, {**base, "dataset_name": "starter"}]) == ["m · faq", "m · starter"]


def test_what_is_scored_follows_from_the_dataset_and_the_options() -> None:
    own = Split(1.0, 0.9, 7)
    trained = Contender({"dataset_id": "d", "adapter_id": "a"}, own)
    later = Contender({"dataset_id": "d", "adapter_id": "b"}, Split(1.0, 0.9, 8))
    bare, foreign = Contender({"dataset_id": "d"}), Contender({"dataset_id": "d", "adapter_id": "c"})
    assert scored_on([bare, trained, foreign, later]) == [own, own, Split(), later.split]
    assert scored_on([bare, trained, later], leave_out=True) == [own] * 3
    assert scored_on([trained], fraction=0.5, train_share=0.2, seed=1) == [Split(0.5, 0.2, 1)]
    assert may_have_seen([trained, later], scored_on([trained, later]))
    assert not may_have_seen([bare, trained], scored_on([bare, trained]))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "faq: 100 % of its rows were used, and 10 % of these were held out and are scored (seed 7)."),
        ({"seed": "3", "max_rows": "4"}, '(seed 3).</p><p class="tb-small">Of these, 4 rows at most.'),
        ({"dataset_id": "other"}, "starter-questions: nothing here was trained on it; 5 %"),
        ({"dataset_id": "split"}, "halves: its own split test is scored (10 rows)."),
        ({"seed": "3", "leakage": "exclude"}, "rows that any of them has learnt are left out for all"),
        ({"seed": "nan", "train_test_split": "x"}, "10 % of these"),
    ],
)
async def test_a_plan_speaks_of_the_dataset_that_is_scored(studio: Any, options: dict[str, str], said: str) -> None:
    found = await plan(studio, {"adapters": "a1", "with_base": "true", **options})
    assert "2 jobs" in found
    assert said in found
    assert ("faq" in found) == ("dataset_id" not in options)


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
