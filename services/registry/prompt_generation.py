"""Templates for a dataset that came without a prompt, made from the names of its columns alone.

The column whose name ranks first among the usual output names is the answer, else the last column; the others are
inputs, in order. No column is left out: a column of row numbers, say, is an input unless a prompt says otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence

from tunebus.contracts.errors import Code, fail
from tunebus.contracts.recipes import PromptTemplates

OUTPUT_NAMES = (
    "answer",
    "answers",
    "response",
    "responses",
    "output",
    "outputs",
    "label",
    "labels",
    "target",
    "targets",
    "completion",
    "completions",
    "summary",
    "highlights",
    "translation",
    "reply",
    "solution",
    "result",
    "chosen",
    "class",
    "category",
    "sentiment",
    "sql",
    "code",
)


def output_named(features: Sequence[str], name: str) -> str:
    """The column of this name, whatever its case where that is clear. Errors: `invalid`, naming the columns."""
    if name in features:
        return name
    alike = [feature for feature in features if feature.strip().lower() == name.strip().lower()]
    if len(alike) == 1:
        return alike[0]
    hint = f"columns: {', '.join(features)}"
    raise fail(Code.INVALID, f"{name!r} is no column of the dataset", param="output_column", hint=hint)


def output_column(features: Sequence[str]) -> str:
    """The column that holds the answer. Errors: `invalid` when there is no column."""
    if not features:
        raise fail(Code.INVALID, "the dataset has no columns to make a prompt of", param="dataset_id")
    names = {feature.strip().lower(): feature for feature in reversed(features)}
    return next((names[usual] for usual in OUTPUT_NAMES if usual in names), features[-1])


def generate(features: Sequence[str], output: str | None = None) -> PromptTemplates:
    """One input stands as it is, several are labelled by their names, one column alone is all answer."""
    output = output_column(features) if output is None else output_named(features, output)
    inputs = [feature for feature in features if feature != output]
    completion = _placeholder(output)
    if not inputs:
        return PromptTemplates(prompt_template="{completion}", input_template="", completion_template=completion)
    if len(inputs) == 1:
        text = _placeholder(inputs[0])
    else:
        text = "\n".join(f"{_literal(name)}: {_placeholder(name)}" for name in inputs)
    return PromptTemplates(prompt_template="{input}\n{completion}", input_template=text, completion_template=completion)


def _placeholder(name: str) -> str:
    if "{" in name or "}" in name:
        raise fail(
            Code.INVALID,
            f"column {name!r} has a brace in its name, which no template can name",
            param="dataset_id",
            hint="rename the column",
        )
    return "{" + name + "}"


def _literal(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")
