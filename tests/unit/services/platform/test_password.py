"""The pages' password: how it is kept, where it is demanded."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from tunebus.contracts.errors import Code, TunebusError
from tunebus.services.platform import password
from tunebus.services.platform.settings import load_settings

WORDS = "correct horse"


def test_it_is_kept_as_a_hash_that_its_owner_alone_reads(tmp_path: Path) -> None:
    settings = load_settings({}, home=tmp_path)
    assert password.current(settings) is None
    password.set_password(tmp_path, WORDS)
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert files
    for file in files:
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert WORDS not in file.read_text()
    kept = password.current(settings)
    assert kept is not None
    assert kept.matches(WORDS)
    assert not kept.matches("correct horsf")
    assert not kept.matches("")
    before = password.stamp(settings)
    password.set_password(tmp_path, WORDS)
    again = password.current(settings)
    assert again is not None
    assert again.salt != kept.salt
    assert password.stamp(settings) != before
    assert password.remove_password(tmp_path)
    assert not password.remove_password(tmp_path)
    assert password.current(settings) is None


def test_a_file_that_is_named_counts_before_the_homes_own(tmp_path: Path) -> None:
    password.set_password(tmp_path, "the home's own one")
    file = tmp_path / "secret"
    file.write_text(f"{WORDS}\nsecond line\n")
    settings = load_settings({}, home=tmp_path, ui_password_file=file)
    kept, again = password.current(settings), password.current(settings)
    assert kept is not None
    assert kept == again, "sessions outlive a restart"
    assert kept.matches(WORDS)
    assert not kept.matches("the home's own one")


@pytest.mark.parametrize("content", [None, "", "short", "x" * 2000, b"\xff\xfe\xfd" * 9])
def test_a_file_that_holds_none_is_refused_by_name(tmp_path: Path, content: str | bytes | None) -> None:
    file = tmp_path / "secret"
    if isinstance(content, bytes):
        file.write_bytes(content)
    elif content is not None:
        file.write_text(content)
    with pytest.raises(TunebusError) as refused:
        password.current(load_settings({}, home=tmp_path, ui_password_file=file))
    assert refused.value.problem.param == "TUNEBUS_UI_PASSWORD_FILE"


def test_a_damaged_hash_lets_nobody_in(tmp_path: Path) -> None:
    password.set_password(tmp_path, WORDS)
    (tmp_path / password.FOLDER / "password").write_text('{"scheme": "none"}')
    with pytest.raises(TunebusError):
        password.current(load_settings({}, home=tmp_path))


@pytest.mark.parametrize("words", ["", "short", "x" * 1025])
def test_a_password_is_neither_short_nor_endless(tmp_path: Path, words: str) -> None:
    with pytest.raises(TunebusError) as refused:
        password.set_password(tmp_path, words)
    assert refused.value.problem.param == "password"
    assert not list(tmp_path.rglob("password*"))


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "[::1]", "localhost", "LOCALHOST"])
def test_a_loopback_needs_none(tmp_path: Path, host: str) -> None:
    password.demand(load_settings({}, home=tmp_path, ui_host=host))


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "studio.example", "128.0.0.1", "localhost.example"])
def test_pages_that_others_reach_do(tmp_path: Path, host: str) -> None:
    settings = load_settings({}, home=tmp_path, ui_host=host)
    with pytest.raises(TunebusError) as refused:
        password.demand(settings)
    problem = refused.value.problem
    assert (problem.code, problem.param) == (Code.NOT_PERMITTED, "TUNEBUS_UI_HOST")
    for way in ("tunebus password set", "TUNEBUS_UI_PASSWORD_FILE", "TLS", "TUNEBUS_UI_ALLOWED_HOSTS", "--no-ui"):
        assert way in str(problem.hint)
    password.set_password(tmp_path, WORDS)
    password.demand(settings)
