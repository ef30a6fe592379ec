"""Conformance 14-16: prompts, generated templates and rendered examples; templates that loop or explode."""

from __future__ import annotations

import json
import shutil
import time
from typing import Any

import pytest
from tunebus.contracts.errors import Code, Problem, TunebusError

from tests.fixtures.registry import MODEL, Running

TEMPLATES = {
    "prompt_template": "Answer.\n{input}\n{completion}",
    "input_template": "Q: {question}",
    "completion_template": "{answer}",
}


def allowance(sound: float) -> float:
    """Seconds that an error may take where what is sound takes `sound`: two, and more on a machine that is busy."""
    return 2 + 3 * sound


async def refusal(running: Running, query: str, **arguments: Any) -> Problem:
    with pytest.raises(TunebusError) as refused:
        await running.client.query(query, arguments)
    return refused.value.problem


async def dataset_of(running: Running, *columns: str, rows: int = 3) -> str:
    """The id of a dataset with these columns, whose values tell column and row."""
    name = "-".join(columns)
    text = "".join(json.dumps({column: f"{column} {row}" for column in columns}) + "\n" for row in range(rows))
    return await running.accepted("AddDataset", name=name, path=str(running.write(f"{name}.jsonl", text)))


async def generated(running: Running, *columns: str, **arguments: Any) -> dict[str, Any]:
    return await running.client.query(
        "GeneratePrompt", {"dataset_id": await dataset_of(running, *columns), **arguments}
    )


async def test_conformance_14_all_of_a_prompt_is_required(running: Running) -> None:
    await running.things()
    whole = {"name": "short", "dataset_id": "faq", **TEMPLATES}
    for field in whole:
        refused = await running.refused("AddPrompt", **{name: whole[name] for name in whole if name != field})
        assert (refused.code, refused.param, refused.message) == (Code.INVALID, field, "is required")
        refused = await running.refused("AddPrompt", **{**whole, field: "  "})
        assert refused.param == field
    refused = await running.refused("AddPrompt", **{**whole, "dataset_id": "nobody"})
    assert (refused.code, refused.param, "nobody" in refused.message) == (Code.NOT_FOUND, "dataset_id", True)
    refused = await running.refused("AddPrompt")
    assert {one.param for one in refused.details or ()} == set(whole)
    assert running.events("PromptAdded") == []


async def test_conformance_14_a_placeholder_that_is_no_column_is_refused_naming_the_columns(running: Running) -> None:
    await running.things()
    whole = {"name": "short", "dataset_id": "faq", **TEMPLATES}
    for field in TEMPLATES:
        refused = await running.refused("AddPrompt", **{**whole, field: "{question} {answr}"})
        assert (refused.code, refused.param) == (Code.INVALID, field)
        assert "{answr}" in refused.message
        assert "question, answer" in (refused.hint or "")
    for broken in ("{question", "question}", "{}", "{question.upper}", "{question!r}"):
        refused = await running.refused("AddPrompt", **{**whole, "input_template": broken})
        assert refused.param == "input_template", broken
    for silent in ("{completion}", "{input} {answer}: {completion}"):
        refused = await running.refused("AddPrompt", **{**whole, "prompt_template": silent})
        assert (refused.code, refused.param) == (Code.INVALID, "prompt_template"), silent
    assert running.events("PromptAdded") == []


async def test_conformance_14_literal_braces_are_doubled(running: Running) -> None:
    await running.things()
    prompt = await running.accepted(
        "AddPrompt", name="json", dataset_id="faq", **{**TEMPLATES, "input_template": '{{"q": "{question}"}}'}
    )
    shown = await running.client.query("RenderPrompt", {"prompt_id": prompt, "seed": 1})
    assert shown["input"] == json.dumps({"q": shown["row"]["question"]})


RANKED = [
    (("label", "output", "response", "answer"), "answer"),
    (("label", "output", "Response", "text"), "Response"),
    (("OUTPUT", "label", "text"), "OUTPUT"),
    (("Label", "text"), "Label"),
    (("text", "summary"), "summary"),
    (("first", "second", "third"), "third"),
    (("only",), "only"),
]


async def test_conformance_15_the_best_ranked_column_is_the_output(running: Running) -> None:
    for columns, output in RANKED:
        found = await generated(running, *columns)
        inputs = [column for column in columns if column != output]
        assert (found["output_column"], found["input_columns"]) == (output, inputs)
        assert found["completion_template"] == "{" + output + "}"
        positions = [found["input_template"].index("{" + column + "}") for column in inputs]
        assert positions == sorted(positions)
        templates = {name: found[name] for name in TEMPLATES}
        shown = await running.client.query("RenderPrompt", {"dataset_id": found["dataset_id"], **templates})
        assert shown["completion"] == shown["row"][output]


async def test_conformance_15_generated_templates_can_be_added_and_the_output_be_chosen(running: Running) -> None:
    found = await generated(running, "question", "context", "answer", output_column="Context")
    assert (found["output_column"], found["input_columns"]) == ("context", ["question", "answer"])
    templates = {name: found[name] for name in TEMPLATES}
    await running.accepted("AddPrompt", name="made", dataset_id=found["dataset_id"], **templates)
    refused = await refusal(running, "GeneratePrompt", dataset_id=found["dataset_id"], output_column="nothing")
    assert (refused.param, "question, context, answer" in (refused.hint or "")) == ("output_column", True)
    assert (await refusal(running, "GeneratePrompt", dataset_id="nobody")).code == Code.NOT_FOUND


