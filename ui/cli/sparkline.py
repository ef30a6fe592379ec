"""A curve in one line of block characters."""

from __future__ import annotations

import math
from collections.abc import Sequence

_BLOCKS = "▁▂▃▄▅▆▇█"


def sparkline(values: Sequence[float], width: int = 30) -> str:
    """The values' course from left to right, each column the mean of its stretch; what is not finite is left out."""
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        return ""
    columns = min(width, len(finite))
    means = []
    for column in range(columns):
        stretch = finite[column * len(finite) // columns : (column + 1) * len(finite) // columns]
        means.append(sum(stretch) / len(stretch))
    low, high = min(means), max(means)
    span = high - low
    return "".join(_BLOCKS[round((mean - low) / span * (len(_BLOCKS) - 1)) if span else 0] for mean in means)
