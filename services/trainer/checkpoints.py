"""Checkpoints that are whole or do not count: files, then a rename, then a manifest of their hashes, last.

    checkpoints/step-00000040/{adapter…, optimizer.pt, …, manifest.json}

Imports no torch, so that a supervisor can choose among checkpoints as well.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunebus.services.platform.child.failures import ChildFailure
from tunebus.services.platform.child.files import listing, sync_folder, sync_tree, write_document

MANIFEST = "manifest.json"
DRAFT = ".tmp-"

logger = logging.getLogger(__name__)


class BrokenCheckpoint(ChildFailure):
    """A checkpoint that is not what its manifest says, with the first difference."""

    def __init__(self, difference: str) -> None:
        super().__init__("bad_checkpoint", difference, "the job goes on from its newest checkpoint that is whole")


@dataclass(frozen=True)
class Manifest:
    """What a checkpoint holds. `files` are relative paths with `size` and `sha256`; non-finite metrics are null.
    `best`: none of the job's checkpoints before it had a lower held-out loss.
    """

    step: int
    files: dict[str, dict[str, Any]]
    metrics: dict[str, float | None]
    time: float
    best: bool = False


def folder_name(step: int) -> str:
    return f"step-{step:08d}"


def write(
    root: Path,
    step: int,
    fill: Callable[[Path], None],
    metrics: Mapping[str, float | None],
    before_manifest: Callable[[], None] = lambda: None,
    *,
    best: bool = False,
) -> Path:
    """Write the checkpoint of a step: `fill` gets an empty folder to write into; `before_manifest` runs once its files
    are on the disk. Returns the checkpoint's folder.

    A death at any point leaves a draft, or a folder without manifest: neither verifies.
    """
    root.mkdir(parents=True, exist_ok=True)
    draft = root / f"{DRAFT}{folder_name(step)}"
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir()
    fill(draft)
    sync_tree(draft)
    files = listing(draft)
    target = root / folder_name(step)
    if target.exists():
        remove(target)
    draft.rename(target)
    sync_folder(root)
    before_manifest()
    known = {name: value if value is None or math.isfinite(value) else None for name, value in metrics.items()}
    document = {"step": step, "files": files, "metrics": known, "time": time.time(), "best": best}
    write_document(target / MANIFEST, document)
    return target


def read(folder: Path, manifest_sha256: str | None = None) -> Manifest:
    """The manifest of a checkpoint whose every file is as written. Errors: `BrokenCheckpoint`."""
    try:
        body = (folder / MANIFEST).read_bytes()
    except OSError as error:
        raise BrokenCheckpoint(f"{folder.name} has no readable manifest: {error.strerror}") from None
    if manifest_sha256 is not None and hashlib.sha256(body).hexdigest() != manifest_sha256:
        raise BrokenCheckpoint(f"the manifest of {folder.name} is not the recorded one")
    manifest = _parse(folder, body)
    found = {name: facts for name, facts in listing(folder).items() if name != MANIFEST}
    for name, facts in manifest.files.items():
        if name not in found:
            raise BrokenCheckpoint(f"{folder.name} lacks {name}")
        if found[name] != facts:
            raise BrokenCheckpoint(f"{name} of {folder.name} is not as it was written")
    return manifest


def verify(folder: Path, manifest_sha256: str | None = None) -> bool:
    """Whether a checkpoint is whole, and the recorded one where the manifest's hash is given."""
    try:
        read(folder, manifest_sha256)
    except BrokenCheckpoint as reason:
        logger.warning("%s", reason)
        return False
    return True


def manifest_sha256(folder: Path) -> str:
    return hashlib.sha256((folder / MANIFEST).read_bytes()).hexdigest()


def whole(root: Path) -> list[tuple[Path, Manifest]]:
    """Folders with a manifest, oldest step first. Their files are not looked at."""
    found = []
    for folder in sorted(root.glob("step-*")):
        try:
            found.append((folder, _parse(folder, (folder / MANIFEST).read_bytes())))
        except (OSError, BrokenCheckpoint):
            continue
    return sorted(found, key=lambda pair: pair[1].step)


def of_step(attempt: Path, step: int) -> Iterator[Path]:
    """The folders of a step's checkpoint: in this attempt's folder, then in the job's other attempts', newest first."""
    yield attempt / "checkpoints" / folder_name(step)
    others = (path for path in attempt.parent.glob("attempt-*") if path != attempt and path.name[8:].isdecimal())
    for other in sorted(others, key=lambda path: int(path.name[8:]), reverse=True):
        yield other / "checkpoints" / folder_name(step)


def retain(root: Path, last: int, recorded: int | None = None) -> None:
    """Remove all but the `last` checkpoints, the one with the least `eval_loss`, and the one of the step `recorded`,
    which the job would resume from if this process died now.
    """
    found = whole(root)
    kept = {folder for folder, _ in found[-last:]}
    kept |= {folder for folder, manifest in found if manifest.step == recorded}
    scored = [(loss, folder) for folder, manifest in found if (loss := manifest.metrics.get("eval_loss")) is not None]
    if scored:
        kept.add(min(scored)[1])
    for folder, _ in found:
        if folder not in kept:
            remove(folder)


def remove(folder: Path) -> None:
    """Remove a checkpoint, its manifest first, so that no half of it ever counts."""
    (folder / MANIFEST).unlink(missing_ok=True)
    shutil.rmtree(folder)


def remove_drafts(root: Path) -> None:
    """Remove what earlier deaths left half written."""
    for folder in root.glob(f"{DRAFT}*"):
        shutil.rmtree(folder, ignore_errors=True)


def _parse(folder: Path, body: bytes) -> Manifest:
    try:
        document = json.loads(body)
        return Manifest(
            step=int(document["step"]),
            files=dict(document["files"]),
            metrics=dict(document["metrics"]),
            time=float(document["time"]),
            best=document.get("best") is True,
        )
    except (ValueError, KeyError, TypeError):
        raise BrokenCheckpoint(f"the manifest of {folder.name} cannot be read") from None
