"""The attempt's folder: one owner at a time, as long as supervisor or child live; nothing in the way is lost."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tunebus.services.platform.worker.folder import AttemptFolder, Ending, cause_of, folders


@pytest.fixture
def folder(tmp_path: Path) -> AttemptFolder:
    made = AttemptFolder(tmp_path / "jobs" / "j" / "attempt-1", "j", 1)
    made.make()
    return made


def test_it_has_one_owner(folder: AttemptFolder) -> None:
    with folder.lock():
        owner = folder.owner()
        assert owner is not None
        assert owner.pid == os.getpid()
        assert owner.is_alive
        with pytest.raises(BlockingIOError), folder.lock():
            pass
    with folder.lock():
        pass


def test_a_child_holds_it_after_its_supervisor(folder: AttemptFolder) -> None:
    with folder.lock() as descriptor:
        child = subprocess.Popen(
            [sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE, pass_fds=(descriptor,)
        )
    with pytest.raises(BlockingIOError), folder.lock():
        pass
    child.communicate()
    with folder.lock():
        pass


def test_a_dead_owner_is_known_as_dead(folder: AttemptFolder) -> None:
    ended = subprocess.Popen([sys.executable, "-c", "pass"])
    ended.wait()
    with folder.lock():
        text = folder.lock_file.read_text().replace(str(os.getpid()), str(ended.pid))
    folder.lock_file.write_text(text)
    owner = folder.owner()
    assert owner is not None
    assert not owner.is_alive


def test_an_owner_on_another_machine_is_taken_for_alive(folder: AttemptFolder) -> None:
    folder.lock_file.write_text('{"host": "elsewhere", "pid": 1}')
    owner = folder.owner()
    assert owner is not None
    assert owner.is_alive


def test_what_lies_there_is_moved_aside(folder: AttemptFolder) -> None:
    (folder.path / "result.json").write_text("{}")
    folder.make()
    assert list(folder.path.iterdir()) == []
    [aside] = folder.path.parent.glob("attempt-1.old-*")
    assert (aside / "result.json").exists()


def test_a_folder_in_use_is_not_moved(folder: AttemptFolder) -> None:
    with folder.lock():
        folder.make()
        assert folder.lock_file.exists()


def test_the_ending_is_remembered(folder: AttemptFolder) -> None:
    assert folder.ending() is None
    ending = Ending("FailAttempt", {"job_id": "j"}, "accepted")
    folder.write_ending(ending)
    assert folder.ending() == ending


def test_folders_are_found_in_the_order_of_attempts(tmp_path: Path) -> None:
    for name in ("attempt-10", "attempt-2", "attempt-2.old-5", "attempt-x", "other"):
        (tmp_path / "jobs" / "j" / name).mkdir(parents=True)
    assert [found.attempt for found in folders(tmp_path)] == [2, 10]


def test_a_full_disk_has_a_name() -> None:
    assert cause_of(OSError(28, "No space left on device")) == "disk_full"
    assert cause_of(OSError(27, "File too large")) == "disk_full"
    assert cause_of(OSError(13, "Permission denied")) == "crashed"
