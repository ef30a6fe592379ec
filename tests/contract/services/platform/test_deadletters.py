"""Dead letters: kept whole, once each, and marked when sent again."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Engine, func, select
from tunebus.services.platform import database, deadletters
from tunebus.services.platform.schema import dead_letters

LETTER: dict[str, Any] = {
    "stream": "TUNEBUS_COMMANDS",
    "seq": 7,
    "subject": "tunebus.cmd.dataset.AddDataset",
    "data": b"\xff\x00 not json",
    "reason": "not UTF-8: bad byte at offset 0",
    "headers": {"reply_to": "_INBOX.x"},
    "consumer": "registry",
}


def test_a_dead_letter_is_kept_whole(engine: Engine) -> None:
    with database.write(engine) as connection:
        id = deadletters.record(connection, **LETTER)
    with database.read(engine) as connection:
        letter = deadletters.get(connection, id)
        assert deadletters.get(connection, id + 1) is None
    assert letter is not None
    assert {name: getattr(letter, name) for name in LETTER} == LETTER
    assert letter.resent_at is None
    assert letter.seen_at.endswith("Z")


def test_the_same_message_is_kept_once(engine: Engine) -> None:
    with database.write(engine) as connection:
        first = deadletters.record(connection, **LETTER)
        assert deadletters.record(connection, **LETTER | {"reason": "said in other words"}) == first
    with database.write(engine) as connection:
        assert deadletters.record(connection, **LETTER) == first
        assert connection.scalar(select(func.count()).select_from(dead_letters)) == 1


def test_a_stream_made_anew_loses_no_message_to_an_old_number(engine: Engine) -> None:
    with database.write(engine) as connection:
        first = deadletters.record(connection, **LETTER)
        assert deadletters.record(connection, **LETTER | {"data": b"another message"}) != first
        assert connection.scalar(select(func.count()).select_from(dead_letters)) == 2


def test_a_letter_sent_again_says_so(engine: Engine) -> None:
    with database.write(engine) as connection:
        id = deadletters.record(connection, **LETTER)
        assert deadletters.mark_resent(connection, id)
        assert not deadletters.mark_resent(connection, id + 1)
        letter = deadletters.get(connection, id)
    assert letter is not None
    assert letter.resent_at is not None


def test_text_that_a_database_refuses_is_kept_readable(engine: Engine) -> None:
    odd = {"subject": "a\0b", "reason": "half a pair \ud800", "headers": {"x\0": "\udfff"}, "consumer": None}
    with database.write(engine) as connection:
        id = deadletters.record(connection, **LETTER | odd)
        assert deadletters.record(connection, **LETTER | odd) == id
        letter = deadletters.get(connection, id)
    assert letter is not None
    assert (letter.subject, letter.reason, letter.headers) == ("a\\0b", "half a pair \\ud800", {"x\\0": "\\udfff"})
