"""Texts that strangers wrote: what databases keep of them, what a name may hold, and what a terminal may be shown.

It decides nothing about what a text says.
"""

from __future__ import annotations

import re

NO_CONTROLS = r"^[^\u0000-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069]*$"
"""A pattern of pydantic's, and of JSON Schema's: no control characters, no breaks of a line, nothing that turns the
direction of what follows."""

# What `visible` spells out: the same, but for tabs and the ends of lines.
CONTROLS = re.compile(r"[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069]")
_BEYOND_ASCII = re.compile(r"[\u007f-\u009f\u2028-\u202e\u2066-\u2069]")
# ECMA-48: a sequence with parameters, a command to the operating system, any other escape.
_SEQUENCES = re.compile(
    r"(?:\u001b\[|\u009b)[0-?]*[ -/]*[@-~]|\u001b\][^\u0007\u001b\n]*(?:\u0007|\u001b\\)|\u001b[ -/]*[0-~]"
)


def storable(text: str) -> str:
    """Text as every database takes it: PostgreSQL refuses NUL, and neither takes half a surrogate pair."""
    return text.replace("\0", "\\0").encode("utf-8", "backslashreplace").decode()


def visible(text: str) -> str:
    """Text as a terminal may be shown it: controls are spelt out, but for tabs and the ends of lines."""
    return CONTROLS.sub(_spelt, text.replace("\r\n", "\n"))


def plain(text: str) -> str:
    """Output of a process without what it told its terminal: colours and the like are gone, a bar that was drawn over
    itself is a line each time.
    """
    return CONTROLS.sub("", _SEQUENCES.sub("", text).replace("\r\n", "\n").replace("\r", "\n"))


def visible_json(document: str) -> str:
    """JSON of the same value, without what JSON leaves unescaped and a terminal would obey."""
    return _BEYOND_ASCII.sub(lambda found: f"\\u{ord(found[0]):04x}", document)


def _spelt(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode()
