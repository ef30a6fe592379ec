"""Rolls series up as their points are written, in the same transaction. What a roll-up is, is `telemetry.rollups`'s."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from operator import itemgetter, lt
from typing import Any

import pydantic_core
from sqlalchemy import Connection, exists, select
from tunebus.projections.telemetry import rollups
from tunebus.projections.telemetry.rollups import FAN, Extent, Point
from tunebus.projections.telemetry.tables import METRICS, SYSTEM, attempts, metrics, series, system
from tunebus.projections.telemetry.tables import rollups as table
from tunebus.services.platform import database
from tunebus.services.projector.parsing import MetricRow, Rows

Key = tuple[str, str, str]
"""(job, source, name) of a series."""
Rolled = dict[int, tuple[int, list[Point]]]
"""Of each stretch of a level how many points there are, and those that are kept."""
RollUpRow = tuple[str, str, str, int, int, int, bytes]
SeriesRow = tuple[str, str, str, int, int]

_PLACE = itemgetter(2)
_SERIES = f"SELECT source, name, first, last FROM {series.name} WHERE job_id = ?"
_POINTS = (
    f"SELECT step, value, special, t FROM {metrics.name} "
    "WHERE job_id = ? AND name = ? AND step >= ? AND step <= ? ORDER BY step, attempt, n"
)
_STRETCHES = (
    f"SELECT bucket, points, kept FROM {table.name} "
    "WHERE job_id = ? AND source = ? AND name = ? AND level = ? AND bucket >= ? AND bucket < ?"
)
_IN_POSTGRESQL = {sql: sql.replace("?", "%s") for sql in (_SERIES, _POINTS, _STRETCHES)}
_NEAR = 1024  # first-level stretches apart that are still read in one go


@dataclass
class RolledUp:
    """Rows to put in the place of those that are there, in the order of the tables' columns."""

    rollups: list[RollUpRow]
    series: list[SeriesRow]


def roll_up(connection: Connection, rows: Rows) -> RolledUp:
    """What has to be written beside `rows`, which are there already, all but those of `attempts`."""
    written = _by_series(rows)
    jobs = sorted({key[:2] for key in written})
    known = _known(connection, jobs)
    done = RolledUp([], [])
    for job_id, source in jobs:
        if (job_id, source) in known or not _seen(connection, job_id):
            continue
        # Maybe of a file from before there were roll-ups: a job's series are all rolled up, or none.
        written = {key: found for key, found in written.items() if key[:2] != (job_id, source)}
        for name in rollups.unrolled(connection, job_id, source):
            _whole(connection, (job_id, source, name), done)
    for key, found in written.items():
        _take(connection, key, found, known.get(key[:2], {}).get(key[2]), done)
    return done


def roll_up_whole(connection: Connection, job_id: str) -> RolledUp:
    """All of a job that is not rolled up yet."""
    done = RolledUp([], [])
    for source in (METRICS, SYSTEM):
        if not _known(connection, [(job_id, source)]):
            for name in rollups.unrolled(connection, job_id, source):
                _whole(connection, (job_id, source, name), done)
    return done


def without_rollups(connection: Connection) -> list[str]:
    """Jobs whose points were written before there were roll-ups."""
    job = attempts.c.job_id
    lacking = [
        exists().where(points.c.job_id == job) & ~exists().where(series.c.job_id == job, series.c.source == source)
        for points, source in ((metrics, METRICS), (system, SYSTEM))
    ]
    return sorted(connection.scalars(select(job).distinct().where(lacking[0] | lacking[1])))


def _by_series(rows: Rows) -> dict[Key, list[MetricRow]]:
    jobs: defaultdict[str, defaultdict[str, list[MetricRow]]] = defaultdict(partial(defaultdict, list))
    for row in rows.metrics:
        jobs[row[0]][row[1]].append(row)
    found = {(job_id, METRICS, name): points for job_id, names in jobs.items() for name, points in names.items()}
    for job_id, attempt, n, text, t in rows.system:
        at = rollups.milliseconds(t)
        if at is not None:
            for name, value in pydantic_core.from_json(text).items():
                found.setdefault((job_id, SYSTEM, name), []).append(
                    (job_id, name, at, attempt, n, float(value), None, t)
                )
    return {key: _in_order(found) for key, found in found.items()}


def _in_order(found: list[MetricRow]) -> list[MetricRow]:
    """Each place once, as the highest attempt measured it."""
    places = list(map(_PLACE, found))
    if all(map(lt, places, places[1:])):
        return found
    return list({row[2]: row for row in sorted(found, key=itemgetter(2, 3, 4))}.values())


def _known(connection: Connection, jobs: Iterable[tuple[str, str]]) -> dict[tuple[str, str], dict[str, Extent]]:
    known: dict[tuple[str, str], dict[str, Extent]] = {}
    for job_id in sorted({job_id for job_id, _ in jobs}):
        for source, name, first, last in _fetch(connection, _SERIES, job_id):
            known.setdefault((job_id, source), {})[name] = Extent(first, last)
    return known


def _seen(connection: Connection, job_id: str) -> bool:
    return connection.scalar(select(attempts.c.job_id).where(attempts.c.job_id == job_id).limit(1)) is not None


