"""Every point of some series side by side, some thousand rows at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from sqlalchemy import Connection
from tunebus.contracts.telemetry import spell
from tunebus.projections.telemetry import rollups


@dataclass(frozen=True)
class Page:
    """`rows` are (where, a value or None for each series); `next` is what to go on after, None at the end."""

    rows: list[tuple[int, list[Any]]]
    next: int | None


def rows(connection: Connection, source: str, of: Sequence[tuple[str, str]], after: int, limit: int) -> Page:
    """The points of series, each named by its job and its name, that lie after a step or, of a machine, a millisecond.
    A row is there where any of them has a point; at most `limit` for each series at a time.
    """
    found = []
    for job_id, name in of:
        series = rollups.raw(connection, job_id, source, name, after + 1, rollups.END, stream=True)
        found.append(list(islice(series, limit)))
        series.close()
    ends = [points[-1][0] for points in found if len(points) == limit]
    until = min(ends, default=rollups.END)
    side_by_side: dict[int, list[Any]] = {}
    for number, points in enumerate(found):
        for where, value, _ in points:
            if where <= until:
                side_by_side.setdefault(where, [None] * len(of))[number] = spell(value)
    return Page(sorted(side_by_side.items()), until if ends else None)
