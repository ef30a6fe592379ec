"""What a telemetry message comes to, and how wrong ones are refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from tunebus.contracts.errors import Code, TunebusError
from tunebus.contracts.telemetry import TelemetryBatch, batch_bytes, example_batch
from tunebus.services.projector.parsing import parse

JOB = "0197a3f2-7c00-7000-8000-000000000001"
SUBJECT = f"tunebus.tel.{JOB}.1"


def batch(*records: Any, **changes: Any) -> bytes:
    return json.dumps({"v": 1, "job_id": JOB, "attempt": 1, "records": list(records)} | changes).encode()


def test_the_contracts_example_is_taken_whole() -> None:
    rows, problem = parse(json.dumps(example_batch()).encode(), SUBJECT)
    assert problem is None
    assert rows.metrics == [
        (JOB, "loss", 1, 1, 1, 2.5, None, 1767225600.0),
        (JOB, "learning_rate", 1, 1, 1, 0.0002, None, 1767225600.0),
    ]
    assert rows.logs == [(JOB, 1, 0, 3, "loading model\n", 1767225600.2)]
    assert [json.loads(row[3]) for row in rows.system] == [{"cpu_percent": 180.0, "rss_bytes": 9.0e8}]
    summary = rows.attempts[JOB, 1]
    assert (summary.last_n, summary.progress_n, summary.phase, summary.step, summary.total) == (
        4,
        2,
        "training",
        1,
        190,
    )


def test_spool_lines_wrapped_without_parsing_are_read_back() -> None:
    lines = [b'{"k":"metric","n":%d,"t":1.5,"step":%d,"values":{"loss":2}}\n' % (n, n) for n in range(3)]
    rows, problem = parse(batch_bytes(JOB, 1, lines), SUBJECT)
    assert problem is None
    assert [row[2:6] for row in rows.metrics] == [(0, 1, 0, 2.0), (1, 1, 1, 2.0), (2, 1, 2, 2.0)]


def test_non_finite_values_keep_their_spelling() -> None:
    values = {"a": "NaN", "b": "Infinity", "c": "-Infinity"}
    rows, problem = parse(batch({"k": "metric", "n": 1, "t": 0, "step": 1, "values": values}))
    assert problem is None
    assert [(row[1], row[5], row[6]) for row in rows.metrics] == [
        ("a", None, "NaN"),
        ("b", None, "Infinity"),
        ("c", None, "-Infinity"),
    ]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff\xfe",
        b"not json",
        b"[]",
        b"null",
        b'{"job_id": "x", "attempt": 1, "records": []}',
        b"[" * 100_000,
        batch(attempt=0),
        batch(attempt=True),
        batch(attempt="1"),
        batch(attempt=2),
        batch(attempt=2**40),
        batch(job_id="0197a3f2-7c00-7000-8000-000000000002"),
        batch(v="1"),
        batch(records={}),
        b'{"v":1,"job_id":"%s","attempt":1,"records":[{"k":"metric","n":1,"t":NaN,"step":1,"values":{}}]}'
        % JOB.encode(),
    ],
    ids=range(16),
)
def test_a_message_that_says_nothing_usable_is_refused(body: bytes) -> None:
    with pytest.raises(TunebusError) as refused:
        parse(body, SUBJECT)
    assert refused.value.problem.code == Code.MALFORMED


@pytest.mark.parametrize(
    "record",
    [
        7,
        {},
        {"k": "metric", "n": 1, "t": 0.0, "step": 1},
        {"k": "metric", "n": 1, "t": 0.0, "step": 1, "values": {"loss": None}},
        {"k": "metric", "n": 1, "t": 0.0, "step": 1, "values": {"loss": True}},
        {"k": "metric", "n": 1, "t": 0.0, "step": 1, "values": {"loss": "1.0"}},
        {"k": "metric", "n": 1, "t": 0.0, "step": 1, "values": {"loss": [1.0]}},
        {"k": "metric", "n": 1, "t": 0.0, "step": 1, "values": {"good": 1.0, "loss": 10**400}},
        {"k": "metric", "n": 1, "t": 0.0, "step": 1.5, "values": {}},
        {"k": "metric", "n": -1, "t": 0.0, "step": 1, "values": {}},
        {"k": "metric", "n": 2**63, "t": 0.0, "step": 1, "values": {}},
        {"k": "metric", "n": 1, "t": "now", "step": 1, "values": {}},
        {"k": "metric", "n": 1, "t": 0.0, "step": 1, "values": {"a\x00b": 1.0}},
        {"k": "log", "n": 1, "t": 0.0, "offset": 0, "text": 5},
        {"k": "log", "n": 1, "t": 0.0, "offset": -1, "text": ""},
        {"k": "progress", "n": 1, "t": 0.0, "phase": None, "step": 0, "total": 0},
        {"k": "progress", "n": 1, "t": 0.0, "phase": "p", "step": 0, "total": 0, "rate": "fast"},
    ],
    ids=range(17),
)
def test_a_wrong_record_is_named_and_its_neighbours_are_kept(record: Any) -> None:
    good = {"k": "metric", "n": 9, "t": 0.0, "step": 9, "values": {"loss": 1.0}}
    rows, problem = parse(batch(good, record, good | {"n": 10}), SUBJECT)
    assert problem is not None
    assert problem.problem.code == Code.MALFORMED
    assert "records.1" in problem.problem.message
    assert [row[4] for row in rows.metrics] == [9, 10], "nothing of the wrong record is kept"


def test_kinds_and_fields_of_a_newer_version_are_passed_over() -> None:
    newer = {"k": "gradient_histogram", "n": 1, "t": 0.0, "bins": [1, 2]}
    rows, problem = parse(batch(newer, {"k": "log", "n": 2, "t": 0.0, "offset": 0, "text": "x", "stream": "stderr"}))
    assert problem is None
    assert len(rows.logs) == 1
    assert rows.attempts[JOB, 1].last_n == 2


def test_a_nul_in_a_log_becomes_one_other_byte() -> None:
    rows, _ = parse(batch({"k": "log", "n": 1, "t": 0.0, "offset": 0, "text": "a\x00b"}))
    assert rows.logs[0][4] == "a?b"


def test_the_newest_progress_and_the_highest_number_of_several_messages_win() -> None:
    def progress(n: int, step: int) -> dict[str, Any]:
        return {"k": "progress", "n": n, "t": float(n), "phase": "training", "step": step, "total": 9}

    first, _ = parse(batch(progress(1, 1), progress(5, 5), {"k": "log", "n": 6, "t": 6.0, "offset": 0, "text": ""}))
    second, _ = parse(batch(progress(3, 3)))
    for ours, theirs in ((first, second), (second, first)):
        ours.merge(theirs)
        assert (ours.attempts[JOB, 1].last_n, ours.attempts[JOB, 1].step) == (6, 5)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "k": st.sampled_from(["metric", "log", "progress", "system"]),
        "n": st.integers(0, 9) | JSON,
        "t": st.floats(0, 9) | JSON,
        "step": st.integers(0, 9) | JSON,
        "total": st.integers(0, 9) | JSON,
        "offset": st.integers(0, 9) | JSON,
        "text": st.text(max_size=5) | JSON,
        "phase": st.just("training") | JSON,
        "rate": st.none() | st.floats(0, 9) | JSON,
        "values": st.dictionaries(st.sampled_from("ab"), st.floats(0, 9) | st.just("NaN") | JSON, max_size=2) | JSON,
    },
)


@given(record=FIELDS)
def test_whatever_is_taken_is_what_the_contract_allows_and_no_record_stops_the_parser(record: dict[str, Any]) -> None:
    _, problem = parse(batch(record))
    if problem is None:
        try:
            TelemetryBatch.model_validate_json(batch(record), strict=False)
        except ValidationError as error:
            raise AssertionError(f"taken, but not as the contract says: {record}") from error