def _take(connection: Connection, key: Key, found: Sequence[MetricRow], known: Extent | None, done: RolledUp) -> None:
    """Points in order, as they were written. Those that only go on need not be read again."""
    first, last = found[0][2], found[-1][2]
    extent = Extent(min(first, known.first), max(last, known.last)) if known else Extent(first, last)
    wide = rollups.width(key[1], 1)
    begun, ended = known.last // wide if known else 0, extent.last // wide
    if known is None or first > known.last:
        before = _open_stretch(connection, key, begun * wide, known.last) if known and begun < ended else ()
        rolled = _rolled(before, found, wide, ended)
    else:
        changed = {row[2] // wide for row in found} | {begun}
        rolled = {}
        for begin, end in _runs(stretch for stretch in changed if stretch < ended):
            rolled |= _read_and_rolled(rollups.raw(connection, *key, begin * wide, end * wide), wide, ended)
    _roll(connection, key, rolled, extent, known, done)


def _whole(connection: Connection, key: Key, done: RolledUp) -> None:
    points = rollups.raw(connection, *key, 0, rollups.END, stream=True)
    extent, wide = rollups.extent(connection, *key), rollups.width(key[1], 1)
    _roll(connection, key, _read_and_rolled(points, wide, extent.last // wide), extent, None, done)


def _rolled(before: Iterable[Point], found: Sequence[MetricRow], wide: int, ended: int) -> Rolled:
    """The stretches that have ended, of points at hand: by columns, for this is what every point goes through."""
    columns = list(zip(*before, strict=True)) or [(), (), ()]
    places, values, times = ([*have, *map(itemgetter(at), found)] for have, at in zip(columns, (2, 5, 7), strict=True))
    if None in values:
        begin = len(values) - len(found)
        values[begin:] = [value if special is None else float(special) for *_, value, special, _ in found]
    rolled: Rolled = {}
    begin = 0
    while begin < len(places) and (stretch := places[begin] // wide) < ended:
        end = bisect_left(places, (stretch + 1) * wide, begin)
        kept = [(places[at], values[at], times[at]) for at in rollups.kept(values, begin, end)]
        rolled[stretch] = end - begin, kept
        begin = end
    return rolled


def _read_and_rolled(points: Iterable[Point], wide: int, ended: int) -> Rolled:
    rolled: Rolled = {}
    for stretch, found in groupby(points, key=lambda point: point[0] // wide):
        if stretch < ended:
            of_stretch = list(found)
            rolled[stretch] = len(of_stretch), rollups.keep(of_stretch)
    return rolled


def _roll(
    connection: Connection, key: Key, rolled: Rolled, extent: Extent, known: Extent | None, done: RolledUp
) -> None:
    """From the first level's stretches on, level by level, as far as wider ones have ended with them."""
    if extent != known:
        done.series.append((*key, extent.first, extent.last))
    level, wide = 1, rollups.width(key[1], 1)
    while rolled:
        done.rollups += [(*key, level, at, total, rollups.pack(kept)) for at, (total, kept) in rolled.items()]
        level, wide = level + 1, wide * FAN
        parts = {at // FAN for at in rolled} | ({known.last // wide} if known else set())
        parts = {at for at in parts if at < extent.last // wide}
        if known is not None:
            rolled |= _rolled_before(connection, key, level - 1, parts, rolled)
        wider: Rolled = {}
        for at in sorted(parts):
            children = [rolled[child] for child in range(at * FAN, at * FAN + FAN) if child in rolled]
            if children:
                points = [point for _, kept in children for point in kept]
                wider[at] = sum(total for total, _ in children), rollups.keep(points)
        rolled = wider


def _open_stretch(connection: Connection, key: Key, begin: int, last: int) -> Iterable[Point]:
    """The points of the stretch that was the last one until now."""
    job_id, source, name = key
    if source == SYSTEM:
        return rollups.raw(connection, *key, begin, last + 1)
    points: dict[int, Point] = {}
    for step, value, special, t in _fetch(connection, _POINTS, job_id, name, begin, last):
        points[step] = step, value if special is None else float(special), t
    return points.values()


def _rolled_before(connection: Connection, key: Key, level: int, parts: Iterable[int], rolled: Rolled) -> Rolled:
    """The stretches of a level in these ones of the next that were written before and have not changed."""
    lacking = (at for at in parts if any(at * FAN + one not in rolled for one in range(FAN)))
    return {
        at: (total, list(rollups.unpack(kept)))
        for begin, end in _runs(lacking)
        for at, total, kept in _fetch(connection, _STRETCHES, *key, level, begin * FAN, end * FAN)
        if at not in rolled
    }


def _fetch(connection: Connection, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
    """In the driver's own words: this is asked of every series of every batch."""
    return database.fetch(connection, sql if connection.dialect.name == "sqlite" else _IN_POSTGRESQL[sql], parameters)


def _runs(numbers: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Ranges that hold these numbers, those near one another in one."""
    begin: int | None = None
    last = 0
    for found in sorted(numbers):
        if begin is not None and found - last > _NEAR:
            yield begin, last + 1
            begin = None
        begin = found if begin is None else begin
        last = found
    if begin is not None:
        yield begin, last + 1
