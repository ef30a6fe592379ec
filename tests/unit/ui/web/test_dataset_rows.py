"""Rows as HTML: numbers of an address, histograms, what is learnt marked, templates with their placeholders."""

from __future__ import annotations

import re

import pytest
from tunebus.ui.web import prompts
from tunebus.ui.web.dataset import rows
from tunebus.ui.web.dataset.adding import look_address


@pytest.mark.parametrize(
    ("given", "expected"), [("", 0), ("17", 17), ("-1", 0), ("1e9", 0), ("１", 0), ("9" * 30, 0), ("9" * 16, 2**53 - 1)]
)
def test_whatever_is_no_number_is_the_first_row(given: str, expected: int) -> None:
    assert rows.number_of({"from": given}, "from") == expected


def test_every_bar_says_its_figures_and_marks_what_is_cut_otherwise_than_by_colour() -> None:
    bins = [{"from": 1, "to": 10, "rows": 4}, {"from": 11, "to": 20, "rows": 0}, {"from": 21, "to": 30, "rows": 1}]
    drawn = rows.histogram(bins, 25)
    assert drawn.count("<rect") == 3
    assert drawn.count("tb-bin-over") == 1
    for words in ("1 to 10 tokens: 4 rows", "11 to 20 tokens: 0 rows", "21 to 30 tokens: 1 row"):
        assert drawn.count(words) == 2, "as the bar's own words and as the picture's"
    heights = [float(one) for one in re.findall(r'<rect[^>]* height="(\d+)"', drawn)]
    assert heights[0] > heights[2] > heights[1] == 0
    assert "tb-bin-over" not in rows.histogram(bins)


def test_rows_are_escaped_numbered_and_say_what_is_not_there() -> None:
    shown = rows.raw_table(["a", "b", "c"], [{"a": "<b>", "b": None}, {"a": "", "c": {"x": ["<i>"]}}], first=40)
    assert "&lt;b&gt;" in shown
    assert "<i>" not in shown
    assert shown.index(">41<") < shown.index(">42<")
    assert (shown.count("not there"), shown.count("null"), shown.count(">empty<")) == (2, 1, 1)


def test_placeholders_of_a_template_are_marked_and_braces_are_not() -> None:
    shown = prompts.marked("{{x}} {question}: <{answer}>")
    assert '<strong class="tb-placeholder">{question}</strong>' in shown
    assert "&lt;<strong" in shown
    assert '<strong class="tb-placeholder">{x}' not in shown


@pytest.mark.parametrize("chat", [None, "<|user|>2 + 2?<|assistant|>4<|end|>"])
def test_what_is_learnt_is_marked_in_text_and_chat(chat: str | None) -> None:
    found = {"row_number": 3, "row": {"q": "2 + 2?"}, "prompt": "2 + 2?\n", "completion": "4", "chat": chat}
    shown = prompts.rendered(found)
    assert shown.count('<mark class="tb-learnt">4</mark>') == 1
    assert ("&lt;|assistant|&gt;<mark" in shown) == (chat is not None)
    empty = prompts.rendered({**found, "completion": " ", "chat": None})
    assert "nothing to learn" in empty


def test_a_file_is_looked_at_where_an_address_names_one() -> None:
    assert look_address({"add": "path"}) == ""
    address = look_address({"add": "path", "path": "/a b.csv", "map.prompt": "q", "map.completion": "", "other": "x"})
    assert address == "/fragment/dataset-look?path=%2Fa+b.csv&map.prompt=q"
