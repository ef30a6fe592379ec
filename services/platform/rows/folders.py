"""A folder of dataset files: which it holds, and which split each belongs to by its name or its folder's.

It opens no file. Hidden files and folders, and what leads out of the folder, are passed over.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from tunebus.contracts.errors import Code, fail
from tunebus.contracts.recipes import DatasetFile, FileType
from tunebus.services.platform.rows.files import SUFFIXES, known_type
from tunebus.services.platform.rows.split import TRAIN

MAX_FILES = 500
MAX_DEPTH = 4

SPLITS = (TRAIN, "validation", "eval", "test")
"""In the order in which their rows are numbered."""
_WORDS = {
    "train": TRAIN, "training": TRAIN, "validation": "validation", "valid": "validation", "val": "validation",
    "dev": "validation", "eval": "eval", "evaluation": "eval", "test": "test", "testing": "test",
}  # fmt: skip


@dataclass(frozen=True)
class Part:
    """One file of a dataset; `path` is absolute, `name` relative to the dataset's folder."""

    path: Path
    name: str
    type: FileType
    split: str = TRAIN


def parts_of(folder: Path, shown: str) -> list[Part]:
    """The dataset files of a folder, split by split. Errors: `invalid` where there are none, `too_large` for too many.

    A file's split is named by a word of its name, else by a folder around it, else it is `train`.
    """
    found: list[Part] = []
    root = Path(os.path.realpath(folder))
    for place, folders, files in os.walk(root):
        inside = Path(place).relative_to(root)
        folders[:] = sorted(name for name in folders if not name.startswith(".")) * (len(inside.parts) < MAX_DEPTH)
        for name in sorted(files):
            path = Path(place, name)
            kind = known_type(path)
            if kind is None or name.startswith("."):
                continue
            if root not in Path(os.path.realpath(path)).parents:
                message = f"{shown}: {inside / name} leads out of the folder"
                raise fail(Code.NOT_PERMITTED, message, param="path", hint="put a copy there in place of the link")
            found.append(Part(path, (inside / name).as_posix(), kind, split_of((inside / name).as_posix())))
            if len(found) > MAX_FILES:
                raise fail(
                    Code.TOO_LARGE,
                    f"{shown} holds more than {MAX_FILES} dataset files",
                    param="path",
                    hint="join them: rows count, not files",
                )
    if not found:
        known = ", ".join(suffix for suffixes in SUFFIXES.values() for suffix in suffixes)
        raise fail(
            Code.INVALID,
            f"{shown} is a folder without a dataset file",
            param="path",
            hint=f"files end in one of {known}, and are named for their split: train.jsonl, test.jsonl",
        )
    return sorted(found, key=lambda part: (SPLITS.index(part.split), part.name))


def split_of(name: str) -> str:
    """The split that a file belongs to, by its relative path."""
    path = PurePosixPath(name)
    for part in (path.stem, *reversed(path.parent.parts)):
        for word in re.split(r"[^a-z]+", part.lower()):
            if word in _WORDS:
                return _WORDS[word]
    return TRAIN


def split_rows(files: Sequence[DatasetFile]) -> list[tuple[str, int]]:
    """The rows of each split, one after the other as the files are listed."""
    rows: dict[str, int] = {}
    for file in files:
        rows[file.split] = rows.get(file.split, 0) + file.rows
    return list(rows.items())
