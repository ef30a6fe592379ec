"""Which files of a folder are a dataset's, and which split each belongs to."""

from __future__ import annotations

from pathlib import Path

import pytest
from tunebus.contracts.errors import Code, TunebusError
from tunebus.services.platform.rows import folders
from tunebus.services.platform.rows.folders import parts_of, split_of


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("train.jsonl", "train"),
        ("train-00000-of-00002.parquet", "train"),
        ("gsm8k_test.jsonl", "test"),
        ("Validation.CSV", "validation"),
        ("dev.tsv", "validation"),
        ("val.json", "validation"),
        ("evaluation.json", "eval"),
        ("test/part-1.csv", "test"),
        ("data/validation/0.csv", "validation"),
        ("test/train.csv", "train"),
        ("part-1.csv", "train"),
        ("contest.csv", "train"),
        ("value.csv", "train"),
    ],
)
def test_a_word_of_the_files_name_else_of_its_folders_names_the_split(name: str, split: str) -> None:
    assert split_of(name) == split


def test_files_come_split_by_split_and_what_is_hidden_or_of_no_type_is_passed_over(tmp_path: Path) -> None:
    for name in (
        "test/b.csv",
        "b.csv",
        "a.jsonl",
        "dev.tsv",
        "notes.md",
        ".hidden.csv",
        ".cache/c.csv",
        "1/2/3/4/5/d.csv",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    found = [(part.name, part.split, part.type) for part in parts_of(tmp_path, "set")]
    assert found == [
        ("a.jsonl", "train", "jsonl"),
        ("b.csv", "train", "csv"),
        ("dev.tsv", "validation", "tsv"),
        ("test/b.csv", "test", "csv"),
    ]


def test_too_many_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folders, "MAX_FILES", 2)
    for number in range(3):
        (tmp_path / f"{number}.csv").touch()
    with pytest.raises(TunebusError) as caught:
        parts_of(tmp_path, "set")
    assert caught.value.problem.code is Code.TOO_LARGE
