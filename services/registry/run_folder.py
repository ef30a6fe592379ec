"""Looking into a folder of TensorBoard event files, and writing its scalars down as an attempt's telemetry.

Runs in a prepare child. One line after another, so that memory stays bounded; what is no scalar is counted, not kept.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import IO, Any

from tunebus.contracts.errors import Code, TunebusError, fail
from tunebus.contracts.identifiers import timestamp
from tunebus.contracts.telemetry import spell
from tunebus.services.registry.event_file import DamagedError, EventFile, Scalar

MARK = "tfevents"
MOST_FILES = 1000
MOST_BYTES = 4 * 1024**3
MOST_POINTS = 5_000_000
MOST_CURVES = 500
NAME_CHARACTERS = 200
CHUNK = 1024**2
LARGEST_STEP = 2**63 - 1
EARLIEST, LATEST = 0.0, 4e9  # Unix seconds that are a time: 1970 to 2096

Report = Callable[[int, int | None], None]


@dataclass
class RunFolder:
    """What a folder holds. `metrics` are the last values, `last_step` is the highest; times are those of the points."""

    sha256: str = ""
    files: int = 0
    bytes: int = 0
    points: int = 0
    last_step: int = 0
    curves: list[str] = field(default_factory=list)
    metrics: dict[str, float | None] = field(default_factory=dict)
    started_at: str | None = None
    finished_at: str | None = None
    warnings: list[str] = field(default_factory=list)


def inspect(place: Path, shown: str, spool: Path, report: Report) -> RunFolder:
    """Read all event files below a folder, or one; the telemetry goes to `spool`, which is left only where it is whole.

    Errors: `invalid` for a folder without scalars and for a damaged file, `too_large`.
    """
    files, links = event_files(place)
    if not files:
        hint = "name the folder that a SummaryWriter wrote to; its files are called events.out.tfevents…"
        raise fail(Code.INVALID, f"{shown} holds no TensorBoard event file", param="path", hint=hint)
    total = sum(file.stat().st_size for file in files)
    if len(files) > MOST_FILES or total > MOST_BYTES:
        message = f"{shown} holds {len(files)} event files of {total} bytes; {MOST_FILES} of {MOST_BYTES} are the most"
        raise fail(Code.TOO_LARGE, message, param="path", hint="name the folder of one run")
    found = RunFolder(files=len(files), bytes=total)
    if links:
        found.warnings.append(f"{links} links were not followed")
    spool.parent.mkdir(parents=True, exist_ok=True)
    try:
        with spool.open("w", encoding="utf-8") as written:
            _Reading(place, shown, found, written).read(files, report)
            written.flush()
            os.fsync(written.fileno())
    except BaseException:
        spool.unlink(missing_ok=True)
        raise
    return found


def event_files(place: Path) -> tuple[list[Path], int]:
    """The event files of a folder, in the order of their names, which begin with when they were begun; and how many
    links there are, which may lead anywhere."""
    if place.is_file():
        return [place], 0
    found, links = [], 0
    for folder, _, names in os.walk(place):
        for name in names:
            path = Path(folder) / name
            if MARK in name and path.is_symlink():
                links += 1
            elif MARK in name and path.is_file():
                found.append(path)
    return sorted(found), links


class _Reading:
    """One pass over the files of a run."""

    def __init__(self, place: Path, shown: str, found: RunFolder, written: IO[str]) -> None:
        self._place = place
        self._shown = shown
        self._found = found
        self._written = written
        self._names: dict[str, str] = {}  # tag -> curve
        self._n = 0
        self._others = 0
        self._left_out = 0
        self._times = [math.inf, -math.inf]

    def read(self, files: list[Path], report: Report) -> None:
        digest = hashlib.sha256()
        cut_off = done = 0
        for file in files:
            digest.update(_hash(file))
            with file.open("rb") as opened:
                events = EventFile(opened)
                folder = file.parent.relative_to(self._place).as_posix() if self._place.is_dir() else "."
                try:
                    self._keep(iter(events), "" if folder == "." else f"{folder}/", partial(report, done, None))
                except DamagedError as error:
                    raise self._invalid(file, f"is damaged: {error}") from None
                if not events.is_event_file:
                    raise self._invalid(file, "is no event file")
            self._others += events.others
            cut_off += events.cut_off
            done += file.stat().st_size
            report(done, self._found.bytes)
        self._finish(digest.hexdigest(), cut_off)

    def _keep(self, scalars: Iterator[Scalar], prefix: str, still_there: Callable[[], None]) -> None:
        """One record for neighbours of the same step, as a training writes them."""
        sound = (scalar for scalar in scalars if self._is_sound(scalar))
        for step, group in groupby(sound, key=lambda scalar: scalar.step):
            values: dict[str, Any] = {}
            time = 0.0
            for scalar in group:
                name = self._curve(prefix + scalar.tag)
                if name in values:
                    self._write(step, time, values)
                    values = {}
                values[name], time = scalar.value, scalar.wall_time
                self._times = [min(self._times[0], time), max(self._times[1], time)]
            self._write(step, time, values)
            if self._n % 10_000 == 0:
                still_there()

    def _is_sound(self, scalar: Scalar) -> bool:
        sound = 0 <= scalar.step <= LARGEST_STEP and EARLIEST <= scalar.wall_time <= LATEST and scalar.tag != ""
        self._left_out += not sound
        return sound

    def _write(self, step: int, time: float, values: dict[str, float]) -> None:
        found = self._found
        self._n += 1
        record = {"k": "metric", "n": self._n, "t": round(time, 3), "step": step}
        spelled = {name: spell(value) for name, value in values.items()}
        line = json.dumps({**record, "values": spelled}, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        self._written.write(line + "\n")
        found.points += len(values)
        found.last_step = max(found.last_step, step)
        found.metrics.update({name: value if math.isfinite(value) else None for name, value in values.items()})
        if found.points > MOST_POINTS:
            message = f"{self._shown} holds more than {MOST_POINTS} points"
            raise fail(Code.TOO_LARGE, message, param="path", hint="name the folder of one run")

    def _curve(self, tag: str) -> str:
        """A tag's curve: what transformers logs as train/loss and eval/loss the studio calls loss and eval_loss."""
        known = self._names.get(tag)
        if known is None:
            prefix, _, rest = tag.partition("/")
            name = {"train": rest, "eval": f"eval_{rest}"}.get(prefix, tag) if rest else tag
            known = tag if name in self._names.values() or not name else name
            known = known.replace("\x00", "?")[:NAME_CHARACTERS]
            self._names[tag] = known
            if len(self._names) > MOST_CURVES:
                message = f"{self._shown} holds more than {MOST_CURVES} curves"
                raise fail(Code.TOO_LARGE, message, param="path", hint="name the folder of one run")
        return known

    def _finish(self, sha256: str, cut_off: int) -> None:
        found = self._found
        if not found.points:
            hint = "only scalars are taken in" if self._others else "has the run logged anything yet?"
            raise fail(Code.INVALID, f"{self._shown} holds no scalar", param="path", hint=hint)
        found.sha256 = sha256
        found.curves = sorted(set(self._names.values()))
        found.started_at, found.finished_at = (
            timestamp(datetime.fromtimestamp(seconds, UTC)) for seconds in self._times
        )
        for count, what in (
            (self._others, "values that are no scalars (images, histograms, texts) were left out"),
            (self._left_out, "points without a name, or with a step or a time below 0, were left out"),
            (cut_off, "files end within a record: their writer was stopped"),
        ):
            if count:
                found.warnings.append(f"{count} {what}")

    def _invalid(self, file: Path, what: str) -> TunebusError:
        name = file.relative_to(self._place).as_posix() if self._place.is_dir() else file.name
        hint = "copy it again, or leave it out"
        return fail(Code.INVALID, f"{name[:120]} of {self._shown} {what}", param="path", hint=hint)


def _hash(file: Path) -> bytes:
    digest = hashlib.sha256()
    with file.open("rb") as opened:
        while chunk := opened.read(CHUNK):
            digest.update(chunk)
    return digest.digest()
