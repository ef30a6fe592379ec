"""Series rolled up when they are written: of each stretch the first, last, lowest and highest point and the first that
is no number, so that a chart of a million points reads a few thousand.

Stretches are aligned; those of a level are four times as wide as those of the level below, and level 0 is the points
themselves. A stretch is rolled up once a point beyond it is there, of what lies in it then: the order in which points
arrive, or come again, makes no difference. Here is what both sides share and the reading; the projector writes.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pydantic_core
from sqlalchemy import Connection, func, select
from tunebus.projections.telemetry.tables import METRICS, SYSTEM, metrics, rollups, series, system

Point = tuple[int, float, float]
"""(where, value, Unix seconds); `where` is a step, or milliseconds. A value may be no number."""

END = 2**63  # beyond every step and every millisecond
FAN = 4  # stretches of a level in one of the next
_FIRST = {METRICS: 32, SYSTEM: 65_536}
_PACKED = struct.Struct("<qdd")
_LATEST = 1e12  # Unix seconds
_SANE = (system.c.t >= 0, system.c.t < _LATEST)


def width(source: str, level: int) -> int:
    """How wide the stretches of a level from 1 on are."""
    return int(_FIRST[source] * FAN ** (level - 1))


def keep(points: Sequence[Point]) -> list[Point]:
    """What of a stretch's points, in order, its roll-up holds: at most five. Of roll-ups beside one another it makes
    that of the wider stretch."""
    return [points[at] for at in kept([value for _, value, _ in points], 0, len(points))]


def kept(values: Sequence[float], begin: int, end: int) -> list[int]:
    """Where the points that a stretch of values keeps are."""
    if end - begin < 3:
        return list(range(begin, end))
    return sorted({begin, end - 1, *extremes(values, begin, end)})


def extremes(values: Sequence[float], begin: int, end: int) -> set[int]:
    """Where in a stretch of values the lowest, the highest, and the first that is no number are."""
    stretch = values[begin:end]
    if math.isfinite(sum(stretch)):
        return {begin + stretch.index(min(stretch)), begin + stretch.index(max(stretch))}
    finite = [at for at in range(begin, end) if math.isfinite(values[at])]
    found = {min(finite, key=values.__getitem__), max(finite, key=values.__getitem__)} if finite else set()
    if len(finite) < end - begin:
        found.add(next(at for at in range(begin, end) if not math.isfinite(values[at])))
    return found


def pack(points: Iterable[Point]) -> bytes:
    return b"".join([_PACKED.pack(*point) for point in points])


def unpack(data: bytes) -> Iterator[Point]:
    return _PACKED.iter_unpack(data)


@dataclass
class Found:
    """Points of a series in order; `total` counts those that there are, also where some are left out."""

    points: list[Point] = field(default_factory=list)
    total: int = 0


@dataclass(frozen=True)
class Extent:
    """Where a series begins and ends; whether its stretches are rolled up, as those of an old file may not be yet."""

    first: int
    last: int
    rolled_up: bool = True


def extents(connection: Connection, job_id: str, source: str) -> dict[str, Extent]:
    """Every series of a job."""
    question = select(series).where(series.c.job_id == job_id, series.c.source == source).order_by(series.c.name)
    known = {row.name: Extent(row.first, row.last) for row in connection.execute(question)}
    return known or {name: extent(connection, job_id, source, name) for name in unrolled(connection, job_id, source)}


def extent(connection: Connection, job_id: str, source: str, name: str) -> Extent:
    """Where a series of which there are points, but no roll-ups yet, begins and ends."""
    if source == METRICS:
        of_series = (metrics.c.job_id == job_id, metrics.c.name == name)
        first, last = (connection.scalar(select(one(metrics.c.step)).where(*of_series)) for one in (func.min, func.max))
        return Extent(first or 0, last or 0, rolled_up=False)
    times = (
        connection.scalar(select(one(system.c.t)).where(system.c.job_id == job_id, *_SANE))
        for one in (func.min, func.max)
    )
    first, last = (milliseconds(t or 0.0) or 0 for t in times)
    return Extent(first, last, rolled_up=False)


def unrolled(connection: Connection, job_id: str, source: str) -> list[str]:
    """The names of a job's series as its points themselves tell them: one look-up in the index for each."""
    if source == SYSTEM:
        return sorted({name for _, _, values in readings(connection, job_id) for name in values})
    names: list[str] = []
    after = ""
    while True:
        beyond = (metrics.c.job_id == job_id, metrics.c.name > after)
        name = connection.scalar(select(func.min(metrics.c.name)).where(*beyond))
        if name is None:
            return names
        names.append(name)
        after = name


