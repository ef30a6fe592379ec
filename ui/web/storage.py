"""What a studio's files take, by kind, and which of them nothing in the record names any more. It deletes nothing."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tunebus.contracts.identifiers import is_id
from tunebus.services.platform.home import SCHEME, Home

ARTIFACTS = ("jobs", "uploads", "exports", "starter")
NAMED = 50
"""Orphans that are named; the rest is counted."""


@dataclass
class Amount:
    """Bytes and files."""

    files: int = 0
    bytes: int = 0

    def add(self, other: Amount) -> None:
        self.files += other.files
        self.bytes += other.bytes


@dataclass
class Storage:
    """What there is: `kinds` in the order they are shown, `orphans` by their path below the artifacts."""

    kinds: dict[str, Amount] = field(default_factory=dict)
    orphans: dict[str, Amount] = field(default_factory=dict)
    orphaned: Amount = field(default_factory=Amount)
    free: int = 0


def measure(home: Home, locations: Iterable[str], known: Callable[[str], bool]) -> Storage:
    """Look at every file. `locations` are what datasets, models and adapters name; `known` tells whether the record has
    ever heard of a job's id."""
    found = Storage()
    named = {location.removeprefix(SCHEME) for location in locations if location.startswith(SCHEME)}
    for name in (*ARTIFACTS, "other"):
        found.kinds[name] = Amount()
    for entry in _entries(home.artifacts):
        kind = entry.name if entry.name in ARTIFACTS else "other"
        found.kinds[kind].add(size_of(Path(entry.path)))
    for path in _unowned(home.artifacts, named, known):
        amount = size_of(path)
        found.orphaned.add(amount)
        if len(found.orphans) < NAMED:
            found.orphans[path.relative_to(home.artifacts).as_posix()] = amount
    for kind, places in _beside(home).items():
        total = Amount()
        for place in places:
            total.add(size_of(place))
        found.kinds[kind] = total
    with contextlib.suppress(OSError):
        disk = os.statvfs(home.artifacts)
        found.free = disk.f_bavail * disk.f_frsize
    return found


def size_of(path: Path) -> Amount:
    """A file, or all files below a folder; links count as nothing, what vanishes meanwhile too."""
    amount = Amount()
    waiting = [path]
    while waiting:
        place = waiting.pop()
        try:
            if place.is_symlink():
                continue
            if place.is_file():
                amount.add(Amount(1, place.stat().st_size))
                continue
        except OSError:
            continue
        for entry in _entries(place):
            with contextlib.suppress(OSError):
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(Path(entry.path))
                elif entry.is_file(follow_symlinks=False):
                    amount.add(Amount(1, entry.stat(follow_symlinks=False).st_size))
    return amount


def unowned_uploads(artifacts: Path, named: set[str]) -> Iterator[Path]:
    """Copies of uploads that nothing in `named` (paths below the artifacts) is."""
    for entry in _entries(artifacts / "uploads"):
        if not entry.name.startswith(".") and not any(
            name == f"uploads/{entry.name}" or name.startswith(f"uploads/{entry.name}/") for name in named
        ):
            yield Path(entry.path)


def _unowned(artifacts: Path, named: set[str], known: Callable[[str], bool]) -> Iterator[Path]:
    """Uploads that no dataset came from, and folders of jobs that the record never heard of."""
    yield from unowned_uploads(artifacts, named)
    for entry in _entries(artifacts / "jobs"):
        if not is_id(entry.name) or not known(entry.name):
            yield Path(entry.path)


def _beside(home: Home) -> Mapping[str, list[Path]]:
    """What lies in the home beside the artifacts."""
    return {
        "database": [Path(entry.path) for entry in _entries(home.folder) if ".db" in entry.name],
        "bus": [home.nats_store],
        "logs": [home.logs],
        "mirrors": [home.folder / "mlflow", home.folder / "tensorboard"],
        "backups": [home.folder / "backups"],
    }


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as found:
            return sorted(found, key=lambda entry: entry.name)
    except OSError:
        return []
