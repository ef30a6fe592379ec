"""What a child's folder says is reported once, when it is whole, and always in the same words."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from tunebus.contracts.commands import RecordCheckpoint, ReportAttemptRunning
from tunebus.services.platform.home import Home
from tunebus.services.platform.worker.findings import Findings
from tunebus.services.platform.worker.folder import AttemptFolder


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home").create()


@pytest.fixture
def folder(home: Home) -> AttemptFolder:
    path = home.artifacts / "jobs" / "j" / "attempt-1"
    path.mkdir(parents=True)
    return AttemptFolder(path, "j", 1)


def save(folder: AttemptFolder, step: int, manifest: str | None = None) -> Path:
    target = folder.checkpoints / f"step-{step:08d}"
    target.mkdir(parents=True, exist_ok=True)
    document = {"step": step, "files": {}, "metrics": {"loss": 0.5, "eval_loss": None}}
    (target / "manifest.json").write_text(manifest if manifest is not None else json.dumps(document))
    return target


def test_a_run_is_reported_once(folder: AttemptFolder, home: Home) -> None:
    findings = Findings(folder, home)
    assert list(findings.new()) == []
    folder.running_file.write_text('{"total_steps": 9, "resumed_from_step": 3, "resolved": {"x": NaN}, "extra": 1}')
    [(report, step)] = findings.new()
    assert isinstance(report, ReportAttemptRunning)
    assert (report.total_steps, report.resumed_from_step, step) == (9, 3, 0)
    assert report.resolved == {"x": "NaN"}
    assert list(findings.new()) == []


def test_checkpoints_count_once_their_manifest_is_there(folder: AttemptFolder, home: Home) -> None:
    findings = Findings(folder, home)
    (folder.checkpoints / "step-00000004").mkdir(parents=True)
    (folder.checkpoints / ".tmp-step-00000006").mkdir()
    assert list(findings.new()) == []
    target = save(folder, 4)
    [(report, step)] = findings.new()
    assert isinstance(report, RecordCheckpoint)
    assert step == report.step == 4
    assert report.uri == "artifact:jobs/j/attempt-1/checkpoints/step-00000004"
    assert report.manifest_sha256 == hashlib.sha256((target / "manifest.json").read_bytes()).hexdigest()
    assert (report.loss, report.eval_loss) == (0.5, None)
    assert list(findings.new()) == []


def test_they_come_in_the_order_of_steps(folder: AttemptFolder, home: Home) -> None:
    for step in (100, 20, 3):
        save(folder, step)
    assert [step for _, step in Findings(folder, home).new()] == [3, 20, 100]


@pytest.mark.parametrize("manifest", ["{", "[]", "{}", '{"step": 0}', '{"step": 4, "metrics": 3}'])
def test_a_manifest_that_is_none_is_passed_over(folder: AttemptFolder, home: Home, manifest: str) -> None:
    save(folder, 4, manifest)
    save(folder, 8)
    assert [step for _, step in Findings(folder, home).new()] == [8]


def test_a_home_behind_a_link_has_the_same_names(home: Home, folder: AttemptFolder, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(home.folder)
    linked = Home(tmp_path / "link")
    save(folder, 4)
    path = linked.artifacts / "jobs" / "j" / "attempt-1"
    [(report, _)] = Findings(AttemptFolder(path, "j", 1), linked).new()
    assert isinstance(report, RecordCheckpoint)
    assert report.uri == "artifact:jobs/j/attempt-1/checkpoints/step-00000004"
