"""Hearing: no lease expires for a time in which the registry could not hear."""

from __future__ import annotations

from tunebus.services.registry.liveness import Hearing


class Clocks:
    def __init__(self) -> None:
        self.monotonic = 100.0
        self.wall = 5000.0

    def pass_(self, seconds: float) -> None:
        self.monotonic += seconds
        self.wall += seconds


def hearing(clocks: Clocks) -> Hearing:
    return Hearing(1.0, monotonic=lambda: clocks.monotonic, wall=lambda: clocks.wall)


def ticking(heard: Hearing, clocks: Clocks, seconds: int) -> None:
    for _ in range(seconds):
        clocks.pass_(1.0)
        heard.tick()


def test_it_counts_from_the_start() -> None:
    clocks = Clocks()
    heard = hearing(clocks)
    ticking(heard, clocks, 30)
    assert heard.heard_for == 30


def test_a_pause_of_the_process_starts_the_count_again() -> None:
    clocks = Clocks()
    heard = hearing(clocks)
    ticking(heard, clocks, 30)
    clocks.pass_(20)
    assert heard.heard_for == 0  # noticed before any tick
    heard.tick()
    ticking(heard, clocks, 5)
    assert heard.heard_for == 5


def test_a_late_tick_is_no_pause() -> None:
    clocks = Clocks()
    heard = hearing(clocks)
    ticking(heard, clocks, 30)
    clocks.pass_(1.9)
    heard.tick()
    assert heard.heard_for > 30


def test_deafness_starts_the_count_again() -> None:
    clocks = Clocks()
    heard = hearing(clocks)
    ticking(heard, clocks, 30)
    heard.deaf()
    ticking(heard, clocks, 3)
    assert heard.heard_for == 3


def test_a_wall_clock_that_is_set_starts_the_count_again() -> None:
    clocks = Clocks()
    heard = hearing(clocks)
    ticking(heard, clocks, 30)
    clocks.wall += 3600
    ticking(heard, clocks, 1)
    assert heard.heard_for == 0
