"""What the tabs of a job say of its settings."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest
from tunebus.ui.web.job.figures import Measured
from tunebus.ui.web.job.tabs import TABS

ASKED = {"max_length": 128, "max_steps": None, "early_stopping_patience": None, "eval_steps": None}


def settings(asked: dict[str, Any], ran: dict[str, Any], **reasons: str) -> dict[str, list[str]]:
    """The cells of each line by the setting's name."""
    job: dict[str, Any] = {
        "id": "j",
        "kind": "fine_tuning_job",
        "recipe": {"training_arguments": asked, "sources": {"max_length": "command"}, "reasons": reasons},
        "attempts_made": [{"resolved": ran}],
        "resolved": ran,
        "out_dir": "artifact:jobs/j",
    }
    shown = asyncio.run(TABS["fine_tuning_job"]["settings"](None, job, Measured({}, None), {}))  # type: ignore[arg-type]
    lines = re.findall(r"<tr><td><code>(\w+)</code></td>(.*?)</tr>", shown)
    return {
        name: [re.sub("<[^>]*>", "", cell) for cell in re.findall("<td>(.*?)</td>", cells)] for name, cells in lines
    }


def test_what_ran_otherwise_than_it_was_asked_for_says_why() -> None:
    assert settings(ASKED, {"max_length": 100})["max_length"] == [
        "128",
        "100",
        "as asked",
        "shortened to the longest row, or to what the model reads",
    ]
    assert settings(ASKED, {"max_length": 128})["max_length"][3] == ""
    assert (
        settings(ASKED, {"max_length": 100}, max_length="said by the recipe")["max_length"][3] == "said by the recipe"
    )


@pytest.mark.parametrize(("name", "words"), [("max_steps", "no limit"), ("early_stopping_patience", "never")])
def test_what_nobody_asked_for_and_nobody_decides_says_what_that_means(name: str, words: str) -> None:
    assert settings(ASKED, {})[name] == [words, words, "default", ""]
    assert settings({**ASKED, name: 3}, {name: 3})[name][:2] == ["3", "3"]


def test_what_is_decided_at_the_start_says_so() -> None:
    assert settings(ASKED, {"eval_steps": 7})["eval_steps"][:2] == ["decided at the start", "7"]
