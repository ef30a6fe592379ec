"""The training child as a process: its files, its resume, its ends, whatever it is killed by."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tunebus.contracts.recipes import ChildJob
from tunebus.contracts.telemetry import TelemetryBatch, batch_bytes
from tunebus.services.platform.child.files import folder_sha256
from tunebus.services.trainer import checkpoints

from tests.fixtures.children import DEADLINE, Child, records, training_recipe, write_job

StartChild = Callable[..., Child]


@pytest.fixture(scope="module")
def finished(tiny_model: Path, questions: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Child]:
    """One undisturbed run of 20 steps, looked at by several tests."""
    folder = tmp_path_factory.mktemp("finished")
    write_job(folder, training_recipe(tiny_model, questions, logging_steps=1))
    child = Child(folder)
    try:
        assert child.wait() == 0, child.output()
        yield child
    finally:
        child.kill()


class TestFinished:
    def test_the_result_names_the_adapter_and_its_hash(self, finished: Child) -> None:
        result = finished.result()
        assert (result["outcome"], result["step"], result["result"]) == ("finished", 20, "adapter")
        assert result["result_sha256"] == folder_sha256(finished.folder / "adapter")
        assert result["metrics"]["eval_loss"] < result["metrics"]["eval_loss_before"]
        assert all(isinstance(value, float) for value in result["metrics"].values())

    def test_running_says_what_it_really_runs_with(self, finished: Child) -> None:
        running = json.loads((finished.folder / "running.json").read_text())
        assert (running["total_steps"], running["resumed_from_step"]) == (20, 0)
        resolved = running["resolved"]
        assert (resolved["learning_rate"], resolved["precision"], resolved["device"]) == (1e-3, "float32", "cpu")
        assert (resolved["train"]["rows"], resolved["held_out"]["rows"]) == (48, 12)
        assert resolved["train"]["truncated"] == resolved["train"]["without_answer"] == 0
        assert resolved["max_length"] == max(resolved["train"]["longest"], resolved["held_out"]["longest"])
        assert {"torch", "transformers", "trl", "peft", "python"} <= set(running["versions"])
        metrics = finished.result()["metrics"]
        for name in ("parameters", "trainable_parameters"):
            assert resolved[name] == metrics[name] > 0
        assert resolved["layers"] > 0

    def test_telemetry_is_of_the_contract_and_complete(self, finished: Child) -> None:
        lines = (finished.folder / "telemetry.jsonl").read_bytes().splitlines()
        batch = TelemetryBatch.model_validate_json(batch_bytes("j", 1, lines))
        assert [record.n for record in batch.records] == list(range(1, len(lines) + 1))
        for name in ("loss", "learning_rate", "grad_norm", "epoch", "token_accuracy", "tokens", "tokens_per_second"):
            assert sorted(finished.curve(name)) == list(range(1, 21))
        for name in ("eval_loss", "eval_token_accuracy", "eval_seconds"):
            assert sorted(finished.curve(name)) == [0, 10, 20]
        assert all(0 <= share <= 1 for share in finished.curve("token_accuracy").values())
        phases = [record["phase"] for record in finished.records("progress")]
        assert phases[0] == "loading"
        assert {"preparing", "training", "evaluating", "saving"} <= set(phases)
        steps = [record["step"] for record in finished.records("progress") if record["phase"] == "training"]
        assert steps == sorted(steps)
        assert steps[-1] == 20

    def test_tokens_are_those_of_the_rows(self, finished: Child) -> None:
        resolved = json.loads((finished.folder / "running.json").read_text())["resolved"]
        tokens, metrics = finished.curve("tokens"), finished.result()["metrics"]
        epoch = resolved["steps_per_epoch"]
        assert list(tokens.values()) == sorted(tokens.values())
        assert metrics["tokens"] == tokens[20]
        assert 0 < tokens[epoch] <= resolved["train"]["rows"] * resolved["train"]["longest"]
        assert tokens[epoch + 1] - tokens[epoch] < tokens[epoch]
        speeds = finished.curve("tokens_per_second").values()
        assert min(speeds) <= metrics["tokens_per_second"] <= max(speeds)
        assert metrics["eval_seconds"] == pytest.approx(sum(finished.curve("eval_seconds").values()) / 3)

    def test_log_records_are_the_output(self, finished: Child) -> None:
        logs = finished.records("log")
        assert "".join(record["text"] for record in logs) == finished.output()
        assert "adapter tiny saved" in finished.output()
        assert "Traceback" not in finished.output()

    def test_system_use_is_sampled(self, finished: Child) -> None:
        assert finished.records("system")[-1]["values"]["rss_bytes"] > 50e6

    def test_checkpoints_verify_and_know_their_losses(self, finished: Child) -> None:
        found = checkpoints.whole(finished.folder / "checkpoints")
        assert [manifest.step for _, manifest in found] == [5, 10, 15, 20]
        assert all(checkpoints.verify(folder) for folder, _ in found)
        for _, manifest in found:
            assert manifest.metrics["loss"] == finished.curve()[manifest.step]
            assert manifest.metrics["eval_loss"] == finished.curve("eval_loss").get(manifest.step)

    def test_the_adapter_is_safetensors_and_tells_no_path(self, finished: Child, tiny_model: Path) -> None:
        names = {path.name for path in (finished.folder / "adapter").iterdir()}
        assert {"adapter_config.json", "adapter_model.safetensors", "tokenizer.json"} <= names
        assert not [name for name in names if name.endswith((".bin", ".pt", ".pth", ".pkl"))]
        config = (finished.folder / "adapter" / "adapter_config.json").read_text()
        assert json.loads(config)["base_model_name_or_path"] == tiny_model.name
        assert str(tiny_model.parent) not in config

    def test_nothing_half_written_is_left(self, finished: Child) -> None:
        assert not list(finished.folder.glob("**/.tmp-*"))
        assert not list(finished.folder.glob("**/*.new"))


def test_a_resumed_run_has_the_curve_of_an_undisturbed_one(finished: Child, start_child: StartChild) -> None:
    """Also over the end of an epoch: 12 steps make one."""
    checkpoint = finished.folder / "checkpoints" / "step-00000010"
    job = ChildJob.model_validate_json((finished.folder / "job.json").read_bytes())
    child = start_child(
        job.recipe,
        attempt=2,
        resume_from=str(checkpoint),
        resume_manifest_sha256=checkpoints.manifest_sha256(checkpoint),
    )
    assert child.wait() == 0, child.output()
    assert json.loads((child.folder / "running.json").read_text())["resumed_from_step"] == 10
    for name in ("loss", "learning_rate", "grad_norm", "token_accuracy", "tokens"):
        ours, theirs = child.curve(name), finished.curve(name)
        assert sorted(ours) == list(range(11, 21))
        assert max(abs(ours[step] - theirs[step]) for step in ours) < 1e-4, name
    assert child.result()["metrics"]["eval_loss"] == pytest.approx(finished.result()["metrics"]["eval_loss"], abs=1e-4)


def test_a_death_inside_a_checkpoint_costs_at_most_the_steps_since_the_last(
    tiny_model: Path, questions: Path, start_child: StartChild
) -> None:
    recipe = training_recipe(tiny_model, questions, max_steps=60, save_steps=2, save_total_limit=100)
    first = start_child(recipe)
    root = first.folder / "checkpoints"
    first.until(lambda: len(checkpoints.whole(root)) >= 2 and list(root.glob(".tmp-*")))
    os.killpg(first.process.pid, signal.SIGKILL)
    first.wait()
    assert not (first.folder / "result.json").exists()
    reached = max(first.curve())
    newest, manifest = [pair for pair in checkpoints.whole(root) if checkpoints.verify(pair[0])][-1]
    assert reached - manifest.step <= 2

    second = start_child(
        recipe,
        name="attempt-2",
        attempt=2,
        resume_from=str(newest),
        resume_manifest_sha256=checkpoints.manifest_sha256(newest),
    )
    assert second.wait() == 0, second.output()
    assert sorted(second.curve()) == list(range(manifest.step + 1, 61))
    assert second.result()["step"] == 60


def test_a_stop_finishes_the_step_and_saves(tiny_model: Path, questions: Path, start_child: StartChild) -> None:
    child = start_child(training_recipe(tiny_model, questions, max_steps=100_000, save_steps=50_000))
    child.until(lambda: len(child.curve()) >= 3)
    child.process.send_signal(signal.SIGTERM)
    assert child.wait() == 0, child.output()
    result = child.result()
    assert (result["outcome"], result["result"]) == ("stopped", None)
    (pair,) = checkpoints.whole(child.folder / "checkpoints")
    assert pair[1].step == result["step"] == max(child.curve())
    assert checkpoints.verify(pair[0])


def test_a_stop_while_loading_is_heard(tiny_model: Path, questions: Path, start_child: StartChild) -> None:
    child = start_child(training_recipe(tiny_model, questions))
    child.until(lambda: child.records("progress"))
    child.process.send_signal(signal.SIGTERM)
    assert child.wait() == 0, child.output()
    assert (child.result()["outcome"], child.result()["step"]) == ("stopped", 0)


def test_a_loss_that_is_no_number_ends_the_job(tiny_model: Path, questions: Path, start_child: StartChild) -> None:
    child = start_child(training_recipe(tiny_model, questions, learning_rate=1e30, max_grad_norm=0.0, warmup_ratio=0.0))
    assert child.wait() == 1, child.output()
    result = child.result()
    assert (result["outcome"], result["cause"]) == ("failed", "nan_loss")
    assert "at step" in result["message"]
    assert "learning rate" in result["hint"]
    assert "NaN" in {record["values"].get("loss") for record in child.records("metric")} | {
        record["values"].get("grad_norm") for record in child.records("metric")
    }
    for folder, _ in checkpoints.whole(child.folder / "checkpoints"):
        assert checkpoints.verify(folder)


def test_the_memory_limit_is_kept(tiny_model: Path, questions: Path, start_child: StartChild) -> None:
    child = start_child(training_recipe(tiny_model, questions, num_memory_gb=0.15))
    assert child.wait() == 1, child.output()
    result = child.result()
    assert result["cause"] == "out_of_memory"
    assert "num_memory of 0.15 GiB" in result["message"]


def test_a_full_disk_is_named(tiny_model: Path, questions: Path, start_child: StartChild) -> None:
    child = start_child(training_recipe(tiny_model, questions, lora={"r": 64}), file_limit=100_000)
    assert child.wait() == 1, child.output()
    assert child.result()["cause"] == "disk_full"
    assert checkpoints.whole(child.folder / "checkpoints") == []
    assert not list(child.folder.glob("**/.tmp-*"))


def test_changed_data_fails_before_anything_is_loaded(
    tiny_model: Path, questions: Path, tmp_path: Path, start_child: StartChild
) -> None:
    rows = tmp_path / "questions.jsonl"
    rows.write_bytes(questions.read_bytes())
    recipe = training_recipe(tiny_model, rows)
    with rows.open("ab") as file:
        file.write(b'{"question": "x", "answer": "y"}\n')
    child = start_child(recipe)
    assert child.wait() == 1, child.output()
    result = child.result()
    assert result["cause"] == "bad_data"
    assert "has changed since it was added" in result["message"]
    assert result["detail"] == ""
    assert not (child.folder / "running.json").exists()


def test_a_checkpoint_that_is_not_whole_is_not_resumed(
    finished: Child, tmp_path: Path, start_child: StartChild
) -> None:
    copy = tmp_path / "step-00000010"
    original = finished.folder / "checkpoints" / "step-00000010"
    copy.mkdir()
    for path in original.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    (copy / "optimizer.pt").write_bytes(b"")
    job = json.loads((finished.folder / "job.json").read_text())
    recorded = hashlib.sha256((original / "manifest.json").read_bytes()).hexdigest()
    child = start_child(job["recipe"], resume_from=str(copy), resume_manifest_sha256=recorded)
    assert child.wait() == 1, child.output()
    result = child.result()
    assert result["cause"] == "bad_checkpoint"
    assert result["message"] == "optimizer.pt of step-00000010 is not as it was written"
    assert (result["detail"], bool(result["hint"])) == ("", True)


class TestLifeline:
    def test_a_closed_pipe_ends_the_child(self, tiny_model: Path, questions: Path, start_child: StartChild) -> None:
        child = start_child(training_recipe(tiny_model, questions, max_steps=100_000))
        child.until(lambda: child.records("progress"))
        assert child.process.stdin is not None
        child.process.stdin.close()
        assert child.wait(10) == -signal.SIGKILL
        assert not (child.folder / "result.json").exists()

    @pytest.mark.skipif(sys.platform != "linux", reason="PDEATHSIG is Linux's")
    def test_a_killed_supervisor_takes_the_child_with_it(
        self, tiny_model: Path, questions: Path, tmp_path: Path
    ) -> None:
        """The pipe stays open here: another process holds its other end."""
        job = write_job(tmp_path / "attempt-1", training_recipe(tiny_model, questions, max_steps=100_000))
        reading, writing = os.pipe()
        code = (
            "import subprocess, sys, time\n"
            "child = subprocess.Popen(sys.argv[1:], stdin=0, start_new_session=True)\n"
            "print(child.pid, flush=True)\n"
            "time.sleep(600)\n"
        )
        supervisor = subprocess.Popen(
            [sys.executable, "-c", code, sys.executable, "-m", "tunebus.services.trainer.run", str(job)],
            stdin=reading,
            stdout=subprocess.PIPE,
            env={**os.environ, "TUNEBUS_LIFELINE": "stdin", "OMP_NUM_THREADS": "1"},
        )
        try:
            assert supervisor.stdout is not None
            pid = int(supervisor.stdout.readline())
            wait_for(lambda: records(job.parent, "progress"))
            supervisor.kill()
            supervisor.wait()
            wait_for(lambda: is_gone(pid))
        finally:
            supervisor.kill()
            os.close(reading)
            os.close(writing)

    def test_by_hand_a_closed_input_means_nothing(self, tiny_model: Path, questions: Path, tmp_path: Path) -> None:
        rows = tmp_path / "missing.jsonl"
        rows.write_text('{"question": "x", "answer": "y"}\n')
        job = write_job(tmp_path / "attempt-1", training_recipe(tiny_model, rows))
        rows.unlink()
        environment = {name: value for name, value in os.environ.items() if name != "TUNEBUS_LIFELINE"}
        done = subprocess.run(
            [sys.executable, "-m", "tunebus.services.trainer.run", str(job)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env=environment,
            timeout=DEADLINE,
        )
        assert done.returncode == 1
        assert "there is no file" in done.stdout
        assert json.loads((job.parent / "result.json").read_text())["cause"] == "bad_data"


class TestJobFile:
    @pytest.mark.parametrize(
        ("body", "words"),
        [("{", "not JSON"), ('{"kind": "fine_tuning_job"}', "job_id: is required"), ("", "empty")],
    )
    def test_a_job_that_is_none(self, tmp_path: Path, body: str, words: str) -> None:
        (tmp_path / "job.json").write_text(body)
        done = self.run(tmp_path / "job.json")
        assert done.returncode == 2
        assert words in done.stderr
        assert "Traceback" not in done.stderr

    def test_another_kind_of_job(self, tmp_path: Path) -> None:
        job = write_job(tmp_path, {}, "evaluation_job")
        assert "does a fine_tuning_job, not a evaluation_job" in self.run(job).stderr

    def test_no_job_at_all(self, tmp_path: Path) -> None:
        done = self.run(tmp_path / "nothing.json")
        assert (done.returncode, "No such file" in done.stderr) == (2, True)
        assert "usage:" in self.run().stderr

    def run(self, *arguments: Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "tunebus.services.trainer.run", *map(str, arguments)],
            capture_output=True,
            text=True,
            timeout=DEADLINE,
        )


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def is_gone(pid: int) -> bool:
    """Whether no process has this pid, a dead one that nobody waits for aside."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return True
    return stat.rpartition(")")[2].split()[0] == "Z"
