"""The full story of a fine-tuning, typed at the command line: `python docs/story.py` (what it shows is in story.md).

It starts a studio on an empty home, drives it with nothing but `tunebus … --json`, and ends with an error where
anything is not as told. STORY_DATA names a file of questions and answers, one JSON object a line; the other settings
are below.
"""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any


def setting(name: str, default: str) -> str:
    return os.environ.get(f"STORY_{name}", default)


DATA = Path(setting("DATA", "questions.jsonl")).expanduser().absolute()
PROMPT, ANSWER = setting("PROMPT", "question"), setting("ANSWER", "answer")  # the file's columns
STEPS = int(setting("STEPS", "200"))
SAVE_STEPS = int(setting("SAVE_STEPS", str(max(1, STEPS // 10))))
BATCH_SIZE = int(setting("BATCH_SIZE", "8"))
MAX_LENGTH = int(setting("MAX_LENGTH", "256"))
ROWS = int(setting("ROWS", "100"))  # held-out rows to score
NEW_TOKENS = int(setting("NEW_TOKENS", "64"))
TUNEBUS = (sys.executable, "-m", "tunebus.ui.cli.app")


class Studio:
    """One studio on one home, and the command line that speaks to it."""

    def __init__(self, home: Path, **environment: str) -> None:
        self.home = home
        self._environment = {**os.environ, "TUNEBUS_HOME": str(home), **environment}

    @contextlib.contextmanager
    def up(self) -> Iterator[Studio]:
        process = subprocess.Popen(
            [*TUNEBUS, "up", "--no-ui", "--json"], env=self._environment, stdout=subprocess.PIPE, text=True
        )
        try:
            assert process.stdout is not None
            check(process.stdout.readline().startswith("{"), "the studio is up")
            yield self
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(60)

    def lines(self, *words: str, code: int = 0) -> list[Any]:
        """The JSON documents that a command prints, one a line. It must end with `code`."""
        began = time.monotonic()
        done = subprocess.run(
            [*TUNEBUS, *words, "--json"], env=self._environment, capture_output=True, text=True, check=False
        )
        print(f"$ tunebus {shlex.join(words)}   # {time.monotonic() - began:.1f} s", flush=True)
        if done.returncode != code:
            sys.exit(f"ended with {done.returncode}, not {code}: {done.stderr or done.stdout}")
        return [json.loads(line) for line in done.stdout.splitlines()]

    def __call__(self, *words: str, code: int = 0) -> dict[str, Any]:
        """The last of them: the answer, or how it ended."""
        found = self.lines(*words, code=code)
        return dict(found[-1]) if found else {}

    def follow(self, *words: str, until: Callable[[dict[str, Any]], bool]) -> None:
        """Read what a command prints line by line, until it has said what is waited for."""
        print(f"$ tunebus {shlex.join(words)}   # until it is so", flush=True)
        command = [*TUNEBUS, *words, "--json"]
        with subprocess.Popen(command, env=self._environment, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            found = any(until(json.loads(line)) for line in process.stdout)
            process.terminate()
        check(found, "it is so")


def check(holds: object, what: str) -> None:
    print(f"  {'ok' if holds else 'NOT SO'}: {what}", flush=True)
    if not holds:
        sys.exit(1)


def prepare(tunebus: Studio) -> None:
    """Add the file by upload under the names of a known format, and look at what would carry loss."""
    added = ("events", "tail", "--from", "1", "--aggregate", "model")
    tunebus.follow(*added, until=lambda event: event["type"] == "ModelAdded" and event["data"]["name"] == "starter")
    mapping = ("--column-mapping", f"prompt={PROMPT}", "--column-mapping", f"completion={ANSWER}")
    tunebus("dataset", "add", str(DATA), "--name", "story", "--upload", *mapping)
    dataset = tunebus("dataset", "show", "story")
    check(dataset["features"][:2] == ["prompt", "completion"], f"{dataset['rows']} rows with the columns mapped")

    limits = ("--limit", "2", "--max-length", str(MAX_LENGTH))
    found = tunebus("dataset", "preview", "story", "--model", "starter", *limits)
    for row, shown in zip(found["rows"], found["tokenized"], strict=True):
        loss = "".join(piece["text"] for piece in shown["pieces"] if piece["loss"])
        context = "".join(piece["text"] for piece in shown["pieces"] if not piece["loss"])
        whole = row["completion"] in loss if not shown["more"] else row["completion"].startswith(loss)
        check(whole, "the answer carries loss")
        check(row["prompt"][:40] in context and row["prompt"][:40] not in loss, "the question carries none")
    share = found["token_lengths"]["truncated_share"]
    print(f"  {share:.1%} of the rows are longer than {MAX_LENGTH} tokens")


def train(tunebus: Studio) -> dict[str, Any]:
    """Train, stop on the way, resume to the end, and branch from a checkpoint at a lower rate."""
    shape = ("--batch-size", str(BATCH_SIZE), "--max-length", str(MAX_LENGTH), "--seed", "7")
    often = ("--save-steps", str(SAVE_STEPS), "--eval-steps", str(SAVE_STEPS), "--learning-rate", "2e-3")
    length = ("--max-steps", str(STEPS), "--eval-samples", "0")
    chosen = ("--model", "starter", "--dataset", "story", "--adapter-name", "story")
    tunebus("train", "start", *chosen, *shape, *often, *length)
    tunebus.follow("train", "watch", "story", until=lambda job: bool((job["progress"] or {}).get("step")))
    tunebus("train", "stop", "story")
    tunebus("train", "watch", "story", code=5)
    stopped = tunebus("train", "show", "story")
    check(0 < stopped["step"] < STEPS, f"stopped at step {stopped['step']} of {STEPS}")

    tunebus("train", "resume", "story", "--watch")
    job = tunebus("train", "show", "story")
    resumed = job["attempts_made"][-1]["resumed_from_step"]
    check(job["state"] == "succeeded" and job["step"] == STEPS, f"resumed from step {resumed} to {job['step']}")
    check(resumed == stopped["step"], "no step was done twice")

    step = max(one["step"] for one in job["checkpoints"] if one["step"] < STEPS)  # the last few are kept
    changes = ("--set", "learning_rate=5e-4", "--set", f"max_steps={max(1, STEPS // 2)}")
    branching = ("--step", str(step), *changes, "--adapter-name", "story-branch", "--watch")
    branch = tunebus("train", "branch", "story", *branching)
    check(branch["state"] == "succeeded", f"branched from step {step}")
    origin = tunebus("train", "show", "story-branch")["origin"]
    check((origin["kind"], origin["step"]) == ("branch", step), f"the difference is shown: {origin['difference']}")
    return job


def evaluate(tunebus: Studio) -> None:
    """Score the base and both adapters on rows that neither has seen."""
    generation = ("--generation", json.dumps({"max_new_tokens": NEW_TOKENS}))
    compared = ("--adapter", "story", "--adapter", "story-branch", "--leakage", "exclude")
    parent = tunebus("eval", "start", *compared, "--max-rows", str(ROWS), *generation)["id"]
    tunebus("eval", "watch", parent)
    found = tunebus("eval", "compare", parent)
    check(len(found["combinations"]) == 3, "three combinations are scored")
    loss = next(metric for metric in found["metrics"] if metric["name"] == "loss")["values"]
    check(loss[1] < loss[0], f"loss of the answers: base {loss[0]:.3f}, story {loss[1]:.3f}, branch {loss[2]:.3f}")


def export(tunebus: Studio) -> None:
    """Merge the adapter into its base; reloaded, it must answer as before."""
    job_id = tunebus("export", "start", "--adapter", "story", "--type", "merged")["id"]
    tunebus("export", "watch", job_id)
    job = tunebus("export", "show", job_id)
    checked = job["checked"]
    check(checked["equal"] == checked["prompts"], f"{checked['equal']} of {checked['prompts']} answers are the same")


def rerun(tunebus: Studio) -> None:
    """Train again from the recorded recipe, from the first step on, and compare the curves."""
    found = tunebus("train", "rerun", "story")
    where = f" from step {found['step']} on" if found["step"] is not None else ""
    check(found["points"] > 0, f"{found['points']} points of {', '.join(found['compared'])}: {found['verdict']}{where}")
    check(found["verdict"] == "equal", f"largest relative difference {found['max_difference']:g}")


def projections(document: Path) -> dict[str, list[Any]]:
    """What a studio knows: the rows of every table, which it made of its events."""
    found: dict[str, list[Any]] = json.loads(document.read_text())["projections"]
    return found


def main(folder: Path) -> None:
    document, again = folder / "story.json", folder / "story-again.json"
    with Studio(folder / "studio").up() as tunebus:
        prepare(tunebus)
        train(tunebus)
        evaluate(tunebus)
        export(tunebus)
        rerun(tunebus)
        exported = tunebus("db", "export", str(document), "--projections")
    with Studio(folder / "elsewhere", TUNEBUS_LOAD_DEFAULTS="false").up() as tunebus:
        taken = tunebus("db", "import", str(document))
        check(taken["added"] == exported["events"] and not taken["refused"], f"{taken['added']} events are imported")
        check(len(tunebus("train", "list")["items"]) == 3, "its jobs are listed")
        tunebus("db", "export", str(again), "--projections")
    here, there = projections(document), projections(again)
    check(here["fine_tuning_jobs"] and here["adapters"], "there is something to compare")
    for table, rows in here.items():
        check(rows == there[table], f"{table}: {len(rows)} rows are as they were")
    print("the end")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="tunebus-story-") as made:
        main(Path(setting("FOLDER", made)))
