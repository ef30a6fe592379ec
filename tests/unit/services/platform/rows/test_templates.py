"""Templates: what they render, and everything that is refused about them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tunebus.contracts.errors import TunebusError
from tunebus.contracts.recipes import PromptTemplates
from tunebus.services.platform.rows.templates import Column, Renderer, TemplateError, check, parse


def templates(prompt: str = "{input}{completion}", given: str = "{q}", answer: str = "{a}") -> PromptTemplates:
    return PromptTemplates(prompt_template=prompt, input_template=given, completion_template=answer)


class TestParse:
    def test_text_and_columns(self) -> None:
        assert parse("Q: {q}\n") == ["Q: ", Column("q"), "\n"]

    def test_doubled_braces_are_literal(self) -> None:
        assert parse("{{x}} {{{q}}}") == ["{x} {", Column("q"), "}"]

    def test_a_column_name_may_hold_spaces(self) -> None:
        assert parse("{Customer question}") == [Column("Customer question")]

    @pytest.mark.parametrize(
        ("source", "words"),
        [
            ("a {b", "'{' at position 3 is not closed"),
            ("a } b", "'}' at position 3 closes nothing"),
            ("{a}}", "'}' at position 4"),
            ("{a{b}}", "'{' at position 1 is not closed"),
            ("x {} y", "position 3 is empty"),
            ("{ }", "position 1 is empty"),
        ],
    )
    def test_braces_that_do_not_match(self, source: str, words: str) -> None:
        with pytest.raises(TemplateError) as caught:
            parse(source)
        assert words in str(caught.value)

    @given(st.text())
    def test_escaped_text_is_itself(self, text: str) -> None:
        assert "".join(map(str, parse(text.replace("{", "{{").replace("}", "}}")))) == text


class TestCheck:
    def test_fitting_templates(self) -> None:
        assert check(templates(), ["q", "a"]) == []

    def test_an_unknown_column_is_named_with_the_features_there_are(self) -> None:
        (problem,) = check(templates(given="{question}"), ["q", "a"])
        assert problem.param == "input_template"
        assert "{question}" in problem.message
        assert "its columns: q, a" in (problem.hint or "")

    def test_all_faults_at_once(self) -> None:
        problems = check(templates("{x}{completion}", "{y", " "), ["q", "a"])
        assert [problem.param for problem in problems] == ["prompt_template", "input_template", "completion_template"]
        assert (problems[2].message, problems[2].hint) == ("is required", "for example {a}")

    @pytest.mark.parametrize("name", ["q.real", "q[0]", "q:>10", "q!r", "q.__class__"])
    def test_nothing_but_a_name(self, name: str) -> None:
        (problem,) = check(templates(given=f"{{{name}}}"), ["q", "a"])
        assert "without attribute, index or format" in (problem.hint or "")

    def test_a_column_with_such_a_name_is_still_a_column(self) -> None:
        assert check(templates(given="{user.name}"), ["user.name", "a"]) == []

    def test_input_and_completion_belong_to_the_prompt_template_alone(self) -> None:
        assert [problem.param for problem in check(templates(given="{completion}"), ["q", "a"])] == ["input_template"]

    def test_the_answer_twice(self) -> None:
        (problem,) = check(templates("{completion} {input} {completion}"), ["q", "a"])
        assert "more than once" in problem.message

    @pytest.mark.parametrize(
        ("prompt", "given", "answer", "param", "words"),
        [
            ("{completion}", "{q}", "{a}", "prompt_template", "leaves the input out: neither {input} nor {q}"),
            ("Answer: {a}", "{q}", "{a}", "prompt_template", "leaves the input out"),
            ("{r} {completion}", "{q}", "{a}", "prompt_template", "leaves the input out"),
            ("{completion} {input}", "{q}", "{a}", "prompt_template", "leaves the input out"),
            ("Q {a} {input} {completion}", "{q}", "{a}", "prompt_template", "gives the answer away: {a}"),
            ("Q {input} {a}", "{q}", "{a}!", "prompt_template", "gives the answer away: {a}"),
            ("{input} {completion}", "{q} {a}", "{a}", "input_template", "gives the answer away: {a}"),
        ],
    )
    def test_what_would_teach_nothing(self, prompt: str, given: str, answer: str, param: str, words: str) -> None:
        asked = templates(prompt, given, answer)
        (problem,) = check(asked, ["q", "a", "r"])
        assert problem.param == param
        assert words in problem.message
        assert Renderer(asked, ["q", "a", "r"]).render({"q": "Why?", "a": "So."}).completion, "what was kept is read"

    @pytest.mark.parametrize(
        ("prompt", "given", "answer"),
        [
            ("Q {input} {a}", "{q}", "{a}"),
            ("Q: {q} A: {completion}", "{q} {r}", "{a}"),
            ("{completion}", "Write on.", "{a}"),
            ("{input}{completion}", "{q}", "{q} {a}"),
            ("{completion}", "{a}", "{a}"),
        ],
    )
    def test_an_input_in_its_own_words_and_an_answer_that_repeats_it_are_fine(
        self, prompt: str, given: str, answer: str
    ) -> None:
        assert check(templates(prompt, given, answer), ["q", "a", "r"]) == []

    def test_the_renderer_refuses_what_check_finds(self) -> None:
        with pytest.raises(TunebusError):
            Renderer(templates(given="{x}"), ["q", "a"])


class TestRender:
    @pytest.mark.parametrize(
        ("prompt", "given", "answer", "before", "learnt"),
        [
            ("{input}{completion}", "{q}", "{a}", "Why?", "So."),
            ("### {input}\n### {completion}\n", "{q}", "{a}", "### Why?\n### ", "So.\n"),
            ("Q: {q} A: {a}", "{q}", "{a}", "Q: Why? A: ", "So."),
            ("Q: {q} A: -{a}-", "{q}", "-{a}-", "Q: Why? A: ", "-So.-"),
            ("Q: {q} A:", "{q}", " {a}", "Q: Why? A:", " So."),
            ("{q} {input}{completion}", "<{q}>", "{a}", "Why? <Why?>", "So."),
            ("{{}} {completion}", "{q}", "{{{a}}}", "{} ", "{So.}"),
        ],
    )
    def test_prompt_and_completion(self, prompt: str, given: str, answer: str, before: str, learnt: str) -> None:
        rendered = Renderer(templates(prompt, given, answer), ["q", "a"]).render({"q": "Why?", "a": "So."})
        assert (rendered.prompt, rendered.completion) == (before, learnt)
        assert rendered.text == before + learnt

    def test_columns_called_input_are_the_rendered_input_in_the_prompt_template(self) -> None:
        renderer = Renderer(templates("{input} {completion}", "{instruction} {input}"), ["instruction", "input", "a"])
        assert renderer.render({"instruction": "Add", "input": "1 2", "a": "3"}).prompt == "Add 1 2 "

    def test_a_rows_text_is_never_a_template(self) -> None:
        rendered = Renderer(templates(), ["q", "a"]).render({"q": "{a} {{ {completion}", "a": "{q}"})
        assert (rendered.prompt, rendered.completion) == ("{a} {{ {completion}", "{q}")

    @pytest.mark.parametrize(
        ("value", "text"),
        [(None, ""), (3, "3"), (0.5, "0.5"), (True, "true"), (["é", 1], '["é", 1]'), ({"b": None}, '{"b": null}')],
    )
    def test_values_that_are_no_text(self, value: object, text: str) -> None:
        assert Renderer(templates(), ["q", "a"]).render({"q": value, "a": "x"}).prompt == text

    def test_a_column_that_the_row_lacks_is_empty(self) -> None:
        assert Renderer(templates(), ["q", "a"]).render({"a": "x"}).prompt == ""
