"""How far commands are: a phase is told of while it lasts, and nothing is left of a command that has ended."""

from __future__ import annotations

from tunebus.services.registry.progress import Progress


def test_a_report_that_comes_late_counts_for_nothing() -> None:
    progress = Progress()
    checking = progress.phase("one", "checking", "events")
    checking(5, 10)
    assert progress.of("one") == {"command_id": "one", "phase": "checking", "done": 5, "total": 10, "unit": "events"}
    taking_in = progress.phase("one", "taking in", "events")
    checking(10, 10)
    taking_in(1)
    assert (progress.of("one")["phase"], progress.of("one")["done"]) == ("taking in", 1)
    progress.end("one")
    taking_in(2)
    checking(10, 10)
    assert progress.of("one")["phase"] is None
