"""The sample and the split of a dataset's rows: by row numbers, decided by the seed alone, the same in every process.

Training and evaluation call this with the same numbers and so agree on which rows are held out.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal


@dataclass(frozen=True)
class Split:
    """Row numbers (0-based). `test` is empty when the training share is 1."""

    train: list[int]
    test: list[int]


def sample_and_split(rows: int, *, fraction: float = 1.0, train_share: float = 0.95, seed: int = 42) -> Split:
    """Sample first (shuffled, only when `fraction` < 1: the floor of its share, at least one row), then split,
    shuffled: the test set has ceil((1 - train_share) * n) rows. Shares are taken in decimal, as they are written:
    0.9 of 30 rows leaves 3 for the test, where binary floats may say 4.

    Raises ValueError for a share outside (0, 1] or a negative number of rows.
    """
    for name, share in (("fraction", fraction), ("train_share", train_share)):
        if not 0 < share <= 1:
            raise ValueError(f"{name} must be in (0, 1], not {share!r}")
    if rows < 0:
        raise ValueError(f"rows must not be negative, not {rows!r}")
    generator = random.Random(seed)  # noqa: S311  reproducible on purpose, nothing secret
    chosen = list(range(rows))
    if fraction < 1 and rows:
        generator.shuffle(chosen)
        chosen = chosen[: max(1, int((_decimal(fraction) * rows).to_integral_value(rounding=ROUND_FLOOR)))]
    if train_share == 1:
        return Split(train=chosen, test=[])
    generator.shuffle(chosen)
    held_out = held_out_rows(len(chosen), train_share)
    return Split(train=chosen[held_out:], test=chosen[:held_out])


def held_out_rows(rows: int, train_share: float) -> int:
    """How many of `rows` are held out."""
    return int(((1 - _decimal(train_share)) * rows).to_integral_value(rounding=ROUND_CEILING))


def _decimal(share: float) -> Decimal:
    return Decimal(repr(float(share)))
