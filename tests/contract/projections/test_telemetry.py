"""Telemetry on both databases: what comes twice is there once, the highest attempt wins, every step is there once."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, Table, delete, func, select
from tunebus.projections import telemetry
from tunebus.projections.telemetry import points as every_point
from tunebus.projections.telemetry import rollups, tables
from tunebus.services.platform import database
from tunebus.services.projector.parsing import Rows, parse
from tunebus.services.projector.store import Store

JOB = "0197a3f2-7c00-7000-8000-000000000001"
OTHER = "0197a3f2-7c00-7000-8000-000000000002"


@pytest.fixture
def measured(database_url: str) -> Iterator[Engine]:
    engine = database.open_engine(database_url, synchronous="NORMAL")
    Store(engine).create()
    yield engine
    engine.dispose()


def rows(*records: dict[str, Any], job_id: str = JOB, attempt: int = 1) -> Rows:
    body = {"v": 1, "job_id": job_id, "attempt": attempt, "records": [{"t": 0.0} | record for record in records]}
    found, problem = parse(json.dumps(body).encode())
    assert problem is None
    return found


def metric(n: int, step: int, **values: Any) -> dict[str, Any]:
    return {"k": "metric", "n": n, "step": step, "values": values}


def log(n: int, offset: int, text: str) -> dict[str, Any]:
    return {"k": "log", "n": n, "offset": offset, "text": text}


def forget(engine: Engine, *of: Table) -> None:
    with database.write(engine) as connection:
        for table in of or telemetry.metadata.sorted_tables:
            connection.execute(delete(table))


def curves(engine: Engine, *arguments: Any) -> dict[str, Any]:
    with database.read(engine) as connection:
        return telemetry.curves(connection, JOB, *arguments)


def text_of(engine: Engine, *arguments: Any, **named: Any) -> dict[str, Any]:
    with database.read(engine) as connection:
        return telemetry.log_text(connection, JOB, *arguments, **named)


def points(engine: Engine, name: str) -> dict[int, Any]:
    series = curves(engine)["series"][name]
    assert len(set(series["steps"])) == len(series["steps"]), "a step is there twice"
    return dict(zip(series["steps"], series["values"], strict=True))


def test_batches_that_come_again_or_late_change_nothing(measured: Engine) -> None:
    store = Store(measured)
    progress = {"k": "progress", "phase": "training", "total": 4}
    first = rows(
        metric(1, 1, loss=3.0, lr=0.1),
        log(2, 0, "a\n"),
        progress | {"n": 3, "step": 1},
        {"k": "system", "n": 4, "values": {"cpu": 1.0}},
        {"k": "sample", "n": 8, "step": 0, "row": 3, "prompt": "p", "reference": "r", "answer": "a\x00"},
    )
    second = rows(metric(5, 200, loss=2.0, lr=0.1), log(6, 2, "b\n"), progress | {"n": 7, "step": 2})
    for batch in (first, second):
        store.write(batch)

    def everything() -> dict[str, list[Any]]:
        with database.read(measured) as connection:
            return {
                table.name: [tuple(row) for row in connection.execute(select(table).order_by(*table.primary_key))]
                for table in telemetry.metadata.sorted_tables
                if table is not tables.writes  # which counts attempts at it
            }

    before = everything()
    assert all(before.values())
    for batch in (second, first, first, second):
        store.write(batch)
    both = rows(metric(1, 1, loss=3.0, lr=0.1))
    both.merge(rows(metric(1, 1, loss=3.0, lr=0.1)))
    store.write(both)  # twice in one statement
    assert everything() == before


def test_the_highest_attempt_wins_whatever_the_order_of_arrival(measured: Engine) -> None:
    store = Store(measured)
    second = rows(*(metric(n, 10 + n, loss=200.0 + n) for n in range(1, 6)), attempt=2)  # resumed after step 10
    store.write(second)
    store.write(rows(*(metric(n, n, loss=float(n)) for n in range(1, 14))))  # came up to step 13
    expected = {step: float(step) for step in range(1, 11)} | {10 + n: 200.0 + n for n in range(1, 6)}
    assert points(measured, "loss") == expected
    answer = curves(measured)
    assert answer["attempts"] == [1, 2]
    assert answer["last_step"] == 15


def test_a_value_measured_twice_at_a_step_is_the_later_one(measured: Engine) -> None:
    Store(measured).write(rows(metric(1, 5, loss=1.0), metric(2, 5, loss=2.0), metric(3, 5, eval_loss=9.0)))
    assert points(measured, "loss") == {5: 2.0}
    assert points(measured, "eval_loss") == {5: 9.0}


def test_a_newer_attempts_missing_name_leaves_the_older_ones_value(measured: Engine) -> None:
    store = Store(measured)
    store.write(rows(metric(1, 5, loss=1.0, eval_loss=4.0)))
    store.write(rows(metric(1, 5, loss=2.0), attempt=2))
    assert points(measured, "loss") == {5: 2.0}
    assert points(measured, "eval_loss") == {5: 4.0}


def test_non_finite_values_come_back_as_their_strings(measured: Engine) -> None:
    Store(measured).write(
        rows(
            metric(1, 1, loss="NaN"),
            metric(2, 2, loss="Infinity"),
            metric(3, 3, loss="-Infinity"),
            metric(4, 4, loss=0.5),
        )
    )
    assert points(measured, "loss") == {1: "NaN", 2: "Infinity", 3: "-Infinity", 4: 0.5}
    json.dumps(curves(measured), allow_nan=False)


def test_names_and_since_step_leave_out_what_was_not_asked_for(measured: Engine) -> None:
    Store(measured).write(rows(*(metric(n, n, loss=1.0, lr=0.1) for n in range(5))))
    answer = curves(measured, ["lr"], 2)
    assert list(answer["series"]) == ["lr"]
    assert answer["series"]["lr"]["steps"] == [3, 4]
    Store(measured).write(rows(metric(1, 1, loss=7.0), job_id=OTHER))
    assert points(measured, "loss")[1] == 1.0, "another job's point is in the curve"


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    attempts=st.lists(st.tuples(st.integers(0, 20), st.integers(1, 15)), min_size=1, max_size=4),
    order=st.randoms(use_true_random=False),
)
def test_any_resumes_give_each_step_once_with_the_newest_value(
    measured: Engine, attempts: list[tuple[int, int]], order: Any
) -> None:
    forget(measured)
    expected, batches = {}, []
    for number, (start, length) in enumerate(attempts, 1):
        for n, step in enumerate(range(start, start + length), 1):
            expected[step] = number * 1000.0 + n
            batches.append(rows(metric(n, step, loss=expected[step]), attempt=number))
    batches += batches[::2]
    order.shuffle(batches)
    for batch in batches:
        Store(measured).write(batch)
    assert points(measured, "loss") == expected
    assert curves(measured)["series"]["loss"]["steps"] == sorted(expected)


def test_a_long_curve_is_thinned_out_and_keeps_its_ends_and_its_spikes(measured: Engine) -> None:
    spike, dip = 12_345, 23_456
    values = dict.fromkeys(range(30000), 1.0) | {spike: 99.0, dip: -99.0}
    Store(measured).write(rows(*(metric(step, step, loss=value) for step, value in values.items())))
    series = curves(measured)["series"]["loss"]
    assert series["sampled"]
    assert len(series["steps"]) <= telemetry.SERIES_POINTS
    assert {0, spike, dip, 29_999} <= set(series["steps"])
    rest = curves(measured, None, 29_900)["series"]["loss"]
    assert not rest["sampled"]
    assert rest["steps"] == list(range(29_901, 30_000))


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    attempts=st.lists(
        st.tuples(st.integers(0, 600), st.integers(1, 700), st.sampled_from([1, 1, 3, 10, 100])), min_size=1, max_size=3
    ),
    odd=st.dictionaries(st.integers(0, 1500), st.sampled_from(["NaN", "Infinity", "-Infinity", 1e6, -1e6]), max_size=8),
    room=st.integers(2, 60),
    pieces=st.integers(20, 400),
    order=st.randoms(use_true_random=False),
)
def test_whatever_comes_in_whatever_order_a_thinned_curve_has_its_ends_extremes_and_gaps(
    measured: Engine, attempts: list[tuple[int, int, int]], odd: dict[int, Any], room: int, pieces: int, order: Any
) -> None:
    forget(measured)
    expected: dict[int, Any] = {}
    batches = []
    for number, (start, length, stride) in enumerate(attempts, 1):
        records = []
        for n, step in enumerate(range(start, start + length * stride, stride), 1):
            expected[step] = odd.get(step, number * 1000.0 + order.random())
            records.append(metric(n, step, loss=expected[step]))
        batches += [rows(*records[at : at + pieces], attempt=number) for at in range(0, len(records), pieces)]
    swapped = order.randrange(len(batches))
    batches[swapped:] = order.sample(batches[swapped:], len(batches) - swapped)
    for batch in [*batches, *order.sample(batches, len(batches) // 3)]:
        Store(measured).write(batch)

    series = curves(measured, ["loss"], -1, room)["series"]["loss"]
    shown = dict(zip(series["steps"], series["values"], strict=True))
    assert series["steps"] == sorted(shown)
    assert len(series["times"]) == len(series["steps"]) <= room
    assert shown.items() <= expected.items()
    assert series["sampled"] == (len(expected) > room)
    if len(expected) <= room:
        assert shown == expected
    assert {min(expected), max(expected)} <= shown.keys()
    finite = [value for value in expected.values() if isinstance(value, float)]
    if room >= 5:
        assert not finite or {min(finite), max(finite)} <= set(shown.values())
        assert (len(finite) < len(expected)) == any(isinstance(value, str) for value in shown.values())
    with database.read(measured) as connection:
        kept = {row.name: (row.first, row.last) for row in connection.execute(select(tables.series))}
        rolled = sorted(map(tuple, connection.execute(select(tables.rollups))))
    assert kept == {"loss": (min(expected), max(expected))}
    forget(measured, tables.rollups, tables.series)
    assert curves(measured, ["loss"], -1, room)["series"]["loss"]["steps"][-1] == max(expected), "of an old file"
    assert Store(measured).roll_up_old() == 1
    with database.read(measured) as connection:
        assert sorted(map(tuple, connection.execute(select(tables.rollups)))) == rolled
    assert Store(measured).roll_up_old() == 0


def test_a_chart_of_a_long_run_reads_no_more_than_one_of_a_short_run(measured: Engine) -> None:
    steps = 60_000
    low, high, gap = 20_000, 40_001, 50_003
    values = {low: -5.0, high: 99.0, gap: "NaN"}
    for begin in range(0, steps, 20_000):
        of_batch = range(begin, begin + 20_000)
        Store(measured).write(rows(*(metric(step, step, loss=values.get(step, step % 7)) for step in of_batch)))
    with database.read(measured) as connection:
        extents = rollups.extents(connection, JOB, tables.METRICS)
        found = rollups.read(connection, JOB, tables.METRICS, extents, 0, rollups.END, 1500)["loss"]
    assert found.total == steps
    assert len(found.points) < 16_000
    series = curves(measured, ["loss"], -1, 1500)["series"]["loss"]
    assert 1000 < len(series["steps"]) <= 1500
    assert {0, low, high, gap, steps - 1} <= set(series["steps"])
    assert series["values"][series["steps"].index(gap)] == "NaN"
    rest = curves(measured, ["loss"], steps - 400, 1500)["series"]["loss"]
    assert rest["steps"] == list(range(steps - 399, steps))
    assert not rest["sampled"]


def test_a_log_is_put_together_by_offset_in_any_pieces(measured: Engine) -> None:
    whole = "loading\nünïcode 表 line\n" * 20
    data, pieces, begin = whole.encode(), [], 0
    for n, character in enumerate(whole, 1):
        pieces.append(log(n, begin, character))
        begin += len(character.encode())
    store = Store(measured)
    store.write(rows(*reversed(pieces)))
    store.write(rows(log(999, 0, whole[:8])))  # the supervisor sends a part once more
    assert text_of(measured)["text"] == whole
    assert text_of(measured)["next_offset"] == len(data)

    for limit in (1, 7, 100):
        position, parts = 0, []
        while True:
            answer = text_of(measured, None, position, limit)
            if not answer["text"]:
                break
            assert answer["next_offset"] > position
            assert len(answer["text"].encode()) <= max(limit, 4)
            parts.append(answer["text"])
            position = answer["next_offset"]
        assert "".join(parts) == whole


def test_a_gap_in_a_log_does_not_hide_what_follows(measured: Engine) -> None:
    Store(measured).write(rows(log(1, 0, "begin\n"), log(2, 50, "end\n")))
    answer = text_of(measured)
    assert answer["text"] == "begin\nend\n"
    assert answer["next_offset"] == 54
    assert text_of(measured, None, 54) == answer | {"offset": 54, "text": ""}


def test_the_end_of_a_log_is_had_without_knowing_its_length(measured: Engine) -> None:
    store = Store(measured)
    store.write(rows(log(1, 0, "first\n"), log(2, 6, "ünd\n"), log(3, 11, "last\n")))
    assert text_of(measured, tail=5) == text_of(measured) | {"offset": 11, "text": "last\n"}
    within = text_of(measured, tail=9)  # begins within the ü
    assert (within["offset"], within["text"]) == (8, "nd\nlast\n")
    assert text_of(measured, tail=1000)["text"] == "first\nünd\nlast\n"
    assert text_of(measured, 2, tail=10)["text"] == ""


LOG = """\
10:00:00 INFO loading the model
tokenizers: UserWarning: slow
step 1 of 100
10:00:05 ERROR Cannot go on
Traceback (most recent call last):
  File "run.py", line 3, in <module>

