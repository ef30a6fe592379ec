"""A job's events in words: every kind of event that a job can have, from its golden example."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tunebus.contracts.events import EVENTS
from tunebus.contracts.subjects import JOB_KINDS
from tunebus.ui.web.timeline import happened

GOLDEN = Path(__file__).parents[3] / "contract" / "golden" / "events"
OF_JOBS = sorted(name for name, kind in EVENTS.items() if set(kind.aggregates) & set(JOB_KINDS))


@pytest.mark.parametrize("name", OF_JOBS)
def test_every_event_of_a_job_has_words(name: str) -> None:
    example = json.loads((GOLDEN / f"{name}.v1.json").read_text())
    words = happened(name, example.get("data", example))
    assert words
    assert "None" not in words
    assert "{" not in words


def test_an_event_of_a_later_version_is_no_error() -> None:
    assert happened("SomethingNew", {}) == ""


def test_a_resumption_says_from_where() -> None:
    words = happened("AttemptStarted", {"attempt": 2, "host": "box", "resume_from": {"step": 40}})
    assert words == "Attempt 2 on box, from the checkpoint of step 40."
