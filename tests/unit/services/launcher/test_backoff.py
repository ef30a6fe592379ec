"""A service that dies again and again is started ever more slowly, and forgiven after a stable while."""

import random

import pytest
from tunebus.services.launcher.backoff import CEILING_SECONDS, FIRST_SECONDS, STABLE_SECONDS, Backoff


class Steady(random.Random):
    """No jitter: always the upper end."""

    def uniform(self, a: float, b: float) -> float:
        return b


def test_delays_double_up_to_the_ceiling() -> None:
    backoff = Backoff(Steady())
    delays = [backoff.after(uptime=0.1) for _ in range(8)]
    assert delays[:3] == pytest.approx([FIRST_SECONDS, 2 * FIRST_SECONDS, 4 * FIRST_SECONDS])
    assert delays[-1] == CEILING_SECONDS


def test_a_stable_while_forgives() -> None:
    backoff = Backoff(Steady())
    for _ in range(6):
        backoff.after(uptime=1.0)
    assert backoff.after(uptime=STABLE_SECONDS) == pytest.approx(FIRST_SECONDS)


def test_jitter_takes_up_to_half_away() -> None:
    delays = [Backoff(random.Random(seed)).after(uptime=0.0) for seed in range(50)]
    assert all(FIRST_SECONDS / 2 <= delay <= FIRST_SECONDS for delay in delays)
    assert len(set(delays)) > 40


def test_a_thousand_deaths_do_not_overflow() -> None:
    backoff = Backoff(Steady())
    assert {backoff.after(uptime=0.0) for _ in range(1000)} >= {CEILING_SECONDS}
