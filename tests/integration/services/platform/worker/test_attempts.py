"""One attempt: its reports in order, what the child is given, how it resumes, what it is told, how its end is named."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from tunebus.contracts.errors import Code, Problem
from tunebus.services.platform.home import Home
from tunebus.services.platform.worker import inputs

from tests.integration.services.platform.worker.conftest import Running
from tests.integration.services.platform.worker.fakes import FakeRegistry, eventually

Start = Callable[..., Running]


def folder_of(home: Home, job: str, attempt: int = 1) -> Path:
    return home.artifacts / "jobs" / job / f"attempt-{attempt}"


async def ended(registry: FakeRegistry, job: str, seconds: float = 30.0) -> dict[str, Any]:
    report = await eventually(lambda: registry.last(job), "the attempt's end", seconds)
    return {"name": report.name, **report.data}


async def test_reports_come_in_order_and_the_ending_last(
    registry: FakeRegistry, start_worker: Start, dataset: Path, home: Home
) -> None:
    job = registry.add_job(dataset, {"steps": 6, "save_every": 2})
    start_worker()
    end = await ended(registry, job)
    checkpoints = ["RecordCheckpoint"] * 3
    assert registry.names(job) == ["ReportAttemptRunning", *checkpoints, "CompleteAttempt"]
    assert [report.data["step"] for report in registry.of(job)[1:4]] == [2, 4, 6]
    assert {report.context for report in registry.of(job)} == {"fine_tuning_job"}
    first = registry.of(job)[1].data
    manifest = home.path(first["uri"]) / "manifest.json"
    assert hashlib.sha256(manifest.read_bytes()).hexdigest() == first["manifest_sha256"]
    assert end["outcome"] == "finished"
    assert end["step"] == 6
    assert end["result_uri"] == home.uri(folder_of(home, job) / "adapter")
    assert end["metrics"] == {"loss": 0.5}


async def test_all_telemetry_is_in_the_stream_before_the_ending(
    registry: FakeRegistry, start_worker: Start, dataset: Path
) -> None:
    job = registry.add_job(dataset, {"steps": 30, "pause": 0.001, "last_words": "done, and said so"})
    seen: list[dict[str, Any]] = []
    start_worker()
    await ended(registry, job)
    seen = await registry.telemetry(job)
    assert [record["n"] for record in seen] == list(range(1, len(seen) + 1))
    assert [record["step"] for record in seen if record["k"] == "metric"] == list(range(1, 31))
    log = "".join(record["text"] for record in seen if record["k"] == "log")
    assert log.endswith("done, and said so\n")


async def test_the_child_gets_no_secret_and_its_share_of_threads(
    registry: FakeRegistry, start_worker: Start, dataset: Path, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_confidential")
    monkeypatch.setenv("TUNEBUS_NATS_URL", "nats://user:confidential@somewhere")
    monkeypatch.setenv("TUNEBUS_HOME", str(home.folder))
    job = registry.add_job(dataset, recipe={"num_cpu": 1})
    start_worker()
    await ended(registry, job)
    environment = json.loads((folder_of(home, job) / "environment.json").read_text())
    assert "confidential" not in json.dumps(environment)
    assert environment["OMP_NUM_THREADS"] == "1"
    assert environment["HF_HUB_OFFLINE"] == "1"
    assert environment["TUNEBUS_HOME"] == str(home.folder)
    assert {name for name in environment if name.startswith("TUNEBUS_")} == {"TUNEBUS_HOME", "TUNEBUS_LIFELINE"}


def make_checkpoint(folder: Path, step: int) -> str:
    """A whole checkpoint; returns the hash of its manifest."""
    folder.mkdir(parents=True)
    (folder / "weights").write_text(f"weights {step}")
    digest = hashlib.sha256((folder / "weights").read_bytes()).hexdigest()
    manifest = json.dumps({"step": step, "files": {"weights": {"size": 1, "sha256": digest}}}).encode()
    (folder / "manifest.json").write_bytes(manifest)
    return hashlib.sha256(manifest).hexdigest()


async def test_it_resumes_from_the_newest_checkpoint_that_is_whole(
    registry: FakeRegistry, start_worker: Start, dataset: Path, home: Home
) -> None:
    old = home.artifacts / "jobs" / "x" / "attempt-1" / "checkpoints"
    checkpoints = [
        {"attempt": 1, "step": step, "uri": home.uri(old / f"step-{step}"), "manifest_sha256": sha}
        for step, sha in ((step, make_checkpoint(old / f"step-{step}", step)) for step in (40, 30, 20, 10))
    ]
    (old / "step-40" / "weights").write_text("damaged")
    (old / "step-30" / "manifest.json").unlink()
    job = registry.add_job(dataset, {"steps": 22}, checkpoints=checkpoints, attempt=2)
    start_worker()
    await ended(registry, job)
    assert registry.of(job)[0].data["resumed_from_step"] == 20
    given = json.loads((folder_of(home, job, 2) / "job.json").read_text())
    assert given["resume_from"] == str(old / "step-20")
    assert given["resume_manifest_sha256"] == checkpoints[2]["manifest_sha256"]


async def test_artifact_uris_reach_the_child_as_absolute_paths(
    registry: FakeRegistry, start_worker: Start, home: Home
) -> None:
    upload = home.artifacts / "uploads" / "rows.jsonl"
    upload.parent.mkdir()
    upload.write_text("{}\n")
    recipe = {
        "dataset": {"location": home.uri(upload), "sha256": hashlib.sha256(upload.read_bytes()).hexdigest()},
        "prompt": {"prompt_template": "artifact:{column}"},
    }
    job = registry.add_job(upload, recipe=recipe)
    start_worker()
    await ended(registry, job)
    given = json.loads((folder_of(home, job) / "job.json").read_text())["recipe"]
    assert given["dataset"]["location"] == str(upload)
    assert given["prompt"]["prompt_template"] == "artifact:{column}"


@pytest.mark.parametrize("change", ["changed", "gone"])
async def test_a_dataset_that_is_not_what_was_added_is_refused_before_training(
    change: str, registry: FakeRegistry, start_worker: Start, dataset: Path, home: Home
) -> None:
    job = registry.add_job(dataset)
    if change == "gone":
        dataset.unlink()
    else:
        dataset.write_text('{"question": "new"}\n')
    start_worker()
    end = await ended(registry, job)
    assert end["name"] == "FailAttempt"
    assert end["cause"] == "bad_data"
    assert str(dataset) in end["message"]
    assert change in end["message"]
    assert end["hint"]
    assert not (folder_of(home, job) / "output.log").exists()


@pytest.mark.parametrize(
    ("play", "cause", "says"),
    [
        ({"end": "crash"}, "crashed", "the sky is falling"),
        ({"end": "kill"}, "killed_by_signal", "SIGKILL"),
        ({"end": "torn"}, "killed_by_signal", "SIGKILL"),
        ({"end": "fail"}, "nan_loss", "the loss is no number"),
        ({"end": "crash", "steps": "x"}, "crashed", "TypeError"),
        ({"end": "kill", "last_words": "OSError: [Errno 28] No space left on device"}, "disk_full", "No space left"),
        ({"end": "kill", "last_words": "torch.OutOfMemoryError: CUDA out of memory"}, "out_of_memory", "CUDA"),
    ],
)
async def test_ends_have_names(
    play: dict[str, Any], cause: str, says: str, registry: FakeRegistry, start_worker: Start, dataset: Path
) -> None:
    job = registry.add_job(dataset, play)
    start_worker()
    end = await ended(registry, job)
    assert end["name"] == "FailAttempt"
    assert end["cause"] == cause
    assert says in end["message"]
    records = await registry.telemetry(job)
    assert [record["n"] for record in records] == list(range(1, len(records) + 1))


async def test_a_crash_carries_the_last_lines_and_the_exit_code(
    registry: FakeRegistry, start_worker: Start, dataset: Path
) -> None:
    job = registry.add_job(dataset, {"end": "crash"})
    start_worker()
    end = await ended(registry, job)
    assert "Traceback" in end["detail"]
    assert end["exit_code"] == 1
    log = "".join(record["text"] for record in await registry.telemetry(job) if record["k"] == "log")
    assert log.rstrip().endswith("RuntimeError: the sky is falling")


async def test_more_memory_than_the_job_may_use_ends_it_by_name(
    registry: FakeRegistry, start_worker: Start, dataset: Path
) -> None:
    job = registry.add_job(dataset, {"end": "hang"}, recipe={"num_memory_gb": 0.001})
    start_worker()
    end = await ended(registry, job)
    assert end["cause"] == "out_of_memory"
    assert "0.001 GiB" in end["message"]


async def test_a_graceful_stop_lets_the_child_save(registry: FakeRegistry, start_worker: Start, dataset: Path) -> None:
    job = registry.add_job(dataset, {"steps": 10_000, "pause": 0.05})
    start_worker()
    await eventually(lambda: registry.names(job), "the attempt runs")
    registry.desired[job] = "stop_after_checkpoint"
    end = await ended(registry, job)
    assert end["name"] == "CompleteAttempt"
    assert end["outcome"] == "stopped"
    assert 0 < end["step"] < 10_000
    assert registry.names(job)[-2:] == ["RecordCheckpoint", "CompleteAttempt"]


async def test_a_stop_is_heard_at_once(registry: FakeRegistry, start_worker: Start, dataset: Path) -> None:
    registry.lease_seconds = 600
    job = registry.add_job(dataset, {"steps": 10_000, "pause": 0.02})
    start_worker()
    await eventually(lambda: registry.of(job), "the attempt runs")
    registry.desired[job] = "stop_after_checkpoint"
    await registry.ring_stop(job)
    assert (await ended(registry, job, 10))["outcome"] == "stopped"


async def test_a_forced_stop_kills_a_child_that_does_not_listen(
    registry: FakeRegistry, start_worker: Start, dataset: Path
) -> None:
    job = registry.add_job(dataset, {"steps": 10_000, "pause": 0.05, "deaf": True})
    start_worker()
    running = await eventually(lambda: registry.of(job), "the attempt runs")
    registry.desired[job] = "kill"
    end = await ended(registry, job)
    assert (end["name"], end["outcome"]) == ("CompleteAttempt", "stopped")
    assert not psutil.pid_exists(running[0].data["resolved"]["pid"])


async def test_an_order_before_the_child_starts_starts_none(
    registry: FakeRegistry, start_worker: Start, dataset: Path, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = threading.Event()

    def check_until_asked(source: dict[str, Any]) -> None:
        assert asked.wait(20), source

    monkeypatch.setattr(inputs, "check_dataset", check_until_asked)
    job = registry.add_job(dataset)
    registry.desired[job] = "kill"
    start_worker()
    await eventually(lambda: registry.beats, "a heartbeat while the inputs are checked")
    await registry.client.flush()
    asked.set()
    end = await ended(registry, job)
    assert (end["name"], end["outcome"]) == ("CompleteAttempt", "stopped")
    assert not (folder_of(home, job) / "output.log").exists()


async def test_a_stale_attempt_ends_its_child_and_reports_nothing(
    registry: FakeRegistry, start_worker: Start, dataset: Path, home: Home
) -> None:
    job = registry.add_job(dataset, {"steps": 10_000, "pause": 0.05})
    start_worker()
    running = await eventually(lambda: registry.of(job), "the attempt runs")
    registry.stale.add((job, 1))
    await eventually(lambda: not psutil.pid_exists(running[0].data["resolved"]["pid"]), "the child's death")
    following = registry.add_job(dataset)
    await registry.ring(following)
    await eventually(lambda: registry.last(following), "the next job's end")
    assert registry.last(job) is None
    assert json.loads((folder_of(home, job) / "ending.json").read_text())["outcome"] == "stale_attempt"


async def test_a_refused_report_ends_a_stale_attempt_too(
    registry: FakeRegistry, start_worker: Start, dataset: Path
) -> None:
    job = registry.add_job(dataset, {"steps": 10_000, "pause": 0.02, "save_every": 20})
    registry.deaf_to_heartbeats = True
    start_worker()
    running = await eventually(lambda: registry.of(job), "the attempt runs")
    registry.stale.add((job, 1))
    await eventually(lambda: not psutil.pid_exists(running[0].data["resolved"]["pid"]), "the child's death")


async def test_a_result_that_the_registry_refuses_fails_the_attempt(
    registry: FakeRegistry, start_worker: Start, dataset: Path
) -> None:
    registry.refusals["CompleteAttempt"] = Problem(code=Code.INVALID, message="the adapter has no weights")
    job = registry.add_job(dataset)
    start_worker()
    end = await ended(registry, job)
    assert end["name"] == "FailAttempt"
    assert "the adapter has no weights" in end["message"]


async def test_a_failure_is_reported_though_its_first_report_is_refused(
    registry: FakeRegistry, start_worker: Start, dataset: Path, home: Home
) -> None:
    registry.refuse_once["FailAttempt"] = Problem(code=Code.MALFORMED, message="a text holds what nobody stores")
    job = registry.add_job(dataset, {"end": "fail"})
    start_worker()
    end = await ended(registry, job)
    assert (end["name"], end["cause"]) == ("FailAttempt", "nan_loss")
    assert "a text holds what nobody stores" in end["message"]
    kept = folder_of(home, job) / "ending.json"
    await eventually(lambda: json.loads(kept.read_text())["outcome"] == "accepted", "the outcome is kept")


async def test_a_folder_in_the_way_is_kept_aside(
    registry: FakeRegistry, start_worker: Start, dataset: Path, home: Home
) -> None:
    job = registry.add_job(dataset)
    old = folder_of(home, job)
    old.mkdir(parents=True)
    (old / "result.json").write_text('{"outcome": "finished", "step": 99}')
    start_worker()
    end = await ended(registry, job)
    assert end["step"] == 3
    [aside] = old.parent.glob("attempt-1.old-*")
    assert (aside / "result.json").exists()


async def test_a_folder_that_cannot_be_made_fails_the_attempt_in_words(
    registry: FakeRegistry, start_worker: Start, dataset: Path, home: Home
) -> None:
    (home.artifacts / "jobs").write_text("a file is in the way")
    job = registry.add_job(dataset)
    start_worker()
    end = await ended(registry, job, 60)
    assert (end["name"], end["cause"]) == ("FailAttempt", "crashed")
    assert "could not be prepared" in end["message"]
