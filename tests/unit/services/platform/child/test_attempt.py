"""What a child is told and tells: a job file written by hand is refused in words, steps without end fail it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tunebus.contracts.errors import TunebusError
from tunebus.contracts.recipes import ChildJob
from tunebus.services.platform.child import attempt
from tunebus.services.platform.child.failures import ChildFailure
from tunebus.services.platform.child.spool import Spool


def test_every_wrong_field_of_a_job_file_is_told_in_plain_words(tmp_path: Path) -> None:
    file = tmp_path / "job.json"
    file.write_text(json.dumps({"job_id": "j", "attempt": "first"}))
    with pytest.raises(TunebusError) as caught:
        attempt._read(file, ["fine_tuning_job"])
    message = caught.value.problem.message
    assert "attempt: must be a whole number, not 'first'" in message
    assert "kind: is required" in message


def test_steps_without_end_fail_the_attempt_with_the_reason(tmp_path: Path) -> None:
    """The worker could not report them; a script of a user's own may ask for any number."""
    job = ChildJob(kind="fine_tuning_job", job_id="j", attempt=1, attempt_folder=str(tmp_path), recipe={})
    child = attempt.Attempt(job, Spool(tmp_path / "telemetry.jsonl"))
    with pytest.raises(ChildFailure, match="2147483648 is no number of steps") as caught:
        child.running(2**31, resolved={}, versions={})
    assert caught.value.cause == "bad_configuration"
    assert not (tmp_path / "running.json").exists()
    child.running(2**31 - 1, resolved={}, versions={})
    assert (tmp_path / "running.json").exists()
