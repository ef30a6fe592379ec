"""The points that MLflow gets of a telemetry message."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from tunebus.contracts.errors import Code, TunebusError
from tunebus.contracts.telemetry import example_batch
from tunebus.services.tracking.mlflow_runs import points

JOB = "0197a3f2-7c00-7000-8000-000000000001"
METRIC = {"k": "metric", "n": 2, "t": 1.5, "step": 7, "values": {"loss": 2}}


def batch(*records: Any) -> bytes:
    return json.dumps({"v": 1, "job_id": JOB, "attempt": 1, "records": list(records)}).encode()


def test_metrics_go_by_their_step_and_the_machine_by_its_record() -> None:
    assert points(json.dumps(example_batch()).encode()) == (
        JOB,
        1,
        [
            ("loss", 2.5, 1767225600000, 1),
            ("learning_rate", 0.0002, 1767225600000, 1),
            ("system/cpu_percent", 180.0, 1767225601000, 4),
            ("system/rss_bytes", 9.0e8, 1767225601000, 4),
        ],
    )


@pytest.mark.parametrize(
    "record",
    [
        {"k": "log", "n": 1, "t": 0.0, "offset": 0, "text": "\0\0\0 zero page\n"},
        METRIC | {"step": -1},
        METRIC | {"values": {"a\0b": 1.0}},
        METRIC | {"values": {"loss": 10**400}},
        {"k": "of a newer version"},
        7,
    ],
    ids=range(6),
)
def test_a_record_that_nobody_can_use_costs_no_point_of_its_message(record: Any) -> None:
    assert points(batch(METRIC, record, METRIC | {"step": 8}))[2] == [("loss", 2.0, 1500, 7), ("loss", 2.0, 1500, 8)]


def test_values_that_are_not_finite_are_points_too() -> None:
    [(_, value, _, _)] = points(batch(METRIC | {"values": {"loss": "NaN"}}))[2]
    assert value is not None
    assert math.isnan(value)


def test_a_message_that_is_no_batch_is_refused() -> None:
    with pytest.raises(TunebusError) as refused:
        points(b'{"records": []}')
    assert refused.value.problem.code is Code.MALFORMED
