"""A job's file that somebody wrote by hand is refused in words, before anything is loaded."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tunebus.contracts.errors import TunebusError
from tunebus.services.platform.child import attempt


def test_every_wrong_field_of_a_job_file_is_told_in_plain_words(tmp_path: Path) -> None:
    file = tmp_path / "job.json"
    file.write_text(json.dumps({"job_id": "j", "attempt": "first"}))
    with pytest.raises(TunebusError) as caught:
        attempt._read(file, ["fine_tuning_job"])
    message = caught.value.problem.message
    assert "attempt: must be a whole number, not 'first'" in message
    assert "kind: is required" in message
