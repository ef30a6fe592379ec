"""The main job as `make demo` runs it, and that the fine-tuning is worth it: the figures, not only the way."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from tunebus.services.platform.home import STARTER_PACK
from tunebus.services.platform.rows.split import sample_and_split

from tests.fixtures.studio import Studio


@pytest.mark.timeout(900)
def test_the_demo_ends_with_an_adapter_that_answers_questions_it_never_saw(tmp_path: Path) -> None:
    studio = Studio(tmp_path / "home", {})
    done = subprocess.run(
        [sys.executable, "-m", "tunebus.services.launcher.demo", "--json", "--home", str(studio.home)],
        env=studio.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert studio.processes() == []
    jobs = {job["adapter_id"] is not None: job for job in json.loads(done.stdout)["jobs"]}
    base, tuned = jobs[False]["metrics"], jobs[True]["metrics"]
    print({name: (base[name], tuned[name]) for name in ("loss", "perplexity", "exact_match", "rouge_l")})

    assert base["rows"] == tuned["rows"] >= 100
    assert tuned["loss"] <= 0.7 * base["loss"]
    assert tuned["exact_match"] >= always_the_most_frequent_answer() + 0.15


def always_the_most_frequent_answer() -> float:
    """The share of held-out rows that the training part's most frequent answer gets right."""
    recommended = json.loads((STARTER_PACK / "recommended.json").read_text())
    answers = [json.loads(line)["answer"] for line in (STARTER_PACK / "questions.jsonl").read_text().splitlines()]
    parts = sample_and_split(
        len(answers), fraction=1.0, train_share=recommended["train_test_split"], seed=recommended["seed"]
    )
    most_frequent, _ = Counter(answers[row] for row in parts.train).most_common(1)[0]
    return sum(answers[row] == most_frequent for row in parts.test) / len(parts.test)


def test_the_demo_s_environment_is_all_it_needs(tmp_path: Path) -> None:
    """An unknown variable is refused before anything is started."""
    done = subprocess.run(
        [sys.executable, "-m", "tunebus.services.launcher.demo", "--home", str(tmp_path / "home")],
        env={**os.environ, "TUNEBUS_HOEM": "x"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 3, done.stderr
    assert "TUNEBUS_HOME" in done.stderr
    assert not (tmp_path / "home").exists() or list((tmp_path / "home").glob("*.db")) == []
