"""BLEU (Papineni et al. 2002, "BLEU: a Method for Automatic Evaluation of Machine Translation") as sacreBLEU computes
it, from 0 to 1 where sacreBLEU says 0 to 100: one reference each, up to four words, tokenizer 13a, smoothing "exp".

Orders of n-grams that no text is long enough for are left out, or short right answers would score nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

from sacrebleu.metrics.bleu import BLEU

_BLEU = BLEU(effective_order=True)


def bleu(answer: str, reference: str) -> float:
    """Of one answer."""
    return min(1.0, float(_BLEU.sentence_score(answer, [reference]).score) / 100)


def corpus_bleu(answers: Sequence[str], references: Sequence[str]) -> float:
    """Of a whole set: matches are summed over all of it, so this is no mean of the answers'. 0 for no answer at all.

    Raises ValueError when there are not as many answers as references.
    """
    if len(answers) != len(references):
        raise ValueError(f"{len(answers)} answers for {len(references)} references")
    if not answers:
        return 0.0
    return min(1.0, float(_BLEU.corpus_score(list(answers), [list(references)]).score) / 100)
