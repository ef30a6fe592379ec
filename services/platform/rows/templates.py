"""Templates that turn a row into text: `{column}` stands for the row's value, `{{` and `}}` for literal braces.

Nothing is evaluated: a placeholder is a column's exact name, never an attribute, an index or a format.

A prompt has three templates. `input_template` renders a row's input, `completion_template` its answer, and
`prompt_template` the whole training text: there `{input}` and `{completion}` stand for the two rendered parts (also
when a column has that name), and columns may be used as well. The answer stands in it once, as `{completion}` or as the
completion template word for word; where it does not, it follows at the end. What comes before the answer is what a
model is given; the answer and what follows it is what it learns.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tunebus.contracts.errors import Code, Problem, TunebusError, combine
from tunebus.contracts.recipes import PromptTemplates
from tunebus.services.platform.rows.reading import text_of

INPUT, COMPLETION = "input", "completion"


@dataclass(frozen=True)
class Column:
    """A placeholder of a parsed template; `position` is where its brace stands, counted from 1."""

    name: str
    position: int = 0

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Column) and other.name == self.name

    def __hash__(self) -> int:
        return hash(self.name)


Parts = list[str | Column]


@dataclass(frozen=True)
class Rendered:
    """A row as text: `prompt` is what the model is given, `completion` what it should answer."""

    prompt: str
    completion: str

    @property
    def text(self) -> str:
        return self.prompt + self.completion


_BRACE = re.compile(r"\{\{|\}\}|[{}]")


class TemplateError(ValueError):
    """A template whose braces do not match or hold nothing."""


def parse(template: str) -> Parts:
    """Split a template into text and placeholders. Errors: `TemplateError`, naming the position (from 1)."""
    parts: Parts = []
    text = ""
    at = 0
    while brace := _BRACE.search(template, at):
        text += template[at : brace.start()]
        at = brace.start()
        if brace[0] in ("{{", "}}"):
            text += brace[0][0]
            at += 2
            continue
        if brace[0] == "}":
            raise TemplateError(f"a '}}' at position {at + 1} closes nothing; write '}}}}' for a literal brace")
        end = template.find("}", at)
        inner = template[at + 1 : end]
        if end < 0 or "{" in inner:
            raise TemplateError(f"the '{{' at position {at + 1} is not closed; write '{{{{' for a literal brace")
        if not inner.strip():
            raise TemplateError(f"the placeholder at position {at + 1} is empty")
        parts += ([text] if text else []) + [Column(inner.strip(), at + 1)]
        text = ""
        at = end + 1
    text += template[at:]
    return [*parts, text] if text else parts


def check(templates: PromptTemplates, features: Sequence[str]) -> list[Problem]:
    """Everything wrong with a prompt's templates for a dataset with these features; empty when they fit."""
    problems, parsed = _unreadable(templates, features)
    return problems or _pointless(parsed)


def _unreadable(templates: PromptTemplates, features: Sequence[str]) -> tuple[list[Problem], dict[str, Parts]]:
    """What keeps a row from being rendered; and the templates' parts."""
    problems = []
    parsed: dict[str, Parts] = {}
    for field, extra in (
        ("prompt_template", (INPUT, COMPLETION)),
        ("input_template", ()),
        ("completion_template", ()),
    ):
        source = getattr(templates, field)
        if not source and field == "input_template" and "{input}" not in templates.prompt_template:
            continue  # a dataset of one column is all answer; a command that adds a prompt demands all three
        if not source.strip():
            problems.append(required(field, features))
            continue
        try:
            parsed[field] = parse(source)
        except TemplateError as error:
            problems.append(Problem(code=Code.INVALID, message=str(error), param=field))
            continue
        names = [part for part in parsed[field] if isinstance(part, Column)]
        known = {*features, *extra}
        problems += [_unknown(column, field, features, extra) for column in names if column.name not in known]
    if not problems and _answer_places(parsed["prompt_template"], parsed["completion_template"]) is None:
        problems.append(
            Problem(
                code=Code.INVALID,
                message="holds the answer more than once",
                param="prompt_template",
                hint="write {completion} once, where the answer begins",
            )
        )
    return problems, parsed


