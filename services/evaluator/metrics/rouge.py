"""ROUGE (Lin 2004, "ROUGE: A Package for Automatic Evaluation of Summaries"), as F1: the harmonic mean of how much of
the reference is in the answer and how much of the answer is in the reference.

Words are lower-cased, without punctuation and without stemming; two empty texts score 1, one empty text scores 0.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from tunebus.services.evaluator.metrics.words import words


def rouge_1(answer: str, reference: str) -> float:
    """Overlap of single words."""
    return _rouge_n(words(answer), words(reference), 1)


def rouge_2(answer: str, reference: str) -> float:
    """Overlap of pairs of neighbouring words. A text of a single word has none, and scores by being equal."""
    return _rouge_n(words(answer), words(reference), 2)


def rouge_l(answer: str, reference: str) -> float:
    """Longest common subsequence of words."""
    given, wanted = words(answer), words(reference)
    if not given or not wanted:
        return float(given == wanted)
    return _f1(common_subsequence(given, wanted), len(given), len(wanted))


def common_subsequence(first: Sequence[str], second: Sequence[str]) -> int:
    """Length of the longest common subsequence, one word of `second` a step.

    Bit-parallel (Hyyrö 2004, "Bit-parallel LCS-length computation revisited"): bit i of `row` is 0 where the length
    grows at word i of `first`.
    """
    where: dict[str, int] = {}
    for number, word in enumerate(first):
        where[word] = where.get(word, 0) | (1 << number)
    full = (1 << len(first)) - 1
    row = full
    for word in second:
        matches = row & where.get(word, 0)
        row = ((row + matches) | (row - matches)) & full
    return len(first) - row.bit_count()


def _rouge_n(given: Sequence[str], wanted: Sequence[str], size: int) -> float:
    if len(given) < size or len(wanted) < size:
        return float(given == wanted)
    first, second = _grams(given, size), _grams(wanted, size)
    return _f1(sum((first & second).values()), sum(first.values()), sum(second.values()))


def _grams(text: Sequence[str], size: int) -> Counter[tuple[str, ...]]:
    return Counter(tuple(text[at : at + size]) for at in range(len(text) - size + 1))


def _f1(common: int, given: int, wanted: int) -> float:
    return 2 * common / (given + wanted)
