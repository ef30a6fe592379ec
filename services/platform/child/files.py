"""Files that are either whole or absent: documents replaced atomically, folders hashed and pushed to the disk."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any


def write_document(path: Path, document: dict[str, Any]) -> bytes:
    """Write JSON beside its place, push it to the disk, rename it into place. Returns the bytes written."""
    body = json.dumps(document, ensure_ascii=False, allow_nan=False, indent=1).encode()
    draft = path.with_name(f".{path.name}.new")
    with draft.open("wb") as file:
        file.write(body)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    sync_folder(path.parent)
    return body


def sync_folder(folder: Path) -> None:
    """Push a folder's entries to the disk, so that a rename in it survives a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_tree(folder: Path) -> None:
    """Push all files below a folder to the disk."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            descriptor = os.open(path, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        else:
            sync_folder(path)
    sync_folder(folder)


def file_sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def listing(folder: Path) -> dict[str, dict[str, Any]]:
    """Every file below a folder by its relative path: `size` and `sha256`, in the order of the paths."""
    return {
        path.relative_to(folder).as_posix(): {"size": path.stat().st_size, "sha256": file_sha256(path)}
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def folder_sha256(folder: Path) -> str:
    """One hash for a folder: of its files' hashes and relative paths, in `sha256sum`'s format, sorted by path."""
    lines = (f"{facts['sha256']}  {path}\n" for path, facts in sorted(listing(folder).items()))
    return hashlib.sha256("".join(lines).encode()).hexdigest()