def _pointless(parsed: Mapping[str, Parts]) -> list[Problem]:
    """Templates that could be rendered, but would teach nothing: the model is not given the input, or is given the
    answer. Of an answer that repeats what it was asked, some columns may be given.
    """
    places = _answer_places(parsed["prompt_template"], parsed["completion_template"])
    assert places is not None
    before = _columns(places[0])
    given = _columns(parsed.get("input_template", []))
    answer = _columns(parsed["completion_template"])
    asked = given - answer
    if asked and INPUT not in before and not asked & before:
        named = " and ".join(f"{{{name}}}" for name in sorted(asked))
        return [
            Problem(
                code=Code.INVALID,
                message=f"leaves the input out: neither {{input}} nor {named} stands before the answer, so that every "
                "row asks the same",
                param="prompt_template",
                hint="write {input} where the input belongs, for example {input}\n{completion}",
            )
        ]
    shown = before - {INPUT} | (given if INPUT in before else set())
    if answer and answer <= shown:
        named = " and ".join(f"{{{name}}}" for name in sorted(answer))
        return [
            Problem(
                code=Code.INVALID,
                message=f"gives the answer away: {named} stands before the place where the answer begins",
                param="input_template" if INPUT in before and answer <= given else "prompt_template",
                hint="leave it out of what the model is given",
            )
        ]
    return []


def _columns(parts: Parts) -> set[str]:
    return {part.name for part in parts if isinstance(part, Column)}


def required(field: str, features: Sequence[str]) -> Problem:
    """The problem of a template that is not given, with one that would do."""
    column = features[-1 if field == "completion_template" else 0] if features else "column"
    example = "{input}{completion}" if field == "prompt_template" else f"{{{column}}}"
    return Problem(code=Code.INVALID, message="is required", param=field, hint=f"for example {example}")


class Renderer:
    """A prompt's templates, parsed once. Errors: `invalid` where they cannot be rendered; what `check` finds pointless
    is rendered all the same, as adapters were once trained on it.
    """

    def __init__(self, templates: PromptTemplates, features: Sequence[str]) -> None:
        problems, _ = _unreadable(templates, features)
        if problems:
            raise TunebusError(combine(problems))
        self._input = parse(templates.input_template)
        self._completion = parse(templates.completion_template)
        whole = parse(templates.prompt_template)
        places = _answer_places(whole, self._completion)
        assert places is not None
        self._before, self._after = places

    def render(self, row: Mapping[str, Any]) -> Rendered:
        """The row as text. A column that the row lacks, or that is null, is empty."""
        part = _fill(self._input, row)
        completion = _fill(self._completion, row)
        names = {**row, INPUT: part, COMPLETION: completion}
        return Rendered(_fill(self._before, names), completion + _fill(self._after, names))


def _fill(parts: Parts, row: Mapping[str, Any]) -> str:
    return "".join(part if isinstance(part, str) else text_of(row.get(part.name)) for part in parts)


def _answer_places(whole: Parts, completion: Parts) -> tuple[Parts, Parts] | None:
    """What stands before and after the answer in the prompt template, or None when it is there more than once."""
    marked = [index for index, part in enumerate(whole) if part == Column(COMPLETION)]
    if len(marked) == 1:
        return whole[: marked[0]], whole[marked[0] + 1 :]
    if marked:
        return None
    # Text of the two templates may be joined to its neighbours differently, so compare character by character.
    letters, wanted = _letters(whole), _letters(completion)
    found = [at for at in range(len(letters) - len(wanted) + 1) if letters[at : at + len(wanted)] == wanted]
    if not found:
        return whole, []
    return (letters[: found[0]], letters[found[0] + len(wanted) :]) if len(found) == 1 else None


def _letters(parts: Parts) -> Parts:
    letters: Parts = []
    for part in parts:
        letters += part if isinstance(part, str) else [part]
    return letters


def _unknown(column: Column, field: str, features: Sequence[str], extra: Sequence[str]) -> Problem:
    there = f"its columns: {', '.join(features)}"
    if extra:
        there += f"; also {' and '.join('{' + name + '}' for name in extra)}"
    if any(mark in column.name for mark in ".[:!"):
        there = f"a placeholder is a column's name, without attribute, index or format; {there}"
    message = f"{{{column.name}}} at position {column.position} is no column of the dataset"
    return Problem(code=Code.INVALID, message=message, param=field, hint=there)
