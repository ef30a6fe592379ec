"""How busy the machines of jobs were, by time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection
from tunebus.projections.telemetry import rollups
from tunebus.projections.telemetry.curves import ANSWER_POINTS, in_columns
from tunebus.projections.telemetry.progress import attempts_of
from tunebus.projections.telemetry.tables import SYSTEM

MACHINE_POINTS = 1_500


def machine_series(
    connection: Connection,
    job_id: str,
    names: Sequence[str] | None = None,
    since_time: float | None = None,
    points: int = MACHINE_POINTS,
) -> dict[str, Any]:
    """A job's use of its machine: `{"job_id", "attempts", "last_time", "series": {name: {"times", "values",
    "sampled"}}}`.

    Times are Unix seconds. Long series are thinned out as `curves` are; asking again from `last_time` gives what
    follows.
    """
    known = rollups.extents(connection, job_id, SYSTEM)
    wanted = {name: extent for name, extent in known.items() if names is None or name in names}
    room = max(2, min(points, ANSWER_POINTS // max(1, len(wanted))))
    after = rollups.milliseconds(since_time) if since_time is not None else None
    found = rollups.read(connection, job_id, SYSTEM, wanted, 0 if after is None else after + 1, rollups.END, room)
    return {
        "job_id": job_id,
        "attempts": attempts_of(connection, job_id),
        "last_time": max((series.points[-1][2] for series in found.values()), default=None),
        "series": {name: in_columns("times", series, room) for name, series in sorted(found.items())},
    }
