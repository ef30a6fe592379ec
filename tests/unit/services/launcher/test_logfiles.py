"""Log files stay small under a writer that keeps its descriptor, and say why a service gave up."""

import json
import os
from pathlib import Path

import pytest
from tunebus.services.launcher.logfiles import last_message, open_log, rotate


def test_a_writer_goes_on_after_rotation(tmp_path: Path) -> None:
    log = tmp_path / "registry.log"
    descriptor = open_log(log)
    try:
        os.write(descriptor, b"x" * 100 + b"\n")
        assert rotate(log, limit=50)
        os.write(descriptor, b"after\n")
    finally:
        os.close(descriptor)
    assert log.read_bytes() == b"after\n"
    assert log.with_name("registry.log.1").read_bytes() == b"x" * 100 + b"\n"


def test_only_so_many_old_files_are_kept(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    for number in range(6):
        log.write_text(f"{number} " + "x" * 20)
        assert rotate(log, limit=10, kept=2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.log", "a.log.1", "a.log.2"]
    assert log.with_name("a.log.1").read_text().startswith("5 ")
    assert log.with_name("a.log.2").read_text().startswith("4 ")


def test_a_small_file_is_left_alone(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_text("short")
    assert not rotate(log, limit=10)
    assert log.read_text() == "short"
    assert not rotate(tmp_path / "missing.log")


def test_a_log_is_readable_by_its_owner_alone(tmp_path: Path) -> None:
    os.close(open_log(tmp_path / "a.log"))
    assert (tmp_path / "a.log").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"level": "info", "message": "hello"}\n{"level": "error", "message": "no disk"}\n', "no disk"),
        ('{"level": "critical", "message": "bad"}\n{"level": "info", "message": "bye"}\n', "bad"),
        (
            "Traceback (most recent call last):\nModuleNotFoundError: No module named 'x'\n",
            "ModuleNotFoundError: No module named 'x'",
        ),
        ('{"error": {"message": "is no URL", "param": "TUNEBUS_X", "hint": "fix it"}}', "TUNEBUS_X: is no URL; fix it"),
        ("", None),
        ('{"level": "info", "message": "hello"}\n', None),
    ],
)
def test_the_last_words_are_found(tmp_path: Path, text: str, said: str | None) -> None:
    log = tmp_path / "a.log"
    log.write_text(text)
    assert last_message(log) == said


def test_words_from_before_this_start_do_not_count(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_text(json.dumps({"level": "error", "message": "long ago"}) + "\n")
    before = log.stat().st_size
    with log.open("a") as file:
        file.write("fresh words\n")
    assert last_message(log, start=before) == "fresh words"
