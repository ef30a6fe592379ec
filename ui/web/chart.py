"""Line charts as SVG text: no script, no flicker when a point is added, the same in every browser."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from tunebus.ui.web.markup import Markup, empty, join, tag

WIDTH, HEIGHT = 500, 230
LEFT, RIGHT, TOP, BOTTOM = 54, 12, 12, 28
HOVER_STRIPS = 160
POINTS = 1200  # drawn of one line; the chart is some 500 pixels wide


@dataclass(frozen=True)
class Series:
    """One line: `steps` ascending; a value that is no finite number leaves a gap. `dots` marks each point."""

    name: str
    steps: Sequence[int]
    values: Sequence[float | str | None]
    dots: bool = False

    def points(self) -> list[tuple[int, float | None]]:
        """What is drawn: every point, or the extremes of equal stretches where there are more than the eye can tell."""
        every = [(step, _number(value)) for step, value in zip(self.steps, self.values, strict=True)]
        if len(every) <= POINTS:
            return every
        length = math.ceil(len(every) / (POINTS // 2))
        kept = [every[0]]
        for begin in range(1, len(every) - 1, length):
            stretch = every[begin : min(begin + length, len(every) - 1)]
            finite = sorted((one for one in stretch if one[1] is not None), key=lambda one: one[1] or 0.0)
            kept += sorted({finite[0], finite[-1]}) if finite else stretch[:1]
        return [*kept, every[-1]]


def line_chart(
    title: str, series: Sequence[Series], *, last_step: int | None = None, marks: Mapping[int, str] | None = None
) -> Markup:
    """The chart of one or more series over optimiser steps; `last_step` keeps the x axis still while a job runs.

    `marks` are steps at which something happened, such as a resumption, with words for each.
    """
    drawn = [one for one in series if any(value is not None for _, value in one.points())]
    if not drawn:
        return tag("figure", tag("figcaption", title), empty("no point yet"), kind="tb-chart")
    values = [value for one in drawn for _, value in one.points() if value is not None]
    first = min(0, *(one.steps[0] for one in drawn))
    last = max([last_step or 0, *(one.steps[-1] for one in drawn), first + 1])
    low, high = _range(values)
    frame = _Frame(first, last, low, high)
    parts = [*_grid(frame), *(_line(frame, number, one) for number, one in enumerate(drawn)), *_hover(frame, drawn)]
    parts += [_mark(frame, step, words) for step, words in (marks or {}).items() if first <= step <= last]
    legend = [
        tag("span", tag("i", kind=f"tb-line-{number}"), one.name, kind="tb-legend") for number, one in enumerate(drawn)
    ]
    svg = tag(
        "svg",
        *parts,
        viewBox=f"0 0 {WIDTH} {HEIGHT}",
        role="img",
        aria_label=f"{title}: " + ", ".join(f"{one.name} {_last(one)}" for one in drawn),
        preserveAspectRatio="xMidYMid meet",
    )
    return tag("figure", tag("figcaption", title, Markup(" "), join(legend)), svg, kind="tb-chart")


@dataclass(frozen=True)
class _Frame:
    first: int
    last: int
    low: float
    high: float

    def x(self, step: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * (step - self.first) / (self.last - self.first)

    def y(self, value: float) -> float:
        return TOP + (HEIGHT - TOP - BOTTOM) * (self.high - value) / (self.high - self.low)


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Round numbers between two bounds: steps of 1, 2 or 5 times a power of ten."""
    span = high - low
    if span <= 0 or not math.isfinite(span):
        return [low]
    raw = span / count
    power = 10.0 ** math.floor(math.log10(raw))
    step = next((size * power for size in (1, 2, 5, 10) if raw <= size * power), 10 * power)
    begin = math.ceil(low / step - 1e-9)
    return [number * step for number in range(begin, math.floor(high / step + 1e-9) + 1)]


def _number(value: float | str | None) -> float | None:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def _range(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    if low >= 0 and low < 0.5 * high:
        low = 0.0
    margin = 0.05 * (high - low) or abs(high) * 0.1 or 1.0
    return (low - margin if low else 0.0), high + margin


def _last(one: Series) -> str:
    return next((f"{value:.4g}" for _, value in reversed(one.points()) if value is not None), "–")


def _grid(frame: _Frame) -> list[Markup]:
    parts = []
    for value in ticks(frame.low, frame.high):
        y = f"{frame.y(value):.1f}"
        parts.append(tag("line", x1=str(LEFT), x2=str(WIDTH - RIGHT), y1=y, y2=y, kind="tb-grid"))
        parts.append(tag("text", f"{value:.6g}", x=str(LEFT - 6), y=y, kind="tb-tick tb-tick-y"))
    for step in ticks(frame.first, frame.last, 6):
        if step == int(step):
            x = f"{frame.x(step):.1f}"
            parts.append(tag("text", int(step), x=x, y=str(HEIGHT - 10), kind="tb-tick tb-tick-x"))
    return parts


def _line(frame: _Frame, number: int, one: Series) -> Markup:
    path, drawing = [], False
    for step, value in one.points():
        if value is None:
            drawing = False
            continue
        path.append(f"{'L' if drawing else 'M'}{frame.x(step):.1f} {frame.y(value):.1f}")
        drawing = True
    parts = [tag("path", d="".join(path), kind=f"tb-path tb-path-{number}")]
    if one.dots or len(one.steps) == 1:
        for step, value in one.points():
            if value is not None:
                at = {"cx": f"{frame.x(step):.1f}", "cy": f"{frame.y(value):.1f}"}
                parts.append(tag("circle", r="3", kind=f"tb-dot tb-dot-{number}", **at))
    return join(parts)


def _mark(frame: _Frame, step: int, words: str) -> Markup:
    x = f"{frame.x(step):.1f}"
    line = tag("line", x1=x, x2=x, y1=str(TOP), y2=str(HEIGHT - BOTTOM), kind="tb-mark-line")
    near_the_edge = frame.x(step) > WIDTH - 150
    label = tag(
        "text",
        words,
        x=f"{frame.x(step) + (-5 if near_the_edge else 5):.1f}",
        y=str(TOP + 10),
        kind="tb-tick tb-mark-text",
        text_anchor="end" if near_the_edge else "start",
    )
    return join([line, label])


def _hover(frame: _Frame, drawn: Sequence[Series]) -> list[Markup]:
    """Invisible strips whose tooltip reads the values under them."""
    by_step: dict[int, list[str]] = {}
    for one in drawn:
        for step, value in one.points():
            if value is not None:
                by_step.setdefault(step, []).append(f"{one.name} {value:.5g}")
    steps = sorted(by_step)
    steps = steps[:: max(1, math.ceil(len(steps) / HOVER_STRIPS))]
    edges = [float(LEFT), *((frame.x(a) + frame.x(b)) / 2 for a, b in pairwise(steps)), float(WIDTH - RIGHT)]
    return [
        tag(
            "rect",
            tag("title", f"step {step}: {', '.join(by_step[step])}"),
            x=f"{begin:.1f}",
            y=str(TOP),
            width=f"{max(0.5, end - begin):.1f}",
            height=str(HEIGHT - TOP - BOTTOM),
            kind="tb-hover",
        )
        for step, (begin, end) in zip(steps, pairwise(edges), strict=True)
    ]
