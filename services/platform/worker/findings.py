"""What a child left in its folder, as the reports it stands for: that it runs, and each whole checkpoint.

Reads the folder only; the same folder gives the same reports, so that a restarted worker may send them again.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from tunebus.contracts.commands import Command, RecordCheckpoint, ReportAttemptRunning
from tunebus.services.platform.home import Home
from tunebus.services.platform.worker.folder import AttemptFolder, read_json

_RUNNING = ("total_steps", "resumed_from_step", "resolved", "versions")

logger = logging.getLogger(__name__)


class Findings:
    """Reports not handed out before, in the order in which they came about."""

    def __init__(self, folder: AttemptFolder, home: Home) -> None:
        self._folder = folder
        self._home = home
        self._running_seen = False
        self._checkpoints_seen: set[str] = set()

    def new(self) -> Iterator[tuple[Command, int]]:
        """(report, step) for whatever is new."""
        if not self._running_seen and (document := read_json(self._folder.running_file)) is not None:
            self._running_seen = True
            if (report := self._running(document)) is not None:
                yield report, 0
        for folder in self._unseen_checkpoints():
            if (checkpoint := self._checkpoint(folder)) is not None:
                self._checkpoints_seen.add(folder.name)
                yield checkpoint, checkpoint.step

    @property
    def is_running(self) -> bool:
        """Whether the child has loaded everything."""
        return self._running_seen

    def _unseen_checkpoints(self) -> list[Path]:
        try:
            names = {path.name for path in self._folder.checkpoints.iterdir() if path.name.startswith("step-")}
        except OSError:
            return []
        return [self._folder.checkpoints / name for name in sorted(names - self._checkpoints_seen)]

    def _running(self, document: dict[str, Any]) -> ReportAttemptRunning | None:
        known = {key: document[key] for key in _RUNNING if key in document}
        try:
            return ReportAttemptRunning(job_id=self._folder.job_id, attempt=self._folder.attempt, **known)
        except ValidationError as error:
            logger.error("running.json cannot be reported: %s", error)
            return None

    def _checkpoint(self, folder: Path) -> RecordCheckpoint | None:
        """None while the manifest, which is written last, is not there."""
        try:
            raw = (folder / "manifest.json").read_bytes()
            manifest = json.loads(raw)
            metrics = manifest.get("metrics") or {}
            return RecordCheckpoint(
                job_id=self._folder.job_id,
                attempt=self._folder.attempt,
                step=manifest["step"],
                uri=self._home.uri(folder),
                manifest_sha256=hashlib.sha256(raw).hexdigest(),
                loss=finite(metrics.get("loss")),
                eval_loss=finite(metrics.get("eval_loss")),
                best=manifest.get("best") is True,
            )
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, AttributeError) as error:
            self._checkpoints_seen.add(folder.name)
            logger.error("the checkpoint's manifest cannot be read: %s", error, extra={"checkpoint": str(folder)})
            return None


def finite(value: object) -> float | None:
    """A number that JSON can carry, or None."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return None
    return float(value)
