"""Texts of strangers, as databases keep them and as terminals are shown them."""

from __future__ import annotations

import json

import pytest
from tunebus.contracts.texts import plain, storable, visible, visible_json


@pytest.mark.parametrize(
    ("text", "kept"),
    [("a\0b", "a\\0b"), ("half \ud800", "half \\ud800"), ("é 🙂\n\t", "é 🙂\n\t")],
)
def test_what_no_database_takes_is_spelt_out(text: str, kept: str) -> None:
    assert storable(text) == kept


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\x1b[31m", "a\\x1b[31m"),
        ("a\x9b31m\x7f", "a\\x9b31m\\x7f"),
        ("gnp.\u202etxt \u2066x\u2069", "gnp.\\u202etxt \\u2066x\\u2069"),
        ("over\rwritten", "over\\rwritten"),
        ("two\r\nlines\n\tand a tab", "two\nlines\n\tand a tab"),
        ("é 🙂 \u200f", "é 🙂 \u200f"),
    ],
)
def test_what_a_terminal_would_obey_is_spelt_out(text: str, shown: str) -> None:
    assert visible(text) == shown


@pytest.mark.parametrize(
    ("output", "shown"),
    [
        ("\x1b[1;31mERROR\x1b[0m\tat 7\n", "ERROR\tat 7\n"),
        ("\x1b]0;owned\x07a \x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "a link"),
        (" 10%|#   |\r 20%|##  |\r\n", " 10%|#   |\n 20%|##  |\n"),
        ("\x1b(Bx\x9b2Jy\x00\x08\u202ez", "xyz"),
        ("cut off \x1b[3", "cut off 3"),
        ("open \x1b]0;never closed\nnext line", "open 0;never closed\nnext line"),
    ],
)
def test_output_loses_what_it_told_its_terminal_and_keeps_what_it_said(output: str, shown: str) -> None:
    assert plain(output) == shown


def test_json_on_a_terminal_is_the_same_value() -> None:
    value = {"name": "a\x1b[31m\x7f\x9b\u202e", "é": "\u2028🙂"}
    written = visible_json(json.dumps(value, ensure_ascii=False, indent=2))
    assert json.loads(written) == value
    assert "é" in written
    assert visible(written) == written
