"""The story of the documentation, in small: every command of it works, and ends as it is told."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tunebus.services.platform.home import STARTER_PACK

from tests.fixtures.studio import Studio

STORY = Path(__file__).parents[2] / "docs" / "story.py"


@pytest.mark.timeout(600)
def test_the_story_is_as_it_is_told(tmp_path: Path) -> None:
    asked = (STARTER_PACK / "questions.jsonl").read_text().splitlines()[:120]
    data = tmp_path / "asked.jsonl"
    data.write_text(
        "".join(json.dumps({"q": one["question"], "a": one["answer"]}) + "\n" for one in map(json.loads, asked))
    )
    small = {
        "DATA": str(data), "PROMPT": "q", "ANSWER": "a", "FOLDER": str(tmp_path), "STEPS": "16", "SAVE_STEPS": "2",
        "BATCH_SIZE": "4", "MAX_LENGTH": "128", "ROWS": "6", "NEW_TOKENS": "8",
    }  # fmt: skip
    studio = Studio(tmp_path / "studio", {f"STORY_{name}": value for name, value in small.items()})
    try:
        done = subprocess.run(
            [sys.executable, str(STORY)], env=studio.environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    finally:
        left = studio.processes()
        studio.kill_everything()
    assert left == []
    assert done.stdout.splitlines()[-1] == "the end"
