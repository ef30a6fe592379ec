"""What rows are recognised as, what does not fit, and what each becomes."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tunebus.contracts.errors import TunebusError
from tunebus.services.platform.rows.formats import (
    FORMATS,
    STANDARD_NAMES,
    Pair,
    answer,
    converted,
    lacking,
    misfit,
    recognised,
    renamed,
)

HUMAN, GPT = {"from": "human", "value": "x"}, {"from": "gpt", "value": "y"}
USER, ASSISTANT = {"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}


@pytest.mark.parametrize(
    ("row", "format"),
    [
        ({"messages": [USER, ASSISTANT]}, "messages"),
        ({"conversations": [USER, ASSISTANT]}, "messages"),
        ({"conversations": [HUMAN, GPT]}, "sharegpt"),
        ({"messages": [HUMAN, GPT]}, "sharegpt"),
        ({"messages": "text"}, "prompt"),
        ({"instruction": "x", "output": "y", "text": "z"}, "alpaca"),
        ({"instruction": ["x"], "output": "y"}, "prompt"),
        ({"text": "x"}, "text"),
        ({"text": "x", "label": 1}, "prompt"),
        ({"prompt": "x", "completion": "y", "chosen": "z"}, "prompt_completion"),
        ({"prompt": "x", "chosen": "y", "rejected": "z"}, "preference"),
    ],
)
def test_rows_are_recognised_by_their_columns_and_what_they_hold(row: dict[str, Any], format: str) -> None:
    assert recognised([row], row) == format


def test_one_row_of_another_kind_among_the_first_makes_them_plain_columns() -> None:
    rows = [{"prompt": "x", "completion": "y"}, {"prompt": {"a": 1}, "completion": "y"}]
    assert recognised(rows, rows[0]) == "prompt"


@pytest.mark.parametrize(
    ("turns", "words"),
    [
        ([{"from": "alien", "value": "x"}], "message 1 is from 'alien'"),
        ([HUMAN], "no message of the assistant"),
        ([{"from": "human"}], "the content of message 1 is null"),
        ("text", "'conversations' is text"),
        ([], "not a list of messages"),
    ],
)
def test_what_is_wrong_with_a_turn_is_named(turns: object, words: str) -> None:
    row = {"conversations": turns}
    assert words in (misfit(row, "sharegpt") or "")
    with pytest.raises(TunebusError) as caught:
        converted(row, "sharegpt")
    assert words in caught.value.problem.message


def test_turns_of_sharegpt_become_messages() -> None:
    system = {"from": "system", "value": "s"}
    assert converted({"conversations": [system, HUMAN, GPT]}, "sharegpt") == [
        {"role": "system", "content": "s"},
        USER,
        ASSISTANT,
    ]


def test_calls_of_functions_are_the_assistants_and_a_system_column_comes_first() -> None:
    call, seen = {"from": "function_call", "value": "f()"}, {"from": "observation", "value": "3"}
    row = {"conversations": [HUMAN, call, seen, GPT], "system": "s", "tools": "[]"}
    found = converted(row, "sharegpt")
    assert isinstance(found, list)
    assert [turn["role"] for turn in found] == ["system", "user", "assistant", "tool", "assistant"]
    own = {"from": "system", "value": "own"}
    assert converted({**row, "conversations": [own, HUMAN, GPT]}, "sharegpt")[0]["content"] == "own"  # type: ignore[index]


@pytest.mark.parametrize("history", [[["a", "b"], ["c", "d"]], '[["a", "b"], ["c", "d"]]'])
def test_alpacas_system_and_history_come_before_the_instruction(history: object) -> None:
    row = {"instruction": "x", "input": "", "output": "y", "system": "s", "history": history}
    found = converted(row, "alpaca")
    assert isinstance(found, Pair)
    assert (found.prompt, found.completion) == ("s\n\na\n\nb\n\nc\n\nd\n\nx\n", "y")
    assert [turn["role"] for turn in found.earlier] == ["system", "user", "assistant", "user", "assistant"]
    for nothing in (None, "", [], "[]"):
        assert converted({**row, "system": None, "history": nothing}, "alpaca") == Pair("x\n", "y")


@pytest.mark.parametrize("history", ["earlier", [["a"]], [["a", None]], {"a": "b"}, 3])
def test_a_history_of_other_things_is_no_alpaca(history: object) -> None:
    assert "'history' is" in (misfit({"instruction": "x", "output": "y", "history": history}, "alpaca") or "")


@pytest.mark.parametrize(
    ("weights", "words"),
    [((0, 1), None), ((1, None), None), ((0, 0), "without the weight 0"), ((0.5, 1), "the weight of message 2 is 0.5")],
)
def test_weights_of_messages_are_0_and_1(weights: tuple[Any, Any], words: str | None) -> None:
    first, second = ({**ASSISTANT, "weight": weight} for weight in weights)
    wrong = misfit({"messages": [USER, first, USER, second]}, "messages")
    assert (words or "") in (wrong or "")
    assert (wrong is None) == (words is None)


def test_a_chosen_answer_that_repeats_its_prompt_is_not_doubled() -> None:
    row = {"prompt": "x", "chosen": [USER, ASSISTANT], "rejected": [USER, ASSISTANT]}
    assert converted(row, "preference") == [USER, ASSISTANT]
    assert converted({"prompt": [USER], "completion": "y"}, "prompt_completion") == [USER, ASSISTANT]


def test_empty_parts_are_empty_text() -> None:
    assert converted({"instruction": None, "output": 3}, "alpaca") == Pair("\n", "3")
    assert answer({"prompt": "x"}, "prompt_completion") == ""


def test_every_format_names_what_it_lacks() -> None:
    for name, known in FORMATS.items():
        assert lacking([], name) == list(known.needs)
        assert lacking(known.needs, name) == []


values = st.none() | st.text(max_size=5) | st.integers()
mappings = st.dictionaries(st.sampled_from(STANDARD_NAMES), st.sampled_from("abcdefghijkl"), max_size=4)


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from("abcdefghijkl"), values), mappings)
def test_renaming_loses_no_value(row: dict[str, Any], mapping: dict[str, str]) -> None:
    if len(set(mapping.values())) < len(mapping):
        return
    found = renamed(row, mapping)
    assert list(found.values()) == list(row.values())
    assert all(found[name] == row[column] for name, column in mapping.items() if column in row)
