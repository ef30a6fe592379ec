"""Runs side by side: what differs in their settings, which figure is best, and answers matched by their prompts."""

from __future__ import annotations

from typing import Any

import pytest
from tunebus.ui.web import runs
from tunebus.ui.web.runs import Run


def job(name: str, **changes: Any) -> dict[str, Any]:
    return {
        "id": f"id-of-{name}",
        "adapter_name": name,
        "state": "succeeded",
        "base_model_name": "starter",
        "dataset_name": "questions",
        "prompt_name": None,
        "prompt_id": None,
        "recipe": {
            "method": "lora",
            "model": {"location": "x"},
            "dataset": {"dataset_fraction": 1.0, "location": "y"},
            "training_arguments": {"learning_rate": 1e-4, "precision": "auto"},
            "lora": {"r": 16},
            "sources": {"r": "default"},
        },
        "attempts_made": [],
        "metrics": {},
        "started_at": None,
        "finished_at": None,
        **changes,
    }


@pytest.mark.parametrize(
    ("given", "named"),
    [("", []), ("a,b,a, ,b", ["a", "b"]), (",".join(map(str, range(30))), [str(n) for n in range(10)])],
)
def test_an_address_names_each_run_once_and_ten_at_most(given: str, named: list[str]) -> None:
    assert runs.references({"ids": given}) == named


def test_only_what_differs_is_told_the_data_first() -> None:
    other = job("b", dataset_name="others")
    other["recipe"] = other["recipe"] | {"lora": {"r": 8}, "sources": {"r": "command"}}
    found = [runs.settings(one) for one in (job("a"), other)]
    assert runs.differing(found) == ["dataset", "r"]
    assert [one["r"] for one in found] == [16, 8]
    assert runs.differing([found[0], found[0]]) == []


def test_what_was_left_open_is_as_the_attempt_decided() -> None:
    decided = job("a", attempts_made=[{"resolved": {"precision": "bfloat16"}}, {"resolved": None}])
    assert runs.settings(decided)["precision"] == "bfloat16"
    undecided = runs.settings(job("b"))
    assert "precision" not in undecided
    assert runs.differing([runs.settings(decided), undecided]) == []


@pytest.mark.parametrize(
    ("name", "values", "best"),
    [
        ("eval_loss", [2.0, 1.0, None], 1.0),
        ("eval_token_accuracy", [0.1, 0.9], 0.9),
        ("eval_loss", [1.0, 1.0], None),
        ("eval_loss", [1.0, None], None),
        ("parameters", [1.0, 2.0], None),
    ],
)
def test_the_best_is_at_the_end_that_is_better(name: str, values: list[float | None], best: float | None) -> None:
    assert runs.best(name, values) == best


def test_what_a_run_costs_is_compared_among_runs_of_one_length() -> None:
    runs_of = [
        [{"step": 30, "metrics": {"tokens": 900}}, {"step": step, "metrics": {"tokens": 900}}] for step in (30, 7)
    ]
    assert [runs.equally_long(one) for one in runs_of] == [True, False]
    assert runs.best("duration_seconds", [9.0, 2.0], equal=False) is None
    assert runs.best("duration_seconds", [9.0, 2.0], equal=True) == 2.0
    assert runs.best("eval_loss", [9.0, 2.0], equal=False) == 2.0


def test_the_last_answers_stand_beside_one_another_by_prompt() -> None:
    def row(prompt: str, *answers: str) -> dict[str, Any]:
        given = [{"step": step, "answer": answer} for step, answer in enumerate(answers)]
        return {"prompt": prompt, "reference": "r", "answers": given}

    found = runs.answers([{"rows": [row("p", "old", "new"), row("silent")]}, {"rows": [row("q", "z"), row("p", "w")]}])
    assert [(one["prompt"], [one and one["answer"] for one in one["answers"]]) for one in found] == [
        ("p", ["new", "w"]),
        ("q", [None, "z"]),
    ]


def test_a_table_for_spreadsheets_holds_no_formula() -> None:
    evil = job("=1+1", metrics={"eval_loss": 1.5}, base_model_name="@x")
    rows = runs.as_table([Run("a", "=1+1", evil), Run("gone", "gone"), Run("b", "b", job("b"))])
    assert rows[0] == ["run", "id", "state", "eval_loss", "base_model"]
    assert rows[1] == ["'=1+1", "id-of-=1+1", "succeeded", 1.5, "'@x"]
    assert len(rows) == 3
