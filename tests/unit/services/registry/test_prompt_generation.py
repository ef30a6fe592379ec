"""Templates made from column names: the ranked output, the other columns as inputs in order."""

from __future__ import annotations

import pytest
from tunebus.contracts.errors import TunebusError
from tunebus.services.platform.rows.templates import Renderer
from tunebus.services.registry.prompt_generation import generate, output_column


@pytest.mark.parametrize(
    ("features", "output"),
    [
        (["question", "answer"], "answer"),
        (["answer", "question"], "answer"),
        (["label", "output", "response", "answer"], "answer"),
        (["label", "output", "response"], "response"),
        (["label", "output", "text"], "output"),
        (["label", "text"], "label"),
        (["text", "Target"], "Target"),
        (["COMPLETION", "x"], "COMPLETION"),
        (["article", "summary", "id"], "summary"),
        (["a", "b", "c"], "c"),
        (["only"], "only"),
    ],
)
def test_the_output_is_the_best_ranked_name_else_the_last_column(features: list[str], output: str) -> None:
    assert output_column(features) == output


def test_no_column_is_refused() -> None:
    with pytest.raises(TunebusError) as refused:
        generate([])
    assert refused.value.problem.code == "invalid"


def test_a_row_is_rendered_from_generated_templates() -> None:
    features = ["context", "question", "answer"]
    rendered = Renderer(generate(features), features).render({"context": "c", "question": "q", "answer": "a"})
    assert rendered.prompt == "context: c\nquestion: q\n"
    assert rendered.completion == "a"


def test_a_single_input_stands_as_it_is() -> None:
    features = ["question", "answer"]
    rendered = Renderer(generate(features), features).render({"question": "q", "answer": "a"})
    assert (rendered.prompt, rendered.completion) == ("q\n", "a")


def test_one_column_is_the_output_alone() -> None:
    rendered = Renderer(generate(["text"]), ["text"]).render({"text": "all of it"})
    assert (rendered.prompt, rendered.completion) == ("", "all of it")


def test_columns_named_like_the_parts_of_a_prompt_do_no_harm() -> None:
    features = ["input", "completion"]
    rendered = Renderer(generate(features), features).render({"input": "i", "completion": "c"})
    assert (rendered.prompt, rendered.completion) == ("i\n", "c")


def test_a_column_with_a_brace_in_its_name_is_refused_in_words() -> None:
    with pytest.raises(TunebusError) as refused:
        generate(["a{b", "answer"])
    assert "'a{b'" in refused.value.problem.message