async def test_conformance_16_a_random_row_is_rendered_the_same_for_a_seed(running: Running) -> None:
    await running.things(rows=50)
    await running.accepted("AddPrompt", name="short", dataset_id="faq", **TEMPLATES)
    ask = {"prompt_id": "short", "seed": 7}
    shown = await running.client.query("RenderPrompt", ask)
    row = shown["row"]
    assert row == {"question": f"q{shown['row_number'] - 1}", "answer": f"a{shown['row_number'] - 1}"}
    assert shown["input"] == f"Q: {row['question']}"
    assert shown["prompt"] == f"Answer.\nQ: {row['question']}\n"
    assert shown["completion"] == row["answer"]
    assert await running.client.query("RenderPrompt", ask) == shown
    others = [await running.client.query("RenderPrompt", {**ask, "seed": seed}) for seed in range(5)]
    assert len({other["row_number"] for other in others}) > 1
    chat = await running.client.query("RenderPrompt", {**ask, "model_id": "starter"})
    assert f"<|user|>{shown['prompt'].strip()}<|end|>" in chat["chat"]
    assert chat["chat"].endswith(f"{row['answer']}<|end|>")


async def test_conformance_16_what_cannot_be_rendered_says_why(running: Running) -> None:
    await running.things()
    await running.accepted("AddPrompt", name="short", dataset_id="faq", **TEMPLATES)
    assert (await refusal(running, "RenderPrompt")).param == "dataset_id"
    assert (await refusal(running, "RenderPrompt", prompt_id="nobody")).param == "prompt_id"
    mixed = await refusal(running, "RenderPrompt", prompt_id="short", input_template="{question}")
    assert mixed.param == "input_template"
    lacking = await refusal(running, "RenderPrompt", dataset_id="faq", input_template="{question}")
    assert {one.param for one in lacking.details or ()} == {"prompt_template", "completion_template"}
    wrong = await refusal(running, "RenderPrompt", dataset_id="faq", **{**TEMPLATES, "completion_template": "{answr}"})
    assert (wrong.code, wrong.param) == (Code.INVALID, "completion_template")


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_conformance_16_a_template_that_explodes_is_an_error_within_two_seconds(running: Running) -> None:
    await running.things()
    text = json.dumps({"question": "x" * 1_000_000, "answer": "a"}) + "\n"
    await running.accepted("AddDataset", name="long", path=str(running.write("long.jsonl", text)))
    await running.client.query("RenderPrompt", {"dataset_id": "faq"})  # the child that looks is there
    begun = time.monotonic()
    await running.client.query("RenderPrompt", {"dataset_id": "faq"})
    allowed = allowance(time.monotonic() - begun)
    begun = time.monotonic()
    exploding = {**TEMPLATES, "input_template": "{question}" * 1900}
    refused = await refusal(running, "RenderPrompt", dataset_id="long", **exploding)
    assert time.monotonic() - begun < allowed
    assert refused.code == Code.TOO_LARGE
    assert await running.client.query("RenderPrompt", {"dataset_id": "faq"})  # and lives on


LOOPING = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
EXPLODING = "{% set ns = namespace(x='x' * 1000) %}{% for a in range(40) %}{% set ns.x = ns.x + ns.x %}{% endfor %}"


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_conformance_16_a_chat_template_that_loops_or_explodes_is_an_error_within_two_seconds(
    running: Running,
) -> None:
    await running.things()
    begun = time.monotonic()
    await running.accepted("AddModel", name="sound", path=str(MODEL))
    allowed = allowance(time.monotonic() - begun)
    for name, template in (("looping", LOOPING), ("exploding", EXPLODING)):
        folder = running.files / name
        shutil.copytree(MODEL, folder)
        (folder / "chat_template.jinja").write_text(template)
        begun = time.monotonic()
        refused = await running.refused("AddModel", name=name, path=str(folder))
        assert time.monotonic() - begun < allowed
        assert (refused.code, refused.param, "chat template" in refused.message) == (Code.INVALID, "path", True)
    folder = running.files / "later"
    shutil.copytree(MODEL, folder)
    await running.accepted("AddModel", name="later", path=str(folder))
    await running.client.query("RenderPrompt", {"dataset_id": "faq", "model_id": "later"})
    (folder / "chat_template.jinja").write_text(LOOPING)
    begun = time.monotonic()
    refused = await refusal(running, "RenderPrompt", dataset_id="faq", model_id="later")
    assert time.monotonic() - begun < allowed
    assert (refused.code, refused.param) == (Code.TOO_LARGE, "model_id")
    (folder / "chat_template.jinja").write_text("{{ raise_exception('no, thank you') }}")
    refused = await refusal(running, "RenderPrompt", dataset_id="faq", model_id="later")
    assert "no, thank you" in refused.message