def read(
    connection: Connection, job_id: str, source: str, wanted: Mapping[str, Extent], begin: int, end: int, room: int
) -> dict[str, Found]:
    """The points of series from `begin` to before `end`: all of them where they are at most `room`; otherwise several
    times `room` of them, the ends and the extremes among them, but never many more, however long the series is.
    """
    found: dict[str, Found] = {}
    whole: list[str] = []
    for name, extent in wanted.items():
        level = 0
        since, until = max(begin, extent.first), min(end, extent.last + 1)
        while extent.rolled_up and 4 * (until - since) > room * width(source, level + 1):  # a stretch keeps about four
            level += 1
        if level:
            if begin <= extent.first:
                since -= since % width(source, level)
            found[name] = Found()
            _cover(connection, (job_id, source, name), extent.last, level, since, until, found[name])
        if not level or found[name].total <= room:
            whole.append(name)
    if source == SYSTEM and whole:
        found |= {name: Found() for name in whole}
        for at, t, values in readings(connection, job_id, begin, end):
            for name in whole:
                if name in values:
                    found[name].points.append((at, float(values[name]), t))
    else:
        found |= {name: Found(list(raw(connection, job_id, source, name, begin, end))) for name in whole}
    for name in whole:
        found[name].total = len(found[name].points)
    return {name: found[name] for name in wanted if found[name].points}


def raw(
    connection: Connection, job_id: str, source: str, name: str, begin: int, end: int, *, stream: bool = False
) -> Generator[Point, None, None]:
    """A series' points themselves; each step once, as the highest attempt measured it last."""
    last: Point | None = None
    if source == SYSTEM:
        for at, t, values in readings(connection, job_id, begin, end, stream=stream):
            if name in values:
                yield at, float(values[name]), t
        return
    question = (
        select(metrics.c.step, metrics.c.value, metrics.c.special, metrics.c.t)
        .where(metrics.c.job_id == job_id, metrics.c.name == name, metrics.c.step >= begin, metrics.c.step <= end - 1)
        .order_by(metrics.c.step, metrics.c.attempt, metrics.c.n)
    )
    for step, value, special, t in connection.execute(_streamed(question, stream)):
        if last is not None and last[0] != step:
            yield last
        last = step, value if special is None else float(special), t
    if last is not None:
        yield last


def readings(
    connection: Connection, job_id: str, begin: int = 0, end: int = END, *, stream: bool = False
) -> Iterator[tuple[int, float, dict[str, Any]]]:
    """A job's readings of its machine: (milliseconds, Unix seconds, values), each millisecond once."""
    question = (
        select(system.c.readings, system.c.t)
        .where(
            system.c.job_id == job_id, system.c.t >= begin / 1000 - 0.001, system.c.t < min(end / 1000 + 0.001, _LATEST)
        )
        .order_by(system.c.t, system.c.attempt, system.c.n)
    )
    last: tuple[int, float, dict[str, Any]] | None = None
    for text, t in connection.execute(_streamed(question, stream)):
        at = milliseconds(t)
        if at is None or not begin <= at < end:
            continue
        if last is not None and last[0] != at:
            yield last
        last = at, t, pydantic_core.from_json(text)
    if last is not None:
        yield last


def milliseconds(t: float) -> int | None:
    """Where a reading lies; None for a clock that cannot be right."""
    return int(t * 1000) if 0 <= t < _LATEST else None


def _cover(
    connection: Connection, of: tuple[str, str, str], last: int, level: int, begin: int, end: int, found: Found
) -> None:
    """Collect what covers a part of a series: whole stretches of a level, and of lower ones where they do not fit."""
    if begin >= end:
        return
    job_id, source, name = of
    if level == 0:
        points = list(raw(connection, job_id, source, name, begin, end))
        found.points += points
        found.total += len(points)
        return
    wide = width(source, level)
    first, past = -(-begin // wide), min(end, last) // wide
    if first >= past:
        _cover(connection, of, last, level - 1, begin, end, found)
        return
    _cover(connection, of, last, level - 1, begin, first * wide, found)
    question = (
        select(rollups.c.points, rollups.c.kept)
        .where(
            *(rollups.c.job_id == job_id, rollups.c.source == source, rollups.c.name == name),
            *(rollups.c.level == level, rollups.c.bucket >= first, rollups.c.bucket < past),
        )
        .order_by(rollups.c.bucket)
    )
    for points, kept in connection.execute(question):
        found.points += unpack(kept)
        found.total += points
    _cover(connection, of, last, level - 1, past * wide, end, found)


def _streamed(question: Any, stream: bool) -> Any:
    return question.execution_options(yield_per=5000) if stream else question