ValueError: Größe 0
10:00:06 DEBUG and out
FATAL: gone
"""


def test_a_log_is_searched_by_text_and_level_line_by_line(measured: Engine) -> None:
    data = LOG.encode()
    cuts = [0, 7, 40, 41, 130, len(data)]
    pieces = [(begin, data[begin:end].decode()) for begin, end in itertools.pairwise(cuts)]
    Store(measured).write(rows(*(log(n, begin, text) for n, (begin, text) in enumerate(pieces, 1))))

    def found(**wanted: Any) -> list[tuple[str | None, str]]:
        with database.read(measured) as connection:
            answer = telemetry.search_log(connection, JOB, **wanted)
        assert all(data[one["offset"] :].startswith(one["text"].encode()) for one in answer["items"])
        assert answer["next"] is None
        return [(one["level"], one["text"]) for one in answer["items"]]

    lines = LOG.splitlines()
    levels = ["INFO", "WARNING", None, "ERROR", "ERROR", "ERROR", "ERROR", "ERROR", "DEBUG", "CRITICAL"]
    assert found() == list(zip(levels, lines, strict=True))
    assert found(level="WARNING") == [one for one in found() if one[0] in ("WARNING", "ERROR", "CRITICAL")]
    assert found(text="größe") == [("ERROR", "ValueError: Größe 0")]
    assert found(text="GO", level="CRITICAL") == [("CRITICAL", "FATAL: gone")]
    within = data.index(b"  File")
    assert found(after_offset=within, level="ERROR")[0] == ("ERROR", lines[5]), "a traceback that began before"


def test_a_search_through_a_long_log_goes_on_where_it_stopped(
    measured: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tunebus.projections.telemetry.output.SEARCHED_BYTES", 20_000)
    text = "".join(f"line {number} {'needle' if number % 500 == 0 else ''}\n" for number in range(5000))
    texts = [text[begin : begin + 4000] for begin in range(0, len(text), 4000)]
    Store(measured).write(rows(*(log(n, n * 4000, piece) for n, piece in enumerate(texts))))
    after, asked, found = 0, 0, []
    while after is not None:
        with database.read(measured) as connection:
            answer = telemetry.search_log(connection, JOB, text="NEEDLE", after_offset=after, limit=3)
        found += [one["text"] for one in answer["items"]]
        after, asked = answer["next"], asked + 1
    assert found == [f"line {number} needle" for number in range(0, 5000, 500)]
    assert asked >= len(text) // 20_000


def test_a_machines_readings_are_series_by_time(measured: Engine) -> None:
    store = Store(measured)
    began = 1_767_225_600.0
    for attempt, begin in ((1, 0), (2, 30_000)):
        readings = [
            {"k": "system", "n": n, "t": began + 2 * (begin + n), "values": {"cpu_percent": float((begin + n) % 101)}}
            for n in range(30_000)
        ]
        readings[70]["values"] = {"cpu_percent": 400.0, "gpu0_percent": 3}
        readings[5]["t"] = 1e300  # a clock that cannot be right
        store.write(rows(*readings, attempt=attempt))

    def asked(*wanted: Any) -> dict[str, Any]:
        with database.read(measured) as connection:
            return telemetry.machine_series(connection, JOB, *wanted)

    whole = asked()
    busy = whole["series"]["cpu_percent"]
    assert (whole["attempts"], whole["last_time"]) == ([1, 2], began + 2 * 59_999)
    assert 1000 < len(busy["times"]) == len(busy["values"]) <= 1500
    assert busy["sampled"]
    assert busy["times"] == sorted(set(busy["times"]))
    assert (busy["times"][0], max(busy["values"]), min(busy["values"])) == (began, 400.0, 0.0)
    assert whole["series"]["gpu0_percent"]["times"] == [began + 140, began + 60_140]
    later = asked(["cpu_percent"], whole["last_time"] - 20, 1500)
    assert list(later["series"]) == ["cpu_percent"]
    assert not later["series"]["cpu_percent"]["sampled"]
    assert later["series"]["cpu_percent"]["times"] == [began + 2 * (59_990 + n) for n in range(10)]
    assert asked(None, whole["last_time"])["series"] == {}
    forget(measured, tables.rollups, tables.series)
    assert asked()["series"]["gpu0_percent"] == whole["series"]["gpu0_percent"], "of an old file"
    assert store.roll_up_old() == 1
    assert asked() == whole


def test_the_newest_attempts_log_is_shown_unless_another_is_named(measured: Engine) -> None:
    store = Store(measured)
    store.write(rows(log(1, 0, "first"), attempt=1))
    store.write(rows(log(1, 0, "second"), attempt=2))
    assert text_of(measured)["text"] == "second"
    assert text_of(measured, 1)["text"] == "first"
    assert text_of(measured, 3)["text"] == ""


def test_progress_is_the_newest_of_the_highest_attempt(measured: Engine) -> None:
    store = Store(measured)
    progress = {"k": "progress", "phase": "training", "total": 10, "rate": 2.0, "eta": 3.5}
    store.write(rows(progress | {"n": 9, "step": 9}, attempt=1))
    store.write(rows(progress | {"n": 2, "step": 5}, attempt=2))
    store.write(rows(progress | {"n": 1, "step": 4}, attempt=2))  # late
    store.write(rows(metric(1, 1, loss=1.0), attempt=3))  # has not reported progress yet
    with database.read(measured) as connection:
        found = telemetry.latest_progress(connection, [JOB, OTHER])
    assert found == {
        JOB: {"attempt": 2, "phase": "training", "step": 5, "total": 10, "rate": 2.0, "eta": 3.5, "t": 0.0}
    }


def test_many_rows_in_one_write_are_all_there(measured: Engine) -> None:
    Store(measured).write(rows(*(metric(n, n, a=1.0, b=2.0, c=3.0) for n in range(20_000))))
    with database.read(measured) as connection:
        assert connection.scalar(select(func.count()).select_from(telemetry.metrics)) == 60_000


def test_every_point_is_read_page_by_page_side_by_side(measured: Engine) -> None:
    numbers = [metric(n, n, loss=float(n), **({"rare": -float(n)} if n % 10 == 0 else {})) for n in range(1, 58)]
    store = Store(measured)
    store.write(rows(*numbers))
    store.write(rows(metric(1, 20, loss="NaN"), job_id=OTHER))
    of = [(JOB, "loss"), (JOB, "rare"), (OTHER, "loss"), (JOB, "nothing")]
    found: dict[int, list[Any]] = {}
    after: int | None = -1
    with database.read(measured) as connection:
        while after is not None:
            page = every_point.rows(connection, tables.METRICS, of, after, 7)
            assert len(page.rows) <= 14
            assert not found.keys() & {step for step, _ in page.rows}
            found |= dict(page.rows)
            after = page.next
    assert list(found) == list(range(1, 58))
    assert found[20] == [20.0, -20.0, "NaN", None]
    assert found[21] == [21.0, None, None, None]
