"""Sessions that end when they should, and guessers who wait longer and longer."""

from __future__ import annotations

from pathlib import Path

import pytest
from tunebus.services.platform import password
from tunebus.services.platform.settings import Settings, load_settings
from tunebus.ui.web.sessions import FREE_TRIES, IDLE_SECONDS, LONGEST_SECONDS, LONGEST_WAIT, Session, Sessions, Tries


class Clock:
    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    password.set_password(tmp_path, "correct horse")
    return load_settings({}, home=tmp_path)


def _begun(settings: Settings, clock: Clock) -> tuple[Session, str]:
    sessions = Sessions(settings, clock)
    assert sessions.required
    return sessions.begin()


def test_a_session_outlives_a_restart_and_ends_by_itself(settings: Settings, clock: Clock) -> None:
    session, token = _begun(settings, clock)
    assert Sessions(settings, clock).find(token) == session
    clock.now += IDLE_SECONDS - 1
    assert Sessions(settings, clock).find(token) == session
    clock.now += 1
    assert Sessions(settings, clock).find(token) is None


def test_one_that_is_used_lasts_longer_but_not_for_ever(settings: Settings, clock: Clock) -> None:
    sessions = Sessions(settings, clock)
    _, token = _begun(settings, clock)
    begun = clock.now
    renewals = 0
    while (session := sessions.find(token)) is not None:
        fresh = sessions.renewed(session)
        if fresh is not None:
            token, renewals = fresh, renewals + 1
        clock.now += IDLE_SECONDS / 2
        assert clock.now < begun + 2 * LONGEST_SECONDS
    assert renewals > 10
    assert clock.now - begun >= LONGEST_SECONDS


def test_it_dies_with_the_password(settings: Settings, clock: Clock) -> None:
    sessions = Sessions(settings, clock)
    _, token = _begun(settings, clock)
    assert sessions.find(token)
    password.set_password(settings.home, "correct horse")
    assert sessions.find(token) is None, "even the same password anew ends all sessions"
    password.remove_password(settings.home)
    assert sessions.find(token) is None
    assert not sessions.required


def test_one_that_was_ended_stays_so_after_a_restart(settings: Settings, clock: Clock) -> None:
    session, token = _begun(settings, clock)
    _, other = _begun(settings, clock)
    Sessions(settings, clock).end(session)
    again = Sessions(settings, clock)
    assert again.find(token) is None
    assert again.find(again.renewed(session) or token) is None
    assert again.find(other)


def test_no_other_text_is_a_session(settings: Settings, clock: Clock) -> None:
    _, token = _begun(settings, clock)
    id, begun, until, signature = token.split(".")
    later = str(int(until) + 1)
    for wrong in (
        "", "x", f"{id}.{begun}.{later}.{signature}", f"{id}.{begun}.{until}.{'0' * 64}", f"{token}0", f" {token}",
        f"{id}.{begun}.{until}.", token.upper(), "." * 3, token.replace(".", "\0"), "é" * 80,
    ):  # fmt: skip
        assert Sessions(settings, clock).find(wrong) is None


def test_another_homes_session_is_none_of_ours(settings: Settings, clock: Clock, tmp_path: Path) -> None:
    other = load_settings({}, home=tmp_path / "other")
    password.set_password(other.home, "correct horse")
    _, token = _begun(other, clock)
    assert Sessions(settings, clock).find(token) is None
    assert Sessions(settings, clock).cookie != Sessions(other, clock).cookie


def test_pages_that_others_reach_stay_shut_when_their_password_is_taken_away(tmp_path: Path, clock: Clock) -> None:
    settings = load_settings({}, home=tmp_path, ui_host="0.0.0.0")
    sessions = Sessions(settings, clock)
    assert sessions.required
    assert not sessions.matches("")


def test_each_wrong_password_doubles_the_wait(clock: Clock) -> None:
    tries = Tries(clock)
    waits = []
    for _ in range(20):
        tries.begin("203.0.113.7")
        waits.append(tries.wait("203.0.113.7"))
        clock.now += waits[-1]
    free, slow = waits[: FREE_TRIES - 1], waits[FREE_TRIES - 1 :]
    assert set(free) == {0.0}
    assert slow[:4] == pytest.approx([1.0, 2.0, 4.0, 8.0])
    assert max(slow) == pytest.approx(LONGEST_WAIT)
    assert tries.wait("203.0.113.8") == 0.0, "another address is another person"
    tries.right("203.0.113.7")
    assert tries.wait("203.0.113.7") == 0.0


def test_many_at_once_are_no_way_around_the_wait(clock: Clock) -> None:
    tries = Tries(clock)
    for _ in range(FREE_TRIES + 5):
        tries.begin("203.0.113.7")
    assert tries.wait("203.0.113.7") == pytest.approx(32.0)


def test_an_ipv6_network_counts_as_one_address(clock: Clock) -> None:
    tries = Tries(clock)
    for number in range(FREE_TRIES):
        tries.begin(f"2001:db8::{number:x}")
    assert tries.wait("2001:db8::ffff") > 0
    assert tries.wait("2001:db8:1::1") == 0.0


def test_it_is_forgotten_after_a_while(clock: Clock) -> None:
    tries = Tries(clock)
    for _ in range(10):
        tries.begin("203.0.113.7")
    clock.now += 5000
    tries.begin("203.0.113.7")
    assert tries.wait("203.0.113.7") == 0.0
