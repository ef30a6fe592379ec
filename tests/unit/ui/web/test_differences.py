"""Differences between texts: what was said is never changed, and marks stand only where they say something."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from tunebus.ui.web.differences import MOST_WORDS, differences


def test_words_that_differ_are_told_apart() -> None:
    assert differences("the capital is Paris", "the capital is Lyon, I think") == [
        ("same", "the capital is "),
        ("missing", "Paris"),
        ("more", "Lyon, I think"),
    ]


def test_texts_with_nothing_in_common_and_equal_ones_have_no_marks() -> None:
    assert differences("yes", "certainly not") == [("same", "certainly not")]
    assert differences("yes", "yes") == [("same", "yes")]
    assert differences("yes", "") == []
    long = "word " * MOST_WORDS
    assert differences(long, long + "more") == [("same", long + "more")]


@given(st.text(alphabet="ab <&\n.", max_size=40), st.text(alphabet="ab <&\n.", max_size=40))
def test_what_is_shown_is_what_was_said(expected: str, said: str) -> None:
    found = differences(expected, said)
    assert "".join(words for kind, words in found if kind != "missing") == said
