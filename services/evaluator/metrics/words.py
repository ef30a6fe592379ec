"""How answers are cut into words for the overlap metrics."""

from __future__ import annotations

import re

_WORD = re.compile(r"\w+")
_WORD_OR_MARK = re.compile(r"\w+|[^\w\s]")


def words(text: str) -> list[str]:
    """Runs of letters, digits and underscores, in lower case, punctuation left out. Any script counts."""
    return _WORD.findall(text.lower())


def words_and_marks(text: str) -> list[str]:
    """Words as written, and each punctuation mark as a word of its own."""
    return _WORD_OR_MARK.findall(text)
