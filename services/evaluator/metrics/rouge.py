"""ROUGE (Lin 2004, "ROUGE: A Package for Automatic Evaluation of Summaries") as `rouge-score` computes it, as F1: the
harmonic mean of how much of the reference is in the answer and how much of the answer is in the reference.

Words are lower-cased, without punctuation and without stemming. A text too short to hold what is counted scores 0.
"""

from __future__ import annotations

from rouge_score.rouge_scorer import RougeScorer
from tunebus.services.evaluator.metrics.words import words


class _Words:
    """rouge-score's own drops every letter that is not of the English alphabet."""

    @staticmethod
    def tokenize(text: str) -> list[str]:
        return words(text)


_SCORERS = {name: RougeScorer([name], tokenizer=_Words()) for name in ("rouge1", "rouge2", "rougeL")}


def rouge_1(answer: str, reference: str) -> float:
    """Overlap of single words."""
    return _f1("rouge1", answer, reference)


def rouge_2(answer: str, reference: str) -> float:
    """Overlap of pairs of neighbouring words."""
    return _f1("rouge2", answer, reference)


def rouge_l(answer: str, reference: str) -> float:
    """Longest common subsequence of words."""
    return _f1("rougeL", answer, reference)


def _f1(name: str, answer: str, reference: str) -> float:
    return float(_SCORERS[name].score(reference, answer)[name].fmeasure)
