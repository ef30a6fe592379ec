"""How long to wait before a service is started again: doubling with jitter, forgotten after a stable while."""

from __future__ import annotations

import random

FIRST_SECONDS = 0.2
CEILING_SECONDS = 10.0
STABLE_SECONDS = 30.0


class Backoff:
    """Delays for one service. Jitter takes up to half away, so that what fell together does not rise together."""

    def __init__(self, jitter: random.Random | None = None) -> None:
        self._jitter = jitter or random.Random()  # noqa: S311  spreads load, guards nothing
        self.failures = 0

    def after(self, uptime: float) -> float:
        """Seconds to wait after a service that lived `uptime` seconds died."""
        if uptime >= STABLE_SECONDS:
            self.failures = 0
        delay = min(CEILING_SECONDS, FIRST_SECONDS * 2.0 ** min(self.failures, 16))
        self.failures += 1
        return delay * self._jitter.uniform(0.5, 1.0)
