"""The order in which rows are trained on: shuffled by seed and epoch alone, so that a resumed run meets the same rows.

Rows of similar length share a batch, which saves padding; the batches themselves come in random order.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

from torch.utils.data import Sampler

_BATCHES_PER_POOL = 50


class Order(Sampler[int]):  # type: ignore[misc]  # torch is not followed by mypy here
    """Row numbers of one epoch. Set `epoch` before each pass."""

    def __init__(self, lengths: Sequence[int], batch_size: int, seed: int, *, grouped: bool) -> None:
        self._lengths = lengths
        self._batch_size = batch_size
        self._seed = seed
        self._grouped = grouped
        self.epoch = 0

    def __len__(self) -> int:
        return len(self._lengths)

    def __iter__(self) -> Iterator[int]:
        return iter(order(self._lengths, self._batch_size, f"{self._seed}:{self.epoch}", grouped=self._grouped))


def order(lengths: Sequence[int], batch_size: int, seed: str, *, grouped: bool) -> list[int]:
    """A permutation of the rows. Grouped: pools of 50 batches are sorted by length, cut into batches and shuffled; a
    short last batch stays last, and the batch with the longest row comes first, so that it is the first to run out of
    memory.
    """
    generator = random.Random(seed)  # noqa: S311  reproducible on purpose, nothing secret
    rows = list(range(len(lengths)))
    generator.shuffle(rows)
    if not grouped:
        return rows
    whole = len(rows) - len(rows) % batch_size
    batches: list[list[int]] = []
    pool = batch_size * _BATCHES_PER_POOL
    for start in range(0, whole, pool):
        chunk = sorted(rows[start : min(start + pool, whole)], key=lengths.__getitem__)
        batches += [chunk[at : at + batch_size] for at in range(0, len(chunk), batch_size)]
    generator.shuffle(batches)
    if batches:
        longest = max(range(len(batches)), key=lambda number: max(lengths[row] for row in batches[number]))
        batches[0], batches[longest] = batches[longest], batches[0]
    return [row for batch in batches for row in batch] + rows[whole:]
