"""A checkpoint counts only when it is whole."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from tunebus.services.trainer import checkpoints


def fill(folder: Path) -> None:
    (folder / "adapter").mkdir()
    (folder / "adapter" / "weights.bin").write_bytes(b"w" * 1000)
    (folder / "state.json").write_text("{}")


def make(root: Path, step: int, eval_loss: float | None = None) -> Path:
    return checkpoints.write(root, step, fill, {"loss": 1.0, "eval_loss": eval_loss})


def test_what_was_written_verifies(tmp_path: Path) -> None:
    folder = make(tmp_path, 40, 0.5)
    assert folder.name == "step-00000040"
    assert checkpoints.verify(folder, checkpoints.manifest_sha256(folder))
    manifest = checkpoints.read(folder)
    assert (manifest.step, manifest.metrics) == (40, {"loss": 1.0, "eval_loss": 0.5})
    assert sorted(manifest.files) == ["adapter/weights.bin", "state.json"]


def flip(folder: Path) -> None:
    path = folder / "adapter" / "weights.bin"
    path.write_bytes(b"v" + path.read_bytes()[1:])


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (flip, "weights.bin of step-00000001 is not as it was written"),
        (lambda folder: (folder / "state.json").write_text(""), "state.json"),
        (lambda folder: (folder / "state.json").unlink(), "lacks state.json"),
        (lambda folder: (folder / "manifest.json").unlink(), "no readable manifest"),
        (lambda folder: (folder / "manifest.json").write_text("{"), "cannot be read"),
        (lambda folder: (folder / "manifest.json").write_text("[]"), "cannot be read"),
    ],
)
def test_any_damage_is_found(tmp_path: Path, damage: Callable[[Path], object], reason: str) -> None:
    folder = make(tmp_path, 1)
    damage(folder)
    assert not checkpoints.verify(folder)
    with pytest.raises(checkpoints.BrokenCheckpoint, match=reason):
        checkpoints.read(folder)


def test_another_manifest_than_the_recorded_one_is_refused(tmp_path: Path) -> None:
    recorded = checkpoints.manifest_sha256(make(tmp_path, 1))
    folder = make(tmp_path, 1, eval_loss=0.1)
    assert checkpoints.verify(folder)
    assert not checkpoints.verify(folder, recorded)


@pytest.mark.parametrize("moment", ["fill", "before_manifest"])
def test_a_death_while_writing_leaves_nothing_that_counts(tmp_path: Path, moment: str) -> None:
    def die(*_: object) -> None:
        raise KeyboardInterrupt

    filling, pausing = (die, lambda: None) if moment == "fill" else (fill, die)
    with pytest.raises(KeyboardInterrupt):
        checkpoints.write(tmp_path, 5, filling, {}, before_manifest=pausing)
    assert checkpoints.whole(tmp_path) == []
    assert not checkpoints.verify(tmp_path / "step-00000005")
    checkpoints.remove_drafts(tmp_path)
    assert checkpoints.verify(make(tmp_path, 5))


def test_the_manifest_comes_after_everything_else(tmp_path: Path) -> None:
    def look() -> None:
        folder = tmp_path / "step-00000003"
        assert (folder / "state.json").exists()
        assert not (folder / "manifest.json").exists()

    checkpoints.write(tmp_path, 3, fill, {}, before_manifest=look)
    assert [step.step for _, step in checkpoints.whole(tmp_path)] == [3]


def test_the_last_ones_and_the_best_are_kept(tmp_path: Path) -> None:
    for step, loss in ((10, 0.9), (20, 0.3), (30, 0.5), (40, None), (50, 0.6)):
        make(tmp_path, step, loss)
    checkpoints.retain(tmp_path, 2)
    assert [manifest.step for _, manifest in checkpoints.whole(tmp_path)] == [20, 40, 50]


def test_a_loss_that_is_no_number_is_null_in_the_manifest(tmp_path: Path) -> None:
    folder = checkpoints.write(tmp_path, 1, fill, {"loss": float("nan"), "eval_loss": None})
    assert json.loads((folder / "manifest.json").read_bytes())["metrics"] == {"loss": None, "eval_loss": None}
