"""Whether the registry could hear its workers lately. While it could not, no lease may expire.

Deaf were: the time before it started, a lost bus, a pause of its own process, a heartbeat that could not be written.
"""

from __future__ import annotations

import time
from collections.abc import Callable


class Hearing:
    """`heard_for` counts from the newest moment of deafness. `tick` is called at least every `interval` seconds."""

    def __init__(
        self,
        interval: float,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._interval = interval
        self._monotonic = monotonic
        self._wall = wall
        self._ticked = self._since = monotonic()
        self._offset = wall() - monotonic()

    @property
    def heard_for(self) -> float:
        """Seconds without a gap; a gap that no tick has noticed yet counts as well."""
        self._notice_gap()
        return self._monotonic() - self._since

    def tick(self) -> None:
        """Notice a pause of this process, and a wall clock that was set: leases are kept in its time."""
        self._notice_gap()
        now = self._monotonic()
        offset = self._wall() - now
        if abs(offset - self._offset) > 1.0:
            self.deaf()
        self._offset = offset
        self._ticked = now

    def deaf(self) -> None:
        """From now on a whole lease has to pass before one may expire."""
        self._since = self._monotonic()

    def _notice_gap(self) -> None:
        now = self._monotonic()
        if now - self._ticked > 2 * self._interval + 0.5:
            self._since = now
            self._ticked = now
