"""Whether two trainings measured the same, point by point. Pure: it is given their curves."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

COMPARED = ("loss", "eval_loss", "learning_rate", "grad_norm")
"""What a training measures of itself; times and loads differ every time."""


def compare(
    before: Mapping[str, Any], after: Mapping[str, Any], tolerance: float, versions: Sequence[Mapping[str, str]] = ()
) -> dict[str, Any]:
    """`{"verdict", "step", "name", "max_difference", "points", "compared", "missing", "versions"}` of two documents of
    `telemetry.curves`.

    `equal`: the same numbers; `within_tolerance`: no relative difference is above it; `parts`: at `step` one is; and
    `nothing` where no point is in both. `missing` counts points that only one of them has.
    """
    largest, points, missing = 0.0, 0, 0
    parting: tuple[int, str] | None = None
    compared = [name for name in COMPARED if name in before["series"] and name in after["series"]]
    for name in compared:
        one, other = _points(before["series"][name]), _points(after["series"][name])
        missing += len(one.keys() ^ other.keys())
        for step in sorted(one.keys() & other.keys()):
            points += 1
            difference = _difference(one[step], other[step])
            largest = max(largest, difference)
            if difference > tolerance and (parting is None or step < parting[0]):
                parting = (step, name)
    verdict = "parts" if parting else "within_tolerance" if largest else "equal"
    first, second = versions if len(versions) == 2 else ({}, {})
    return {
        "verdict": verdict if points else "nothing",
        "step": parting[0] if parting else None,
        "name": parting[1] if parting else None,
        "max_difference": largest,
        "tolerance": tolerance,
        "points": points,
        "compared": compared,
        "missing": missing,
        "versions": {
            name: [first.get(name), second.get(name)]
            for name in sorted(first.keys() | second.keys())
            if first.get(name) != second.get(name)
        },
    }


def _points(series: Mapping[str, Any]) -> dict[int, float]:
    return {step: float(value) for step, value in zip(series["steps"], series["values"], strict=True)}


def _difference(one: float, other: float) -> float:
    """Relative to the larger; no number is equal to no number."""
    if one == other or (math.isnan(one) and math.isnan(other)):
        return 0.0
    if not (math.isfinite(one) and math.isfinite(other)):
        return math.inf
    return abs(one - other) / max(abs(one), abs(other))
