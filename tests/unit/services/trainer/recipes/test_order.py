"""The order of rows: a permutation, the same for seed and epoch, with little padding."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st
from tunebus.services.trainer.recipes.order import Order, order

lengths = st.lists(st.integers(1, 500), max_size=300)


@given(lengths, st.integers(1, 16), st.booleans())
def test_every_row_once(lengths: list[int], batch_size: int, grouped: bool) -> None:
    assert sorted(order(lengths, batch_size, "1:0", grouped=grouped)) == list(range(len(lengths)))


@given(lengths, st.integers(1, 16))
def test_the_longest_whole_batch_comes_first(lengths: list[int], batch_size: int) -> None:
    rows = order(lengths, batch_size, "1:0", grouped=True)
    whole = len(rows) - len(rows) % batch_size
    if whole:
        assert max(lengths[row] for row in rows[:batch_size]) == max(lengths[row] for row in rows[:whole])


def test_grouping_saves_padding() -> None:
    generator = random.Random(0)
    lengths = [generator.randint(10, 500) for _ in range(400)]

    def padded(rows: list[int]) -> int:
        return sum(8 * max(lengths[row] for row in rows[at : at + 8]) for at in range(0, len(rows), 8))

    grouped, plain = (padded(order(lengths, 8, "1:0", grouped=way)) for way in (True, False))
    assert grouped < 1.05 * sum(lengths)
    assert plain > 1.5 * sum(lengths)


def test_epochs_and_seeds_differ_and_repeat() -> None:
    sampler = Order(list(range(1, 50)), 4, 7, grouped=True)
    first = list(sampler)
    sampler.epoch = 1
    second = list(sampler)
    assert first != second
    assert second == list(sampler)
    assert len(sampler) == 49
    sampler.epoch = 0
    assert first == list(sampler)
    assert first != list(Order(list(range(1, 50)), 4, 8, grouped=True))
