"""Ids sort by the time they were made; moments are RFC 3339 in UTC."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from uuid import UUID

import pytest
from tunebus.contracts import identifiers
from tunebus.contracts.identifiers import is_id, new_id, timestamp


def test_an_id_is_a_uuid_of_version_seven(monkeypatch: pytest.MonkeyPatch) -> None:
    made = UUID(new_id())
    assert (made.version, made.variant) == (7, "specified in RFC 4122")
    assert len({new_id() for _ in range(1000)}) == 1000


def test_ids_sort_by_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1_767_225_600_000_000_000
    made = []
    for milliseconds in (0, 1, 1000, 10**10):
        monkeypatch.setattr(identifiers.time, "time_ns", lambda later=milliseconds: now + later * 1_000_000)
        made.append(new_id())
    assert made == sorted(made)


def test_a_name_is_no_id() -> None:
    assert is_id(new_id())
    assert is_id(new_id().upper())
    assert not any(map(is_id, ("faq", "", "0" * 36, "{0197a3f2-7c00-7000-8000-0000000001}")))


def test_moments_are_utc_with_microseconds() -> None:
    moment = datetime(2026, 1, 31, 10, 30, tzinfo=timezone(timedelta(hours=1)))
    assert timestamp(moment) == "2026-01-31T09:30:00.000000Z"
