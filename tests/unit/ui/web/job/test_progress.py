"""How far a job is: a bar, and words beneath it."""

from __future__ import annotations

from typing import Any

from tunebus.ui.web.job.progress import bar


def job(**fields: Any) -> dict[str, Any]:
    progress = {"step": 50, "total": 200, "phase": "training", "rate": 2.0, "eta": 75.0}
    return {"kind": "fine_tuning_job", "state": "running", "progress": progress, **fields}


def test_it_says_step_rate_and_time_left_while_it_runs() -> None:
    shown = bar(job())
    assert "50 of 200" in shown
    assert "2 steps/s" in shown
    assert "1 min 15 s left" in shown
    assert 'aria-valuenow="25"' in shown
    assert "left" not in bar(job(state="succeeded"))


def test_without_any_progress_it_is_empty() -> None:
    assert 'aria-valuenow="0"' in bar(job(progress=None, state="starting"))


def test_preparing_rows_is_not_mistaken_for_training_steps() -> None:
    state = {"step": 2000, "total": 2059, "phase": "preparing", "rate": None, "eta": None}
    shown = bar(job(progress=state))
    assert "2,000 of 2,059" in shown
    assert 'aria-valuenow="0"' in shown
