"""Scores of generated answers against reference answers. All lie in [0, 1], 1 is best, and need nothing but text.

`ROW_METRICS` are scored per row and averaged; `CORPUS_METRICS` are scored over all rows at once, and stand for a row
metric of the same name.
"""

from collections.abc import Callable, Sequence

from tunebus.services.evaluator.metrics.bleu import bleu, corpus_bleu
from tunebus.services.evaluator.metrics.exact_match import exact_match
from tunebus.services.evaluator.metrics.rouge import rouge_1, rouge_2, rouge_l

ROW_METRICS: dict[str, Callable[[str, str], float]] = {
    "exact_match": exact_match,
    "rouge_1": rouge_1,
    "rouge_2": rouge_2,
    "rouge_l": rouge_l,
    "bleu": bleu,
}
CORPUS_METRICS: dict[str, Callable[[Sequence[str], Sequence[str]], float]] = {"bleu": corpus_bleu}
