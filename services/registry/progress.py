"""How far commands have come that take long to prepare, by command id. Only a display: nothing is decided by it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Report = Callable[..., None]
"""`report(done, total)` of the phase that was named when it was made; `total` may be None."""


class Progress:
    """One entry for each command in preparation. Reports may come from any thread."""

    def __init__(self) -> None:
        self._entries: dict[str, dict[str, Any]] = {}

    def of(self, command_id: str) -> dict[str, Any]:
        """The answer to `GetCommandProgress`."""
        nothing = {"phase": None, "done": 0, "total": None, "unit": None}
        return {"command_id": command_id, **self._entries.get(command_id, nothing)}

    def phase(self, command_id: str, phase: str, unit: str) -> Report:
        """Begin a phase of a command, for example `checking`, counted in `unit`; returns what to report it with.

        A report that comes when its phase is over counts for nothing.
        """
        entry = self._entries[command_id] = {"phase": phase, "done": 0, "total": None, "unit": unit}

        def report(done: int, total: int | None = None) -> None:
            if self._entries.get(command_id) is entry:
                entry.update(done=done, total=total)

        return report

    def end(self, command_id: str) -> None:
        self._entries.pop(command_id, None)
