"""Line charts as SVG: every point once, gaps where a value is no number, marks where something happened."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest
from tunebus.ui.web.chart import HEIGHT, POINTS, WIDTH, Series, line_chart, ticks


def paths(chart: str) -> list[str]:
    return re.findall(r' d="([^"]*)"', chart)


def test_a_line_has_each_point_once_inside_the_frame() -> None:
    chart = line_chart("Loss", [Series("loss", list(range(1, 101)), [1 / n for n in range(1, 101)])])
    (path,) = paths(chart)
    found = [(float(x), float(y)) for x, y in re.findall(r"[ML]([\d.]+) ([\d.]+)", path)]
    assert len(found) == 100
    assert found == sorted(found)
    assert all(0 <= x <= WIDTH and 0 <= y <= HEIGHT for x, y in found)
    assert found[0][1] < found[-1][1]  # a larger value is higher up


def test_it_is_well_formed() -> None:
    series = [Series("a<b", [1, 2], [1.0, 2.0], dots=True), Series("c", [1], [3.0])]
    ElementTree.fromstring(line_chart("x & y", series, last_step=10, marks={2: "<resumed>"}))


def test_values_that_are_no_numbers_leave_a_gap() -> None:
    chart = line_chart("Loss", [Series("loss", [1, 2, 3, 4, 5], [1.0, "NaN", 2.0, None, "Infinity"])])
    assert re.sub(r"[\d. ]", "", paths(chart)[0]) == "MM"


def test_no_point_at_all_says_so() -> None:
    assert "no point yet" in line_chart("Loss", [])
    assert "no point yet" in line_chart("Loss", [Series("loss", [1], ["NaN"])])


def test_the_axis_waits_for_steps_to_come() -> None:
    begun = line_chart("Loss", [Series("loss", [1, 2], [1.0, 2.0])], last_step=1000)
    x = [float(one) for one in re.findall(r"[ML]([\d.]+) ", paths(begun)[0])]
    assert max(x) < WIDTH / 4


def test_a_long_line_is_thinned_but_keeps_its_ends_and_extremes() -> None:
    values: list[float | str | None] = [1.0 + 0.001 * (n % 7) for n in range(20_000)]
    values[777], values[12_345] = 9.0, -4.0
    drawn = Series("loss", list(range(20_000)), values).points()
    assert len(drawn) <= POINTS + 2
    assert drawn == sorted(drawn)
    assert {(0, values[0]), (777, 9.0), (12_345, -4.0), (19_999, values[-1])} <= set(drawn)


def test_resumptions_are_marked_inside_the_axis_only() -> None:
    marks = {50: "attempt 2 resumed", 5000: "far away"}
    chart = line_chart("Loss", [Series("loss", [1, 100], [2.0, 1.0])], marks=marks)
    assert "attempt 2 resumed" in chart
    assert "far away" not in chart


@pytest.mark.parametrize("value", [0.0, 5.0, -3.0, 1e-12, 1e300])
def test_a_flat_line_still_has_a_height(value: float) -> None:
    assert "nan" not in line_chart("x", [Series("a", [1, 2], [value, value])]).lower()


@pytest.mark.parametrize(("low", "high"), [(0, 1), (0, 6.4), (-2, 3), (1e-6, 3e-6), (99.5, 100.5), (1, 190)])
def test_ticks_are_round_few_and_inside(low: float, high: float) -> None:
    found = ticks(low, high)
    assert 2 <= len(found) <= 8
    assert all(low - 1e-9 <= one <= high + 1e-9 for one in found)
