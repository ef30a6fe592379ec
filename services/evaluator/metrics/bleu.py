"""BLEU of a whole set of answers (Papineni et al. 2002, "BLEU: a Method for Automatic Evaluation of Machine
Translation"), up to four words, with one reference each.

Punctuation marks are words, case counts. An order of n-grams without any match is smoothed as in NIST's mteval (the
k-th such order counts 1 / 2^k matches), like sacreBLEU's default; figures are comparable within the studio, not with
papers that split words differently.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from tunebus.services.evaluator.metrics.words import words_and_marks

ORDERS = 4


def corpus_bleu(answers: Sequence[str], references: Sequence[str]) -> float:
    """Geometric mean of the clipped n-gram precisions, times the penalty for being too short. 0 for no words at all.

    Raises ValueError when there are not as many answers as references.
    """
    matches, totals = [0] * ORDERS, [0] * ORDERS
    given_length = wanted_length = 0
    for answer, reference in zip(answers, references, strict=True):
        given, wanted = words_and_marks(answer), words_and_marks(reference)
        given_length += len(given)
        wanted_length += len(wanted)
        for size in range(1, ORDERS + 1):
            ours, theirs = _grams(given, size), _grams(wanted, size)
            matches[size - 1] += sum((ours & theirs).values())
            totals[size - 1] += sum(ours.values())
    if not given_length or not wanted_length or not matches[0]:
        return 0.0
    logarithms = []
    halves = 1.0
    for matched, total in zip(matches, totals, strict=True):
        if not total:
            break  # answers too short to have such n-grams: the orders there are decide
        if not matched:
            halves /= 2
        logarithms.append(math.log((matched or halves) / total))
    brevity = min(0.0, 1 - wanted_length / given_length)
    return math.exp(brevity + sum(logarithms) / len(logarithms))


def _grams(text: Sequence[str], size: int) -> Counter[tuple[str, ...]]:
    return Counter(tuple(text[at : at + size]) for at in range(len(text) - size + 1))
