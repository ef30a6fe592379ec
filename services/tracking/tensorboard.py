"""TensorBoard event files beside each attempt: `attempt-<n>/tensorboard/events.out.tfevents…`, from its telemetry.

They are a copy of the attempt's `telemetry.jsonl`: the first time this process meets an attempt it writes them anew, so
that no point is ever there twice, then it appends what the file has grown by.
"""

from __future__ import annotations

import contextlib
import json
import logging
import shutil
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nats.aio.msg import Msg
from tunebus.services.platform.home import Home

if TYPE_CHECKING:
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

FOLDER = "tensorboard"
OPEN_AT_ONCE = 16
_log = logging.getLogger(__name__)


class TensorBoardFiles:
    """Follows telemetry messages, of which it needs the subject alone: what to copy lies in the attempt's folder."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._open: OrderedDict[Path, _EventFile] = OrderedDict()

    def take(self, messages: Sequence[Msg]) -> None:
        for job_id, attempt in dict.fromkeys(tuple(message.subject.rsplit(".", 2)[-2:]) for message in messages):
            folder = self._home.artifacts / "jobs" / job_id / f"attempt-{attempt}"
            try:
                self._file(folder).catch_up()
            except OSError as error:  # a full disk, or a folder that is gone: the telemetry itself is safe
                self._forget(folder)
                _log.warning("no TensorBoard files", extra={"attempt": str(folder), "reason": str(error.strerror)})

    def close(self) -> None:
        while self._open:
            self._forget(next(iter(self._open)))

    def _file(self, folder: Path) -> _EventFile:
        found = self._open.get(folder)
        if found is None:
            found = self._open[folder] = _EventFile(folder)
            if len(self._open) > OPEN_AT_ONCE:
                self._forget(next(iter(self._open)))
        self._open.move_to_end(folder)
        return found

    def _forget(self, folder: Path) -> None:
        with contextlib.suppress(OSError, KeyError):
            self._open.pop(folder).close()


class _EventFile:
    """One attempt's event file and how much of the telemetry it holds."""

    def __init__(self, attempt: Path) -> None:
        self._spool = attempt / "telemetry.jsonl"
        self._folder = attempt / FOLDER
        self._offset = 0
        self._writer: EventFileWriter | None = None

    def catch_up(self) -> None:
        """Copy the whole lines that came since."""
        with self._spool.open("rb") as file:
            file.seek(self._offset)
            for line in file:
                if not line.endswith(b"\n"):
                    break
                self._offset += len(line)
                self._write(line)
        if self._writer is not None:
            self._writer.flush()

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _write(self, line: bytes) -> None:
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary

        with contextlib.suppress(ValueError, KeyError, TypeError):
            record = json.loads(line)
            values = list(scalars(record))
            if not values:
                return
            if self._writer is None:
                self._writer = self._begin()
            summary = Summary(value=[Summary.Value(tag=tag, simple_value=value) for tag, value in values])
            step = int(record["step"]) if "step" in record else int(record["n"])
            self._writer.add_event(Event(wall_time=float(record["t"]), step=step, summary=summary))

    def _begin(self) -> EventFileWriter:
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        shutil.rmtree(self._folder, ignore_errors=True)
        return EventFileWriter(str(self._folder), flush_secs=3600)


def scalars(record: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """Tags and values of one telemetry record: `train/loss`, `eval/loss`, `system/cpu_percent`; none of other kinds."""
    kind = record.get("k")
    if kind not in ("metric", "system"):
        return
    values: Mapping[str, Any] = record["values"]
    for name, value in _numbers(values.items()):
        if kind == "system":
            yield f"system/{name}", value
        elif name.startswith("eval_"):
            yield f"eval/{name.removeprefix('eval_')}", value
        else:
            yield f"train/{name}", value


def _numbers(items: Iterable[tuple[str, Any]]) -> Iterator[tuple[str, float]]:
    """Values as floats; those that are not finite are spelt as texts, which `float` reads."""
    for name, value in items:
        if isinstance(value, int | float | str):
            with contextlib.suppress(ValueError):
                yield name, float(value)
