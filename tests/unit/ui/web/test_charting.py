"""What charts and logs are given: well-formed elements, marks of what happened, addresses that may hold anything."""

from __future__ import annotations

import html
import json
import re
from typing import Any
from xml.etree import ElementTree

import pytest
from tunebus.contracts.errors import TunebusError
from tunebus.ui.web.charting import MARKS, Line, chart, job_in, marks_of, number, sparkline, training_charts


def given(markup: str) -> Any:
    found = re.search(r'data-chart="([^"]*)"', markup)
    assert found
    return json.loads(html.unescape(found[1]))


def job(**changes: Any) -> dict[str, Any]:
    return {"attempts_made": [], "checkpoints": [], **changes}


def attempt(number: int, resumed: int | None = None) -> dict[str, Any]:
    return {
        "attempt": number,
        "resumed_from_step": resumed,
        "running_at": "2026-01-01T00:00:10.000000Z",
        "started_at": "2026-01-01T00:00:00.000000Z",
        "resume_from": {"step": resumed} if resumed else None,
        "state": "running",
        "cause": None,
    }


def test_a_chart_says_what_it_draws_and_escapes_it() -> None:
    made = chart(
        'a "<b>"', "/data/metrics?job=1", [Line("loss", "<i>"), Line("other", "x", dots=True, src="/data/y?z=1")]
    )
    ElementTree.fromstring(made)
    said = given(made)
    assert said["title"] == 'a "<b>"'
    assert [(line["name"], line["label"], line["dots"], line["src"]) for line in said["series"]] == [
        ("loss", "<i>", False, "/data/metrics?job=1"),
        ("other", "x", True, "/data/y?z=1"),
    ]


def test_every_chart_of_a_training_has_an_id_of_its_own() -> None:
    ids = re.findall(r'id="([^"]*)"', training_charts("a&b"))
    assert len(ids) == len(set(ids)) >= 5
    assert given(training_charts("a&b"))["src"] == "/data/metrics?job=a%26b"


@pytest.mark.parametrize(
    ("values", "moves"),
    [([1.0, 2.0, 3.0], 1), ([1.0, "NaN", 2.0, None, "Infinity", 3.0], 3), ([5.0, 5.0], 1), ([7.0, None], 1)],
)
def test_a_sparkline_has_a_gap_where_there_is_no_number(values: list[float | str | None], moves: int) -> None:
    root = ElementTree.fromstring(sparkline(values, "loss & more"))
    assert root[0].attrib["d"].count("M") == moves
    assert root.attrib["aria-label"].startswith("loss & more")


def test_nothing_makes_no_sparkline() -> None:
    assert sparkline([], "loss") == sparkline(["NaN", None], "loss") == sparkline([2.5], "loss") == ""


def test_the_seams_of_a_job_are_marked() -> None:
    lost = attempt(1) | {"state": "lost", "cause": "attempt_lost", "ended_at": "2026-01-01T00:00:05Z"}
    unheard = lost | {"attempt": 3, "resumed_from_step": 60}
    reached = [{"attempt": 1, "phase": "training", "step": 57}, {"attempt": 3, "phase": "loading", "step": 1}]
    marks = marks_of(job(attempts_made=[lost, attempt(2, 40), unheard, attempt(4)]), reached)
    assert [(mark["kind"], mark["step"], mark["t"]) for mark in marks] == [
        ("lost", 57, 1767225605.0),
        ("resumed", 40, 1767225610.0),
        ("resumed", 60, 1767225610.0),
    ]
    assert "57" in marks[0]["words"]
    assert "attempt 2" in marks[1]["words"]


def test_checkpoints_are_marked_but_not_by_the_thousand() -> None:
    found = [{"step": step, "recorded_at": "2026-01-01T00:00:00Z"} for step in range(10_000)]
    marks = marks_of(job(checkpoints=found))
    assert 100 < len(marks) <= MARKS
    assert [mark["step"] for mark in marks] == sorted(mark["step"] for mark in marks)


@pytest.mark.parametrize("rubbish", ["x", "1.5", "1e3", "9" * 19, "9" * 4000, "<script>"])
def test_a_number_of_an_address_is_one(rubbish: str) -> None:
    assert number({}, "since", -1) == -1
    assert number({"since": "17"}, "since", -1) == 17
    with pytest.raises(TunebusError, match=r"number|large"):
        number({"since": rubbish}, "since", -1)


def test_a_job_has_to_be_named() -> None:
    assert len(job_in({"job": "x" * 4000})) == 200
    with pytest.raises(TunebusError, match="no job"):
        job_in({})
