"""HTML fragments: whatever comes from data is text, and figures read as people say them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tunebus.contracts.errors import Code, Problem, combine
from tunebus.contracts.identifiers import timestamp
from tunebus.ui.web import markup
from tunebus.ui.web.job.names import job_link
from tunebus.ui.web.job.progress import outcome
from tunebus.ui.web.markup import Markup, ago, bytes_text, duration, link, table, tag, text

TRAP = "<img src=x onerror=alert(1)>\"'&"
SAFE = "&lt;img src=x onerror=alert(1)&gt;&quot;&#x27;&amp;"


def job(**fields: Any) -> dict[str, Any]:
    known = {"id": "1", "kind": "fine_tuning_job", "state": "running", "adapter_name": "mine", "cause": None}
    return {**known, **fields}


@pytest.mark.parametrize(
    "fragment",
    [
        text(TRAP),
        tag("p", TRAP),
        tag("p", "", title=TRAP),
        table([TRAP], [[TRAP]]),
        markup.pairs([(TRAP, TRAP)]),
        markup.section(TRAP, TRAP),
        markup.banner(TRAP),
        markup.empty(TRAP),
        job_link(job(adapter_name=TRAP)),
        outcome(job(state="failed", message=TRAP, hint=TRAP)),
        markup.problem_box(Problem(code=Code.INVALID, message=TRAP, param=TRAP, hint=TRAP)),
    ],
)
def test_nothing_from_data_becomes_html(fragment: Markup) -> None:
    assert TRAP not in fragment
    assert "<img" not in fragment
    assert SAFE in fragment


def test_what_is_markup_already_is_left_alone() -> None:
    assert tag("p", tag("b", "x")) == "<p><b>x</b></p>"
    assert text(Markup("<br>")) == "<br>"


def test_a_link_keeps_its_argument_whole() -> None:
    assert link("a", "/jobs", id='x&y="z') == '<a href="/jobs?id=x%26y%3D%22z">a</a>'


@pytest.mark.parametrize(
    ("value", "words"),
    [(0.5, "0.5"), (1757.2, "1,757"), (2_228_000.0, "2,228,000"), (1e37, "1e+37"), (4.345e-08, "4.345e-08"), (0, "0")],
)
def test_numbers_keep_few_digits_and_set_thousands_apart(value: float, words: str) -> None:
    assert markup.number(value) == words
    assert text(float(value)) == words


def test_a_wrong_field_is_called_what_the_page_calls_it() -> None:
    problem = Problem(code=Code.INVALID, message="is no moment", param="as_of")
    assert "<strong>Position or time</strong>: is no moment" in markup.problem_box(
        problem, {"as_of": "Position or time"}
    )


def test_names_too_long_lose_their_middle_and_ids_all_but_their_end() -> None:
    assert markup.cut("faq-starter", 18) == "faq-starter"
    alike = [markup.cut(f"faq-starter-43f5319a-{end}", 18) for end in ("b0620861", "ea544049")]
    assert alike == ["faq-start…b0620861", "faq-start…ea544049"]
    assert markup.short_id("01a22873-3af6-7467-994c-c5e17c5e5501") == (
        '<span title="01a22873-3af6-7467-994c-c5e17c5e5501">7c5e5501</span>'
    )


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(None, "–"), (0.4, "0 s"), (59.4, "59 s"), (59.6, "1 min 0 s"), (200, "3 min 20 s"), (7500, "2 h 5 min")],
)
def test_durations(seconds: float | None, words: str) -> None:
    assert duration(seconds) == words


@pytest.mark.parametrize(
    ("size", "words"),
    [(None, "–"), (0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (373_722, "374 kB"), (1_203_499_008, "1.2 GB")],
)
def test_sizes(size: int | None, words: str) -> None:
    assert bytes_text(size) == words


@pytest.mark.parametrize(
    ("seconds", "words"), [(5, "just now"), (61, "1 min ago"), (3 * 3600, "3 h ago"), (50 * 3600, "2 d ago")]
)
def test_times_gone_by(seconds: float, words: str) -> None:
    now = datetime(2026, 3, 1, tzinfo=UTC)
    assert f">{words}<" in ago(timestamp(now - timedelta(seconds=seconds)), now)


def test_every_wrong_field_has_its_line() -> None:
    problem = combine(
        Problem(code=Code.INVALID, message=f"is wrong {n}", param=f"field_{n}", hint=f"way out {n}") for n in range(3)
    )
    box = markup.problem_box(problem)
    assert box.count("<li>") == 3
    assert all(f"field_{n}" in box and f"way out {n}" in box for n in range(3))
