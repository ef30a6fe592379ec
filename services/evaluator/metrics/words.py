"""How answers are cut into words for ROUGE."""

from __future__ import annotations

import re

_WORD = re.compile(r"[^\W_]+")


def words(text: str) -> list[str]:
    """Runs of letters and digits, in lower case. What rouge-score's own does, but for every script and not English
    alone."""
    return _WORD.findall(text.lower())
