"""The curves of jobs: what they measured, thinned out to what a chart can show."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, Literal

from sqlalchemy import Connection, and_, or_, select
from tunebus.contracts.telemetry import Value, spell
from tunebus.projections.telemetry import rollups
from tunebus.projections.telemetry.progress import reached_by
from tunebus.projections.telemetry.tables import METRICS, metrics, series
from tunebus.projections.telemetry.tables import rollups as rolled

SERIES_POINTS = 5_000
OUTLINE_POINTS = 40
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


def outlines(connection: Connection, job_ids: Iterable[str], name: str = "loss") -> dict[str, list[Value]]:
    """The course of one series of many jobs, at most OUTLINE_POINTS of each and the newest last; read a level at once,
    so that a page of jobs costs a few statements. Jobs that measured none are left out.
    """
    of_name = (series.c.job_id.in_(list(job_ids)), series.c.source == METRICS, series.c.name == name)
    by_level: dict[int, dict[str, int]] = {}
    for job_id, first, last in connection.execute(
        select(series.c.job_id, series.c.first, series.c.last).where(*of_name)
    ):
        level = 0
        while 4 * (last - first) > OUTLINE_POINTS * rollups.width(METRICS, level + 1):
            level += 1
        by_level.setdefault(level, {})[job_id] = last
    found: dict[str, list[rollups.Point]] = {}
    for level, lasts in by_level.items():
        if level:
            question = (
                select(rolled.c.job_id, rolled.c.kept)
                .where(rolled.c.job_id.in_(lasts), rolled.c.source == METRICS)
                .where(rolled.c.name == name, rolled.c.level == level)
                .order_by(rolled.c.job_id, rolled.c.bucket)
            )
            for job_id, kept in connection.execute(question):
                found.setdefault(job_id, []).extend(rollups.unpack(kept))
        wanted = [metrics.c.job_id.in_(lasts), metrics.c.name == name]
        if level:
            ends = (and_(metrics.c.job_id == job_id, metrics.c.step == last) for job_id, last in lasts.items())
            wanted = [metrics.c.name == name, or_(*ends)]
        newest = (
            select(metrics.c.job_id, metrics.c.step, metrics.c.value, metrics.c.special, metrics.c.t)
            .where(*wanted)
            .order_by(metrics.c.job_id, metrics.c.step, metrics.c.attempt, metrics.c.n)
        )
        for job_id, step, value, special, t in connection.execute(newest):
            points = found.setdefault(job_id, [])
            if points and points[-1][0] == step:
                points.pop()
            points.append((step, value if special is None else float(special), t))
    return {
        job_id: [spell(value) for _, value, _ in thinned(points, OUTLINE_POINTS)] for job_id, points in found.items()
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
