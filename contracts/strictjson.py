"""Reading JSON that strangers sent: UTF-8 only, no duplicate keys, no NaN, bounded nesting and size.

It raises `TunebusError(malformed)` with the reason and never lets a parser's own exception out.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any, NoReturn

from tunebus.contracts.errors import Code, fail

MAX_BYTES = 1_000_000
MAX_DEPTH = 64
_LONGEST_INTEGER = 300  # digits; a float ends at 308, Python's own reading at 4,300

_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
# A text without an end goes to the end: looked for again from each of its quotes, a message would take hours.
_BRACKETS_OR_STRINGS = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*(?:"|\\?\Z)|[\[{]|[\]}]', re.DOTALL)


def loads(body: bytes, *, max_bytes: int = MAX_BYTES, max_depth: int = MAX_DEPTH) -> Any:
    """Parse `body`; errors: `malformed` (encoding, syntax, NaN, duplicate key, nesting), `too_large`."""
    if len(body) > max_bytes:
        raise fail(Code.TOO_LARGE, f"message of {len(body)} bytes is over the limit of {max_bytes}")
    if not body.strip():
        raise fail(Code.MALFORMED, "empty message", hint="send a JSON object")
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise fail(Code.MALFORMED, f"not UTF-8: bad byte at offset {error.start}") from None
    _check_depth(body, max_depth)
    try:
        value = _read(text)
        if _SURROGATE.search(body):
            dumps(value)
    except UnicodeEncodeError:
        raise fail(Code.MALFORMED, "a text holds half a surrogate pair, which no UTF-8 can carry") from None
    except json.JSONDecodeError as error:
        raise fail(Code.MALFORMED, f"not JSON: {error.msg} at line {error.lineno} column {error.colno}") from None
    except (RecursionError, ValueError) as error:
        raise fail(Code.MALFORMED, f"not JSON: {error}") from None
    if "\\u0000" in text and _holds_nul(value):
        raise fail(Code.MALFORMED, "a text holds the NUL character", hint="no database stores it: leave it out")
    return value


def first_value(text: str, start: int, *, max_depth: int = MAX_DEPTH) -> tuple[Any, int]:
    """The value that begins at `start`, as strictly read as a message, and where it ends.

    Errors: `malformed`; a plain `json.JSONDecodeError` where the text may only be too short.
    """
    try:
        value, end = _DECODER.raw_decode(text, start)
    except json.JSONDecodeError:
        raise
    except (RecursionError, ValueError) as error:
        raise fail(Code.MALFORMED, f"not JSON: {error}") from None
    body = text[start:end]
    if body.count("[") + body.count("{") > max_depth:
        _check_depth(body.encode("utf-8", "surrogatepass"), max_depth)
    if "\\u0000" in body and _holds_nul(value):
        raise fail(Code.MALFORMED, "a text holds the NUL character", hint="no database stores it: leave it out")
    return value, end


def dumps(value: object) -> bytes:
    """Compact UTF-8 JSON; raises ValueError on NaN and infinities."""
    return _write(value).encode()


def canonical(value: object) -> bytes:
    """The one spelling that equal values share (sorted keys), for hashing."""
    return _write_sorted(value).encode()


def _check_depth(body: bytes, limit: int) -> None:
    """Count brackets outside strings, so that deep nesting is refused before a recursive parser meets it."""
    if body.count(b"[") + body.count(b"{") <= limit:
        return
    depth = 0
    for match in _BRACKETS_OR_STRINGS.finditer(body):
        first = match.group()[:1]
        if first in b"[{":
            depth += 1
            if depth > limit:
                raise fail(Code.MALFORMED, f"nested deeper than {limit} levels")
        elif first in b"]}":
            depth -= 1


def _holds_nul(value: Any) -> bool:
    if isinstance(value, str):
        return "\0" in value
    if isinstance(value, dict):
        return any(_holds_nul(part) for pair in value.items() for part in pair)
    return isinstance(value, list) and any(_holds_nul(part) for part in value)


def _no_constant(name: str) -> NoReturn:
    raise fail(Code.MALFORMED, f"{name} is no JSON number", hint='send non-finite numbers as strings, e.g. "NaN"')


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise fail(Code.MALFORMED, f"{text[:40]} is beyond every JSON reader's range")
    return value


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise fail(Code.MALFORMED, f"duplicate key {key!r}")
            seen.add(key)
    return found


def _integer(text: str) -> int:
    """What no float can be is refused here, with words of ours; fields that have a smaller bound say so by name."""
    if len(text) > _LONGEST_INTEGER:
        raise fail(Code.MALFORMED, f"{text[:40]}… is beyond every JSON reader's range")
    return int(text)


# Made once: every message would make its own.
_STYLE: dict[str, Any] = {"ensure_ascii": False, "allow_nan": False, "separators": (",", ":")}
_write = json.JSONEncoder(**_STYLE).encode
_write_sorted = json.JSONEncoder(**_STYLE, sort_keys=True).encode
_read = json.JSONDecoder(
    parse_constant=_no_constant, parse_float=_finite, parse_int=_integer, object_pairs_hook=_unique_keys
).decode
# Of whole numbers it takes what Python does: earlier studios recorded some that no message may hold today.
_DECODER = json.JSONDecoder(parse_constant=_no_constant, parse_float=_finite, object_pairs_hook=_unique_keys)
