"""The curves of jobs: what they measured, thinned out to what a chart can show."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

from sqlalchemy import Connection
from tunebus.contracts.telemetry import spell
from tunebus.projections.telemetry import rollups
from tunebus.projections.telemetry.progress import reached_by
from tunebus.projections.telemetry.tables import METRICS

SERIES_POINTS = 5_000
ANSWER_POINTS = 16_000  # of all series together: an answer has to fit into one message


def curves(
    connection: Connection,
    job_id: str,
    names: Sequence[str] | None = None,
    since_step: int = -1,
    points: int = SERIES_POINTS,
) -> dict[str, Any]:
    """A job's curves: `{"job_id", "attempts": [...], "reached": [{"attempt", "phase", "step", "t"}], "last_step",
    "series": {name: {"steps", "values", "times", "sampled"}}}`.

    Each step is there once, with the value of the highest attempt that reached it, and when it was measured (Unix
    seconds). Non-finite values are the strings `NaN`, `Infinity`, `-Infinity`. A series of more than `points` is
    thinned out, its first and last step, its extremes and its gaps kept, and says `"sampled": true`; asking again from
    `since_step` gives what follows in full.
    """
    known = rollups.extents(connection, job_id, METRICS)
    wanted = {name: extent for name, extent in known.items() if names is None or name in names}
    room = max(2, min(points, ANSWER_POINTS // max(1, len(wanted))))
    found = rollups.read(connection, job_id, METRICS, wanted, since_step + 1, rollups.END, room)
    reached = reached_by(connection, job_id)
    return {
        "job_id": job_id,
        "attempts": [attempt["attempt"] for attempt in reached],
        "reached": reached,
        "last_step": max((series.points[-1][0] for series in found.values()), default=None),
        "series": {name: in_columns("steps", series, room) for name, series in sorted(found.items())},
    }


def in_columns(where: Literal["steps", "times"], found: rollups.Found, room: int) -> dict[str, Any]:
    """A series as a document has it; one by time has its times once."""
    points = thinned(found.points, room)
    return {
        **({"steps": [step for step, _, _ in points]} if where == "steps" else {}),
        "values": [spell(value) for _, value, _ in points],
        "times": [round(t, 3) for _, _, t in points],
        "sampled": found.total > len(points),
    }


def thinned(points: Sequence[rollups.Point], room: int) -> Sequence[rollups.Point]:
    """At most `room` points: the ends, and the extremes and the first gap of each of equally long stretches."""
    if len(points) <= room:
        return points
    values = [value for _, value, _ in points]
    gaps = sum(not math.isfinite(value) for value in values)
    ends = (0, len(values) - 1)
    if room < 5:  # not even one stretch has room
        lone = sorted(rollups.extremes(values, 0, len(values)) - set(ends), key=lambda at: math.isfinite(values[at]))
        return [points[at] for at in sorted([*ends, *lone[: room - 2]])]
    stretches = max((room - 2) // 3, (room - 2 - gaps) // 2)
    length = math.ceil(len(values) / stretches)
    kept = set(ends)
    for begin in range(0, len(values), length):
        kept |= rollups.extremes(values, begin, min(begin + length, len(values)))
    return [points[at] for at in sorted(kept)]
