"""Every way an attempt can end has one name."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest
from tunebus.contracts import strictjson
from tunebus.contracts.commands import CompleteAttempt, FailAttempt
from tunebus.services.platform.home import Home
from tunebus.services.platform.worker.child import Exit
from tunebus.services.platform.worker.endings import Told, ending_of, not_started
from tunebus.services.platform.worker.folder import AttemptFolder

CLEAN = Exit(0, None)
KILLED = Exit(None, signal.SIGKILL)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home").create()


@pytest.fixture
def folder(home: Home) -> AttemptFolder:
    path = home.artifacts / "jobs" / "j" / "attempt-1"
    path.mkdir(parents=True)
    return AttemptFolder(path, "j", 1)


def result(folder: AttemptFolder, **document: Any) -> None:
    folder.result_file.write_text(json.dumps(document))


def named(ending: CompleteAttempt | FailAttempt) -> str:
    return ending.outcome if isinstance(ending, CompleteAttempt) else ending.cause


@pytest.mark.parametrize(
    ("left", "told", "name"),
    [
        (Exit(1, None), Told(), "crashed"),
        (CLEAN, Told(), "crashed"),
        (KILLED, Told(), "killed_by_signal"),
        (Exit(None, signal.SIGTERM), Told(), "killed_by_signal"),
        (Exit(None, signal.SIGTERM), Told(stop=True), "stopped"),
        (KILLED, Told(stop=True), "killed_by_signal"),
        (KILLED, Told(kill=True), "stopped"),
        (KILLED, Told(oom_kills=1), "out_of_memory"),
        (Exit(1, None), Told(oom_kills=1), "crashed"),
        (KILLED, Told(memory_limit_gb=2.0), "out_of_memory"),
        (KILLED, Told(shutdown=True), "worker_shutdown"),
        (Exit(None, signal.SIGXFSZ), Told(), "disk_full"),
        (Exit(None, signal.SIGSEGV), Told(), "killed_by_signal"),
        (None, Told(), "worker_shutdown"),
    ],
)
def test_without_a_result(folder: AttemptFolder, home: Home, left: Exit | None, told: Told, name: str) -> None:
    assert named(ending_of(folder, home, left, told)) == name


@pytest.mark.parametrize(
    ("outcome", "told", "name"),
    [
        ("finished", Told(), "finished"),
        ("finished", Told(shutdown=True), "finished"),
        ("finished", Told(kill=True), "finished"),
        ("stopped", Told(stop=True), "stopped"),
        ("stopped", Told(stop=True, shutdown=True), "stopped"),
        ("stopped", Told(shutdown=True), "worker_shutdown"),
        ("stopped", Told(), "worker_shutdown"),
    ],
)
def test_with_a_result(folder: AttemptFolder, home: Home, outcome: str, told: Told, name: str) -> None:
    result(folder, outcome=outcome, step=3, result="adapter", result_sha256="0" * 64, metrics={"loss": "NaN"})
    for left in (CLEAN, KILLED, None):
        assert named(ending_of(folder, home, left, told)) == name


def test_a_result_says_where_it_lies_and_only_finite_numbers(folder: AttemptFolder, home: Home) -> None:
    metrics = '{"loss": 0.5, "perplexity": NaN, "huge": 1e999}'
    folder.result_file.write_text(
        f'{{"outcome": "finished", "step": 3, "result": "adapter", "result_sha256": null, "metrics": {metrics}}}'
    )
    ending = ending_of(folder, home, CLEAN, Told())
    assert isinstance(ending, CompleteAttempt)
    assert ending.result_uri == "artifact:jobs/j/attempt-1/adapter"
    assert ending.metrics == {"loss": 0.5, "perplexity": None, "huge": None}


def test_a_failure_is_passed_on_without_secrets(folder: AttemptFolder, home: Home) -> None:
    result(folder, outcome="failed", cause="bad_data", message="no rows, hf_abcdefghijklmnop", detail="d", hint="h")
    ending = ending_of(folder, home, Exit(1, None), Told())
    assert isinstance(ending, FailAttempt)
    assert ending.cause == "bad_data"
    assert ending.hint == "h"
    assert "hf_abc" not in ending.message
    assert ending.exit_code == 1


@pytest.mark.parametrize("said", ["\0 zero page", "half a pair \ud800"])
def test_a_failure_can_be_sent_whatever_the_child_printed(folder: AttemptFolder, home: Home, said: str) -> None:
    folder.output.write_bytes(said.encode("utf-8", "replace"))
    result(folder, outcome="failed", cause="bad_data", message=said, detail=said, hint=said)
    silent = AttemptFolder(folder.path.with_name("attempt-2"), "j", 2)
    silent.path.mkdir()
    silent.output.write_bytes(said.encode("utf-8", "replace"))
    for ending in (ending_of(folder, home, Exit(1, None), Told()), ending_of(silent, home, KILLED, Told())):
        assert isinstance(ending, FailAttempt)
        assert strictjson.loads(strictjson.dumps(ending.model_dump(mode="json")))["cause"] == ending.cause


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '{"outcome": "won"}',
        '{"outcome": "failed", "cause": "bored", "message": "m"}',
        '{"outcome": "finished", "step": "x"}',
    ],
)
def test_a_result_that_is_none_counts_as_none(folder: AttemptFolder, home: Home, text: str) -> None:
    folder.result_file.write_text(text)
    assert named(ending_of(folder, home, Exit(1, None), Told())) == "crashed"


def test_a_crash_without_output_still_says_something(folder: AttemptFolder, home: Home) -> None:
    ending = ending_of(folder, home, Exit(3, None), Told())
    assert isinstance(ending, FailAttempt)
    assert "exit code 3" in ending.message


def test_long_output_is_cut_to_its_end(folder: AttemptFolder, home: Home) -> None:
    folder.output.write_text("".join(f"line {n}\n" for n in range(10_000)))
    ending = ending_of(folder, home, Exit(1, None), Told())
    assert isinstance(ending, FailAttempt)
    assert ending.detail.endswith("line 9999")
    assert len(ending.detail) <= 8000
    assert ending.detail.startswith("line ")


@pytest.mark.parametrize(
    ("told", "name"),
    [(Told(kill=True), "stopped"), (Told(stop=True), "stopped"), (Told(shutdown=True), "worker_shutdown")],
)
def test_an_attempt_that_never_had_a_child(folder: AttemptFolder, told: Told, name: str) -> None:
    assert named(not_started(folder, told)) == name
