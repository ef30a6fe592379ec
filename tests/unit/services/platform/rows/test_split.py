"""The sample and the split: deterministic, disjoint, and of the size that decimal arithmetic says."""

from __future__ import annotations

import subprocess
import sys
from decimal import ROUND_CEILING, Decimal
from fractions import Fraction
from math import ceil

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tunebus.services.platform.rows.split import held_out_rows, sample_and_split

shares = st.decimals(min_value="0.01", max_value="1", places=2).map(float)


@settings(deadline=None)
@given(st.integers(0, 500), shares, shares, st.integers(0, 2**32 - 1))
def test_sizes_and_disjointness(rows: int, fraction: float, train_share: float, seed: int) -> None:
    split = sample_and_split(rows, fraction=fraction, train_share=train_share, seed=seed)
    chosen = split.train + split.test
    assert len(set(chosen)) == len(chosen)
    assert set(chosen) <= set(range(rows))
    sampled = rows if fraction == 1 else max(min(rows, 1), int(Fraction(repr(fraction)) * rows))
    assert len(chosen) == sampled
    assert len(split.test) == ceil((1 - Fraction(repr(train_share))) * sampled)


@settings(deadline=None)
@given(st.integers(0, 300), shares, shares, st.integers(0, 2**32 - 1))
def test_the_same_numbers_give_the_same_rows(rows: int, fraction: float, train_share: float, seed: int) -> None:
    arguments = {"fraction": fraction, "train_share": train_share, "seed": seed}
    assert sample_and_split(rows, **arguments) == sample_and_split(rows, **arguments)


@pytest.mark.parametrize(
    ("rows", "share", "expected"),
    [(30, 0.9, 3), (10, 0.9, 1), (100, 0.95, 5), (101, 0.95, 6), (1, 0.5, 1), (7, 1.0, 0)],
)
def test_held_out_rows_are_counted_in_decimal(rows: int, share: float, expected: int) -> None:
    assert held_out_rows(rows, share) == expected


@settings(deadline=None)
@given(st.integers(0, 10_000), shares)
def test_binary_floats_never_count(rows: int, share: float) -> None:
    exact = ((1 - Decimal(str(share))) * rows).to_integral_value(rounding=ROUND_CEILING)
    assert held_out_rows(rows, share) == exact


def test_a_share_of_one_keeps_every_row_in_order() -> None:
    split = sample_and_split(5, train_share=1.0)
    assert (split.train, split.test) == ([0, 1, 2, 3, 4], [])


def test_seeds_differ() -> None:
    assert sample_and_split(100, seed=1).test != sample_and_split(100, seed=2).test


def test_the_split_is_the_same_for_ever() -> None:
    """Jobs of the past name their held-out rows by these numbers alone."""
    split = sample_and_split(20, fraction=0.5, train_share=0.7, seed=42)
    assert (split.train, split.test) == ([14, 9, 12, 5, 15, 4, 6], [18, 13, 19])


def test_another_process_agrees() -> None:
    code = (
        "from tunebus.services.platform.rows.split import sample_and_split as s;"
        "print(s(50, fraction=0.8, train_share=0.9, seed=7).test)"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert answer.strip() == str(sample_and_split(50, fraction=0.8, train_share=0.9, seed=7).test)


@pytest.mark.parametrize("share", [0.0, -0.1, 1.01, float("nan"), float("inf")])
def test_shares_outside_are_refused(share: float) -> None:
    with pytest.raises(ValueError, match="train_share"):
        sample_and_split(10, train_share=share)
    with pytest.raises(ValueError, match="fraction"):
        sample_and_split(10, fraction=share)


def test_a_negative_number_of_rows_is_refused() -> None:
    with pytest.raises(ValueError, match="rows"):
        sample_and_split(-1)


runs = st.lists(st.tuples(st.sampled_from(["train", "validation", "eval", "test"]), st.integers(0, 40)), max_size=6)


@settings(deadline=None)
@given(runs, shares, shares, st.integers(0, 2**32 - 1))
def test_an_own_test_split_is_held_out_whole_in_its_order_and_never_trained_on(
    splits: list[tuple[str, int]], fraction: float, train_share: float, seed: int
) -> None:
    rows = sum(count for _, count in splits)
    owner = [name for name, count in splits for _ in range(count)]
    found = sample_and_split(rows, fraction=fraction, train_share=train_share, seed=seed, splits=splits)
    assert set(found.train) <= {number for number, name in enumerate(owner) if name == "train"}
    names = [name for name, _ in splits]
    own = next((name for name in ("test", "eval", "validation") if name in names), None)
    if own is not None:
        assert found.test == [number for number, name in enumerate(owner) if name == own]
        trainable = owner.count("train")
        assert len(found.train) == (
            trainable if fraction == 1 else max(min(trainable, 1), sampled(trainable, fraction))
        )
        if fraction == 1:
            assert found.train == sorted(found.train), "shuffled only when sampled"
    else:
        assert found == sample_and_split(rows, fraction=fraction, train_share=train_share, seed=seed)


def sampled(rows: int, fraction: float) -> int:
    return int(Fraction(repr(fraction)) * rows)


@settings(deadline=None)
@given(st.integers(1, 200), shares, st.integers(0, 2**32 - 1))
def test_a_share_of_one_means_no_test_set(rows: int, fraction: float, seed: int) -> None:
    found = sample_and_split(rows, fraction=fraction, train_share=1.0, seed=seed)
    assert found.test == []
    if fraction == 1:
        assert found.train == list(range(rows)), "nothing is shuffled that is neither sampled nor split"


def test_splits_that_do_not_add_up_are_refused() -> None:
    with pytest.raises(ValueError, match="do not add up"):
        sample_and_split(10, splits=[("train", 9)])
