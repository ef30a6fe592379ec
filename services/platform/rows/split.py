"""The sample and the split of a dataset's rows: by row numbers, decided by the seed alone, the same in every process.

Training and evaluation call this with the same numbers and so agree on which rows are held out.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

TRAIN = "train"
HELD_OUT = ("test", "eval", "validation")
"""Splits that are never trained on; the first of them that a dataset has is its test set."""


@dataclass(frozen=True)
class Split:
    """Row numbers (0-based). `test` is empty when the share is 1 and the dataset has no test set of its own."""

    train: list[int]
    test: list[int]


def sample_and_split(
    rows: int,
    *,
    fraction: float = 1.0,
    train_share: float = 0.95,
    seed: int = 42,
    splits: Sequence[tuple[str, int]] = (),
) -> Split:
    """Sample first (shuffled, only when `fraction` < 1: the floor of its share, at least one row), then split,
    shuffled: the test set has ceil((1 - train_share) * n) rows. Shares are taken in decimal, as they are written:
    0.9 of 30 rows leaves 3 for the test, where binary floats may say 4.

    `splits` are the dataset's own, as (name, rows) one after the other. A `test`, `eval` or `validation` among them is
    the test set, whole and in its order; then `train_share` does not count, and `fraction` samples the training rows.

    Raises ValueError for a share outside (0, 1], a negative number of rows, or splits that do not add up.
    """
    for name, share in (("fraction", fraction), ("train_share", train_share)):
        if not 0 < share <= 1:
            raise ValueError(f"{name} must be in (0, 1], not {share!r}")
    if rows < 0:
        raise ValueError(f"rows must not be negative, not {rows!r}")
    if splits and sum(count for _, count in splits) != rows:
        raise ValueError(f"the splits {list(splits)!r} do not add up to {rows} rows")
    generator = random.Random(seed)  # noqa: S311  reproducible on purpose, nothing secret
    test_split = own_test_split([name for name, _ in splits])
    chosen = _numbered(rows, splits, lambda name: name not in HELD_OUT)
    if fraction < 1 and chosen:
        generator.shuffle(chosen)
        chosen = chosen[: max(1, int((_decimal(fraction) * len(chosen)).to_integral_value(rounding=ROUND_FLOOR)))]
    if test_split is not None:
        return Split(train=chosen, test=_numbered(rows, splits, lambda name: name == test_split))
    if train_share == 1:
        return Split(train=chosen, test=[])
    generator.shuffle(chosen)
    held_out = held_out_rows(len(chosen), train_share)
    return Split(train=chosen[held_out:], test=chosen[:held_out])


def split_sizes(
    rows: int, *, fraction: float = 1.0, train_share: float = 0.95, splits: Sequence[tuple[str, int]] = ()
) -> tuple[int, int]:
    """How many rows `sample_and_split` trains on and holds out, without shuffling any."""
    chosen = sum(count for name, count in splits if name not in HELD_OUT) if splits else rows
    if fraction < 1 and chosen:
        chosen = max(1, int((_decimal(fraction) * chosen).to_integral_value(rounding=ROUND_FLOOR)))
    test_split = own_test_split([name for name, _ in splits])
    if test_split is not None:
        return chosen, sum(count for name, count in splits if name == test_split)
    held_out = 0 if train_share == 1 else held_out_rows(chosen, train_share)
    return chosen - held_out, held_out


def own_test_split(names: Sequence[str]) -> str | None:
    """The split that is a dataset's test set, or None where it has none."""
    return next((name for name in HELD_OUT if name in names), None)


def held_out_rows(rows: int, train_share: float) -> int:
    """How many of `rows` are held out."""
    return int(((1 - _decimal(train_share)) * rows).to_integral_value(rounding=ROUND_CEILING))


def _numbered(rows: int, splits: Sequence[tuple[str, int]], wanted: Callable[[str], bool]) -> list[int]:
    """The numbers of the rows in the splits that are wanted."""
    if not splits:
        return list(range(rows))
    numbers: list[int] = []
    start = 0
    for name, count in splits:
        if wanted(name):
            numbers += range(start, start + count)
        start += count
    return numbers


def _decimal(share: float) -> Decimal:
    return Decimal(repr(float(share)))
