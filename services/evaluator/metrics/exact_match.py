"""Exact match: the strictest score, and the only one that says how often an answer is right as it stands."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence


def exact_match(answer: str, reference: str) -> float:
    """1 when the answer is the reference, character for character, white space around them aside; else 0."""
    return float(answer.strip() == reference.strip())


def majority_exact_match(trained_answers: Iterable[str], references: Sequence[str]) -> float | None:
    """The exact match of always giving the most frequent training answer: what any model has to beat.

    None without training answers or references. Among equally frequent answers the first in order of text counts.
    """
    counts = Counter(answer.strip() for answer in trained_answers)
    if not counts or not references:
        return None
    most = min(counts, key=lambda answer: (-counts[answer], answer))
    return sum(exact_match(most, reference) for reference in references) / len(references)
