"""Before a child starts: paths, the dataset's hash, threads."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from tunebus.services.platform.home import Home
from tunebus.services.platform.worker import inputs
from tunebus.services.platform.worker.inputs import Refused, check_dataset, localize, newest_whole, threads


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home").create()


def test_only_locations_are_made_paths(home: Home) -> None:
    recipe = {"model": {"location": "artifact:m", "name": "artifact:m"}, "adapter": None, "dataset": {"location": "/d"}}
    local = localize(recipe, home)
    assert local["model"] == {"location": str(home.artifacts.resolve() / "m"), "name": "artifact:m"}
    assert local["dataset"] == {"location": "/d"}
    assert recipe["model"] == {"location": "artifact:m", "name": "artifact:m"}


def test_a_location_out_of_the_root_is_refused(home: Home) -> None:
    with pytest.raises(Refused) as refused:
        localize({"model": {"location": "artifact:../../etc"}}, home)
    assert refused.value.cause == "bad_configuration"


def test_the_file_that_was_added_passes(tmp_path: Path) -> None:
    (tmp_path / "d").write_bytes(b"rows")
    check_dataset({"location": str(tmp_path / "d"), "sha256": hashlib.sha256(b"rows").hexdigest()})


@pytest.mark.parametrize("what", ["gone", "changed", "folder"])
def test_any_other_is_refused_by_name(tmp_path: Path, what: str) -> None:
    path = tmp_path / "d"
    if what == "changed":
        path.write_bytes(b"other rows")
    if what == "folder":
        path.mkdir()
    with pytest.raises(Refused, match=str(path)) as refused:
        check_dataset({"location": str(path), "sha256": hashlib.sha256(b"rows").hexdigest()})
    assert refused.value.cause == "bad_data"


def test_checkpoints_that_cannot_be_read_are_passed_over(home: Home) -> None:
    asked: list[str] = []

    def verify(folder: Path, sha256: str) -> bool:
        asked.append(folder.name)
        if folder.name == "b":
            raise OSError("broken disk")
        return folder.name == "d"

    entry = {"attempt": 1, "step": 1, "manifest_sha256": "0"}
    uris = ["artifact:../a", "artifact:b", "artifact:c", "artifact:d", "artifact:e"]
    found = newest_whole([{"step": "?"}, *({**entry, "uri": uri} for uri in uris)], home, verify)
    assert found is not None
    assert found[1].name == "d"
    assert asked == ["b", "c", "d"]


def test_without_a_whole_one_it_starts_anew(home: Home) -> None:
    assert newest_whole([], home, lambda *_: True) is None


@pytest.mark.parametrize(
    ("asked", "setting", "workers", "expected"),
    [
        (None, None, 1, 8),
        (None, None, 2, 4),
        (None, None, 16, 1),
        (None, 3, 2, 3),
        (5, 3, 2, 5),
        (99, None, 1, 8),
        (None, None, 0, 8),
    ],
)
def test_threads(
    monkeypatch: pytest.MonkeyPatch, asked: int | None, setting: int | None, workers: int, expected: int
) -> None:
    monkeypatch.setattr(inputs, "cores", lambda: 8)
    assert threads(asked, setting, workers) == expected
