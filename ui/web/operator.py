"""The operator's commands that work beside a running studio and change nothing of its record: verifying, backing up
and building the projections anew, each in a process of its own, one at a time.

What wants the studio down, or changes the record beside the bus (restore, upgrade), is not run from here: see
docs/ui.md.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from tunebus.contracts.errors import Code, Problem, TunebusError, fail
from tunebus.contracts.identifiers import timestamp, utc_now
from tunebus.services.platform.process import die_with_parent
from tunebus.services.platform.settings import PREFIX, Settings

Action = Literal["verify", "rebuild", "backup"]
ACTIONS: tuple[Action, ...] = ("verify", "rebuild", "backup")

MODULE = "tunebus.services.registry.database"
LONGEST_SECONDS = 3600.0
SPARE_BYTES = 256 * 1024**2
_NAME = re.compile(r"tunebus-[0-9]{8}-[0-9]{6}\.db")
_OUTPUT_BYTES = 1_000_000


@dataclass
class Run:
    """One command, from its start. `found` is what it printed, `problem` what it ended with instead."""

    started_at: str = field(default_factory=timestamp)
    ended_at: str | None = None
    found: Mapping[str, Any] | None = None
    problem: Problem | None = None


class Operator:
    """Runs the commands. `revision` changes whenever one begins or ends; `runs` holds the last of each."""

    def __init__(self, settings: Settings) -> None:
        self.backups_folder = settings.home / "backups"
        self.runs: dict[Action, Run] = {}
        self.revision = 0
        self._settings = settings
        self._task: asyncio.Task[None] | None = None

    @property
    def busy(self) -> Action | None:
        return next((action for action, run in self.runs.items() if run.ended_at is None), None)

    def start(self, action: Action) -> None:
        """Begin a command; `runs` says what became of it. Errors: `wrong_state` while one runs, `disk_full`."""
        if self.busy is not None:
            raise fail(Code.WRONG_STATE, f"a {self.busy} is under way already", hint="wait until it has ended")
        arguments = [action, *([str(self._new_backup())] if action == "backup" else [])]
        run = self.runs[action] = Run()
        self.revision += 1
        self._task = asyncio.create_task(self._run(run, arguments))

    def backups(self) -> list[Path]:
        """Those that were made here, the newest first."""
        with contextlib.suppress(OSError):
            return sorted((one for one in self.backups_folder.iterdir() if _NAME.fullmatch(one.name)), reverse=True)
        return []

    def backup_named(self, name: str) -> Path:
        """Errors: `not_found`, also for the name of any other file."""
        file = self.backups_folder / name
        if not _NAME.fullmatch(name) or not file.is_file() or file.is_symlink():
            raise fail(Code.NOT_FOUND, "there is no such backup", param="name")
        return file

    async def close(self) -> None:
        if self._task is not None and not self._task.done():
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    def _new_backup(self) -> Path:
        self.backups_folder.mkdir(mode=0o700, exist_ok=True)
        file = self._settings.ledger_url.removeprefix("sqlite:///")
        needed = SPARE_BYTES
        with contextlib.suppress(OSError):
            needed += Path(file).stat().st_size
        if shutil.disk_usage(self.backups_folder).free < needed:
            raise fail(Code.DISK_FULL, "there is no room for another backup", hint="move older ones elsewhere first")
        return self.backups_folder / f"tunebus-{utc_now():%Y%m%d-%H%M%S}.db"

    async def _run(self, run: Run, arguments: list[str]) -> None:
        process = None
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                MODULE,
                *arguments,
                "--json",
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env={**os.environ, f"{PREFIX}HOME": str(self._settings.home)},
                preexec_fn=die_with_parent,
            )
            said, errors = await asyncio.wait_for(process.communicate(), LONGEST_SECONDS)
            if process.returncode == 0:
                run.found = json.loads(said[:_OUTPUT_BYTES])
            else:
                run.problem = _problem(errors)
        except TimeoutError:
            run.problem = Problem(
                code=Code.UNAVAILABLE, message=f"it took more than {LONGEST_SECONDS / 60:.0f} minutes"
            )
        except (OSError, ValueError):
            run.problem = Problem(code=Code.INTERNAL, message="the command could not be run")
        finally:
            if process is not None and process.returncode is None:
                process.kill()
                await process.wait()
            run.ended_at = timestamp()
            self.revision += 1


def _problem(errors: bytes) -> Problem:
    """What a command says on stderr when it fails: its problem as one line of JSON."""
    for line in reversed(errors.decode(errors="replace").splitlines()):
        with contextlib.suppress(ValueError, TypeError):
            return Problem.model_validate(json.loads(line))
    return TunebusError(Problem(code=Code.INTERNAL, message="the command failed without saying why")).problem
