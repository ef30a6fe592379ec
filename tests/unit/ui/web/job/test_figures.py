"""Figures as people read them, and the newest point of curves that a resumed attempt did anew."""

from __future__ import annotations

from typing import Any

import pytest
from tunebus.ui.web.job import progress
from tunebus.ui.web.job.figures import Measured, against_estimate, tiles
from tunebus.ui.web.job.head import suggested


def job(**fields: Any) -> dict[str, Any]:
    usual: dict[str, Any] = {
        "id": "j",
        "kind": "fine_tuning_job",
        "state": "queued",
        "adapter_name": "faq",
        "progress": {"phase": "queued", "step": 0, "total": None, "rate": None, "eta": None},
        "step": 0,
        "total_steps": None,
        "metrics": {},
        "attempts_made": [],
        "started_at": None,
        "finished_at": None,
        "recipe": {"training_arguments": {"per_device_train_batch_size": 8, "learning_rate": 2e-4}},
        "suggestion": None,
        "cause": None,
        "message": None,
        "hint": None,
        "waiting_reason": None,
        "queue_position": None,
    }
    return usual | fields


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("loss", 1.23456, "1.235"),
        ("loss", None, "–"),
        ("exact_match", 0.2551, "25.5 %"),
        ("peak_memory_bytes", 662_000_000.0, "631 MiB"),
        ("eval_seconds", 0.0123, "12.3 ms"),
        ("eval_seconds", 200.0, "3 min 20 s"),
        ("tokens", 1_234_567.0, "1,234,567"),
    ],
)
def test_a_figure_is_short_and_has_its_unit(name: str, value: float | None, shown: str) -> None:
    assert progress.figure(name, value) == shown


def test_slow_steps_are_told_by_their_length() -> None:
    assert progress.rate(2.5) == "2.5 steps/s"
    assert progress.rate(0.25) == "4 s a step"


def test_the_newest_point_is_not_of_the_attempt_before() -> None:
    curves = {"loss": {"steps": [1, 2, 3, 4], "values": [4.0, 3.0, 2.0, "NaN"]}}
    measured = Measured(curves)
    assert measured.newest("loss") == "NaN"
    assert measured.newest("loss", 2) == 3.0
    assert measured.newest("loss", 0) is None
    assert measured.newest("grad_norm") is None
    assert measured.mean("loss") == 3.0


def test_a_job_that_never_ran_has_figures_without_numbers() -> None:
    shown = tiles(job(), Measured({}))
    assert "Parameters" in shown
    assert "None" not in shown
    assert against_estimate(job(estimate=None), Measured({})) == ""


def test_the_figures_of_the_end_win_over_the_curves() -> None:
    curves = {"eval_loss": {"steps": [0, 10], "values": [7.0, 1.5]}, "epoch": {"steps": [10], "values": [0.5]}}
    metrics = {"eval_loss": 1.25, "parameters": 4_000_000.0, "trainable_parameters": 200_000.0, "steps_per_second": 4.0}
    done = job(state="succeeded", step=10, total_steps=10, metrics=metrics)
    shown = tiles(done, Measured(curves, memory_bytes=5e8))
    for words in ("10 of 10", "1.25", "7 before training", "4,000,000", "5.00 %", "250 ms", "477 MiB", "epoch 0.50"):
        assert words in shown


def test_a_suggestion_is_shown_beside_what_was() -> None:
    changes = {"batch_size": 4, "num_memory": 2.0, "training_arguments": {"learning_rate": 1e-4}}
    failed = job(state="failed", suggestion=changes)
    failed["recipe"]["num_memory_gb"] = 0.5
    assert list(suggested(failed)) == [("batch_size", 8, 4), ("num_memory", 0.5, 2.0), ("learning_rate", 2e-4, 1e-4)]


def test_whatever_a_message_says_is_text() -> None:
    failed = job(state="failed", cause="crashed", message="<script>alert(1)</script>", hint="<b>")
    shown = progress.outcome(failed)
    assert "<script>" not in shown
    assert "<b>" not in shown
    assert "crashed" in shown
