"""An exported record: one JSON document whose every event carries the hash of all before it.

    {"format": "tunebus-database", "version": 1, "exported_at": …, "studio": …, "position": …, "count": …,
     "events": [{…, "hash": …}, …],
     "projections": {"datasets": [{…}, …], …},
     "hash": …}

The members come in this order, so that it can be written and read in bounded memory. A hash is the SHA-256 of the hash
before it, as 64 hexadecimal digits (of nothing before the first), and of the canonical JSON (sorted keys, no spaces,
UTF-8) of what it covers: each event without its `hash`, then each projection's row as `{"row": …, "table": …}`, and for
the document's own `hash` the header's members. So equal histories have equal hashes. Nothing here knows a database.
"""

from __future__ import annotations

import codecs
import hashlib
import json
from typing import Any, BinaryIO

from tunebus.contracts import strictjson
from tunebus.contracts.errors import Code, TunebusError, fail

FORMAT = "tunebus-database"
VERSION = 1
HEADER = ("format", "version", "exported_at", "studio", "position", "count")
EVENT = (
    "position", "event_id", "aggregate", "entity_id", "version", "type", "schema_version", "data", "recorded_at",
    "correlation_id", "causation_id", "actor", "meta",
)  # fmt: skip

# Of one event or row, and more than any command makes: an event may say twice what its command asked for.
MAX_VALUE = 8_000_000  # characters
MAX_DEPTH = strictjson.MAX_DEPTH + 8
_READ = 1 << 18
_SPACE = " \t\r\n"


class Chain:
    """The running hash."""

    def __init__(self) -> None:
        self.hash = ""

    def add(self, canonical: bytes) -> str:
        """Take in what comes next, spelled canonically; returns the hash that covers it."""
        self.hash = hashlib.sha256(self.hash.encode() + canonical).hexdigest()
        return self.hash


class Reader:
    """Reads JSON piece by piece, holding one value at a time. Errors: `malformed`, with the byte reached."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._text = ""
        self._at = 0
        self._ended = False
        self.bytes_read = 0

    def peek(self) -> str:
        """The next character that is no space; empty at the end."""
        while True:
            while self._at < len(self._text) and self._text[self._at] in _SPACE:
                self._at += 1
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._more():
                return ""

    def take(self, character: str) -> None:
        """Go past a character that must be next."""
        found = self.peek()
        if found != character:
            raise self.broken(f"{character!r} was expected, not {found!r}" if found else "it ends too early")
        self._at += 1

    def value(self) -> Any:
        """The next value of any kind."""
        while True:
            self.peek()
            try:
                value, end = strictjson.first_value(self._text, self._at, max_depth=MAX_DEPTH)
            except json.JSONDecodeError as error:
                if len(self._text) - self._at > MAX_VALUE:
                    raise self.broken(f"a value is longer than {MAX_VALUE} characters, or {error.msg}") from None
                if not self._more():
                    raise self.broken(error.msg) from None
                continue
            except TunebusError as error:
                raise self.broken(error.problem.message) from None
            if end == len(self._text) and self._more():  # a number might go on
                continue
            if end - self._at > MAX_VALUE:
                raise self.broken(f"a value is longer than {MAX_VALUE} characters")
            self._at = end
            return value

    def key(self) -> str:
        """The next member's name, and the colon after it."""
        found = self.value()
        if not isinstance(found, str):
            raise self.broken("a member's name was expected")
        self.take(":")
        return found

    def broken(self, reason: str) -> TunebusError:
        return fail(
            Code.MALFORMED,
            f"the document is broken near byte {self.bytes_read - len(self._text) + self._at}: {reason}",
            param="upload",
            hint="nothing of it was taken in; export it again",
        )

    def _more(self) -> bool:
        if self._ended:
            return False
        chunk = self._file.read(_READ)
        self._ended = not chunk
        try:
            text = self._decoder.decode(chunk, final=self._ended)
        except UnicodeDecodeError:
            raise self.broken("it is not UTF-8") from None
        self._text = self._text[self._at :] + text
        self._at = 0
        self.bytes_read += len(chunk)
        return bool(chunk)
