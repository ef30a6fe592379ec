"""The table of rows that an evaluation left, `rows.jsonl`: pages of it in the file's order, by a metric, or at random.

Reads the file alone, with memory for its lines' places and not for its lines. A table never changes once it is there.
"""

from __future__ import annotations

import json
import random
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from tunebus.contracts.errors import Code, fail, nearest
from tunebus.contracts.queries import GetEvaluationRows
from tunebus.contracts.queries.evaluation_job import Order

ANSWER_BYTES = 600_000
DEFAULT_METRIC = "rouge_l"
LOWER_IS_BETTER = frozenset(
    {"loss", "perplexity", "seconds", "seconds_per_row", "seconds_p95", "tokens", "prompt_tokens", "answer_tokens"}
)

Row = dict[str, Any]


@dataclass(frozen=True)
class Places:
    """Where each line begins and which row of the dataset it is; `ends` has the end of each line."""

    begins: array[int]
    ends: array[int]
    numbers: array[int]

    def __len__(self) -> int:
        return len(self.begins)


class Rows:
    """One evaluation's table. Errors: `unavailable` when it cannot be read."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def places(self) -> Places:
        try:
            return _places(str(self._path))
        except (OSError, ValueError, KeyError, TypeError):
            raise fail(
                Code.UNAVAILABLE, "the evaluation's rows cannot be read", hint="is the artifact root where it was?"
            ) from None

    def by_number(self) -> dict[int, int]:
        """Which line holds a row of the dataset."""
        return {number: line for line, number in enumerate(self.places.numbers)}

    def read(self, lines: Sequence[int]) -> list[Row]:
        """The rows in these lines, in this order."""
        places = self.places
        found = []
        try:
            with self._path.open("rb") as file:
                for line in lines:
                    file.seek(places.begins[line])
                    found.append(_shortened(file.read(places.ends[line] - places.begins[line])))
        except (OSError, ValueError):
            raise fail(Code.UNAVAILABLE, "the evaluation's rows cannot be read") from None
        return found

    def order(self, order: Order, metric: str | None, seed: int) -> Sequence[int]:
        """The lines in an order. Rows without a figure come last. Errors: `invalid` for an unknown metric."""
        count = len(self.places)
        if order == "original":
            return range(count)
        if order == "random":
            lines = list(range(count))
            random.Random(seed).shuffle(lines)  # noqa: S311  the same order for the same seed, nothing secret
            return lines
        if not count:
            return []
        name = self._known(metric or DEFAULT_METRIC)
        values = _values(str(self._path), name)
        up = (name in LOWER_IS_BETTER) == (order == "best")
        return sorted(
            range(count), key=lambda line: (values[line] != values[line], values[line] if up else -values[line], line)
        )

    def _known(self, metric: str) -> str:
        first = self.read([0])[0]
        known = [name for name, value in first.items() if name != "index" and _is_figure(value)]
        if metric in known:
            return metric
        near = nearest(metric, known)
        raise fail(
            Code.INVALID,
            f"the rows have no metric {metric[:80]!r}",
            param="metric",
            hint=f"did you mean {near!r}?" if near else f"they have {', '.join(known)}",
        )


def page(path: Path, query: GetEvaluationRows) -> dict[str, Any]:
    """One page of a table. The cursor is the place in the order."""
    rows = Rows(path)
    order = rows.order(query.order, query.metric, query.seed)
    return cut(rows, order, query.after, query.limit)


def cut(rows: Rows, order: Sequence[int], after: str | None, limit: int) -> dict[str, Any]:
    """Up to `limit` rows of an order from a cursor on, as many as a message takes."""
    begin = start_of(after)
    items: list[Row] = []
    size = 0
    places = rows.places
    for line in order[begin : begin + limit]:
        size += places.ends[line] - places.begins[line]
        if size > ANSWER_BYTES and items:
            break
        items += rows.read([line])
    end = begin + len(items)
    return {"items": items, "next": str(end) if end < len(order) else None}


def start_of(after: str | None) -> int:
    """The place that a cursor stands for. Errors: `invalid`."""
    if after is None:
        return 0
    if not (after.isascii() and after.isdigit()) or len(after) > 18:
        raise fail(
            Code.INVALID, f"{after[:40]!r} is no cursor", param="after", hint="use the `next` of the page before"
        )
    return int(after)


@lru_cache(maxsize=64)
def _places(path: str) -> Places:
    begins, ends, numbers = array("Q"), array("Q"), array("q")
    at = 0
    with Path(path).open("rb") as file:
        for place, line in enumerate(file):
            begins.append(at)
            at += len(line)
            ends.append(at)
            numbers.append(int(json.loads(line).get("index", place)))
    return Places(begins, ends, numbers)


@lru_cache(maxsize=32)
def _values(path: str, metric: str) -> array[float]:
    """A metric of every line; NaN where it has none."""
    values = array("d")
    with Path(path).open("rb") as file:
        for line in file:
            value = json.loads(line).get(metric)
            values.append(float(value) if _is_figure(value) and value is not None else float("nan"))
    return values


def _is_figure(value: object) -> bool:
    return value is None or isinstance(value, bool | int | float)


def _shortened(line: bytes) -> Row:
    """The row; texts of one that no message could carry are cut."""
    row: Row = json.loads(line)
    if len(line) <= ANSWER_BYTES:
        return row
    longest = ANSWER_BYTES // 20
    return {
        name: value[:longest] + " […]" if isinstance(value, str) and len(value) > longest else value
        for name, value in row.items()
        if name != "features"
    }
