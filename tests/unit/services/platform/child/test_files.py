"""Documents are whole or absent; a folder's hash follows its files and nothing else."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest
from tunebus.services.platform.child.files import folder_sha256, listing, sync_tree, write_document


def make(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def test_the_folders_hash_is_that_of_a_sorted_sha256sum(tmp_path: Path) -> None:
    folder = make(tmp_path / "a", {"b/c.txt": "one", "a.txt": "two"})
    lines = "".join(
        f"{hashlib.sha256((folder / name).read_bytes()).hexdigest()}  {name}\n" for name in ("a.txt", "b/c.txt")
    )
    assert folder_sha256(folder) == hashlib.sha256(lines.encode()).hexdigest()


def test_order_of_writing_and_times_do_not_count_names_and_bytes_do(tmp_path: Path) -> None:
    one = make(tmp_path / "a", {"x": "1", "y": "2"})
    other = make(tmp_path / "b", {"y": "2", "x": "1"})
    os.utime(other / "x", (0, 0))
    assert folder_sha256(one) == folder_sha256(other)
    renamed = make(tmp_path / "c", {"x": "1", "z": "2"})
    changed = make(tmp_path / "d", {"x": "1", "y": "3"})
    assert len({folder_sha256(one), folder_sha256(renamed), folder_sha256(changed)}) == 3


def test_listing_and_sync_go_through_folders(tmp_path: Path) -> None:
    folder = make(tmp_path / "a", {"x": "1", "deep/er/y": "22"})
    sync_tree(folder)
    assert {name: facts["size"] for name, facts in listing(folder).items()} == {"deep/er/y": 2, "x": 1}


def test_a_document_is_replaced_in_one_go(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    write_document(path, {"a": "é"})
    body = write_document(path, {"a": 2})
    assert json.loads(path.read_bytes()) == {"a": 2}
    assert path.read_bytes() == body
    assert [found.name for found in tmp_path.iterdir()] == ["result.json"]


def test_a_document_that_cannot_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    write_document(path, {"a": 1})
    with pytest.raises(ValueError, match="JSON"):
        write_document(path, {"a": float("nan")})
    assert json.loads(path.read_bytes()) == {"a": 1}
