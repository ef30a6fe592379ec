"""Prompts: templates that fit an existing dataset."""

from __future__ import annotations

from typing import Any

import pytest
from tunebus.contracts import commands as ask

GOOD = {
    "prompt_template": "{input}\n{completion}",
    "input_template": "{question}",
    "completion_template": "{answer}",
}


def command(**fields: Any) -> ask.AddPrompt:
    return ask.AddPrompt(**{"name": "p", "dataset_id": "faq", **GOOD, **fields})


def test_a_prompt_is_added_to_its_dataset_by_name(studio: Any) -> None:
    dataset_id = studio.dataset()
    event = studio.accept(command()).events[0]
    assert event.type == "PromptAdded"
    assert event.data["dataset_id"] == dataset_id


def test_an_unknown_dataset_is_refused_naming_it(studio: Any) -> None:
    problem = studio.refuse(command(dataset_id="nope"))
    assert (problem.code, problem.param) == ("not_found", "dataset_id")
    assert "'nope'" in problem.message


@pytest.mark.parametrize("field", GOOD)
def test_each_template_is_required(studio: Any, field: str, params: Any) -> None:
    studio.dataset()
    assert params(studio.refuse(command(**{field: "  "}))) == {field: "invalid"}


def test_a_placeholder_that_is_no_feature_is_refused_naming_it_and_the_features(studio: Any) -> None:
    studio.dataset()
    problem = studio.refuse(command(input_template="{frage}"))
    assert problem.param == "input_template"
    assert "frage" in problem.message
    assert problem.hint is not None
    assert "question, answer" in problem.hint


def test_everything_wrong_is_said_at_once(studio: Any, params: Any) -> None:
    studio.dataset()
    studio.accept(command())
    problem = studio.refuse(command(input_template="{frage}", completion_template="{antwort"))
    assert set(params(problem)) == {"name", "input_template", "completion_template"}


def test_literal_braces_are_escaped_by_doubling(studio: Any) -> None:
    studio.dataset()
    studio.accept(command(input_template='{{"q": "{question}"}}'))
