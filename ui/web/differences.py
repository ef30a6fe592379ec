"""Where two texts differ, word by word. Pure; whoever shows it escapes it."""

from __future__ import annotations

import re
from difflib import SequenceMatcher
from typing import Literal

MOST_WORDS = 400  # comparing costs the product of both lengths
ALIKE = 0.3  # texts that share less are shown as they are: marks on everything say nothing

Piece = tuple[Literal["same", "more", "missing"], str]


def differences(expected: str, said: str) -> list[Piece]:
    """What was said in pieces: what is as expected, what is not, and what was expected and not said. Joined, the first
    two are `said`."""
    before, after = _words(expected), _words(said)
    if expected == said or not expected or not said or max(len(before), len(after)) > MOST_WORDS:
        return [("same", said)] if said else []
    matcher = SequenceMatcher(None, before, after, autojunk=False)
    if matcher.ratio() < ALIKE:
        return [("same", said)]
    found: list[Piece] = []
    for kind, one, other, begin, end in matcher.get_opcodes():
        if kind in ("replace", "delete"):
            found.append(("missing", "".join(before[one:other])))
        if kind != "delete":
            found.append(("same" if kind == "equal" else "more", "".join(after[begin:end])))
    return [piece for piece in found if piece[1]]


def _words(text: str) -> list[str]:
    """Words and what stands between them; joined they are the text."""
    return re.findall(r"\s+|\w+|[^\w\s]", text)
