"""Which step was the best so far, and when training on is pointless."""

from __future__ import annotations

from pathlib import Path

import pytest
from tunebus.services.trainer.recipes import evaluations


def test_the_base_model_is_compared_with_but_never_the_best() -> None:
    assert evaluations.best_step({0: 0.1, 5: 2.0, 10: 1.0, 15: 1.0}) == 10
    assert evaluations.best_step({0: 0.1}) is None


@pytest.mark.parametrize(
    ("losses", "threshold", "waited"),
    [
        ({0: 3.0, 5: 2.0, 10: 1.0}, 0.0, 0),
        ({0: 3.0, 5: 2.0, 10: 2.0, 15: 2.5}, 0.0, 2),
        ({0: 3.0, 5: 2.0, 10: 1.9, 15: 1.8}, 0.5, 2),
        ({0: 3.0, 5: 2.0, 10: 2.5, 15: 1.0}, 0.0, 0),
    ],
)
def test_patience_counts_evaluations_in_a_row_that_bettered_too_little(
    losses: dict[int, float], threshold: float, waited: int
) -> None:
    assert evaluations.waited(losses, threshold) == waited
    assert (evaluations.why_stop(losses, 2, threshold) is not None) == (waited >= 2)


def test_losses_travel_with_a_checkpoint(tmp_path: Path) -> None:
    assert evaluations.read(tmp_path) == {}
    evaluations.write(tmp_path, {10: 0.5, 0: 2.0})
    assert evaluations.read(tmp_path) == {0: 2.0, 10: 0.5}
