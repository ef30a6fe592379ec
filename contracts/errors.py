"""The one shape of every error, wherever it is shown: `{code, message, param, hint}`, with `details` for several fields
at once.

Codes are stable: clients branch on them, messages may change.
"""

from __future__ import annotations

import difflib
import errno
import re
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError
from tunebus.contracts.texts import NO_CONTROLS


class Code(StrEnum):
    """Stable error codes, as rejections, query errors, dead letters and `--json` output carry them."""

    MALFORMED = "malformed"  # not an envelope: bad bytes, bad JSON, no id
    UNKNOWN_TYPE = "unknown_type"
    INVALID = "invalid"
    UNKNOWN_FIELD = "unknown_field"
    NOT_FOUND = "not_found"
    DUPLICATE_NAME = "duplicate_name"
    IN_USE = "in_use"
    CONFLICT = "conflict"  # expectedversion did not match
    COMMAND_ID_REUSED = "command_id_reused"
    STALE_ATTEMPT = "stale_attempt"
    WRONG_STATE = "wrong_state"
    NOT_SUPPORTED = "not_supported"
    NOT_PERMITTED = "not_permitted"
    UNAVAILABLE = "unavailable"
    NOT_CONFIRMED = "not_confirmed"  # the client learnt nothing: send again with the same id
    TOO_LARGE = "too_large"
    DISK_FULL = "disk_full"
    INTERNAL = "internal"


EXIT_CODES: dict[Code, int] = {
    Code.INTERNAL: 1,
    Code.MALFORMED: 3,
    Code.UNKNOWN_TYPE: 3,
    Code.INVALID: 3,
    Code.UNKNOWN_FIELD: 3,
    Code.TOO_LARGE: 3,
    Code.NOT_SUPPORTED: 3,
    Code.NOT_FOUND: 4,
    Code.DUPLICATE_NAME: 5,
    Code.IN_USE: 5,
    Code.CONFLICT: 5,
    Code.COMMAND_ID_REUSED: 5,
    Code.STALE_ATTEMPT: 5,
    Code.WRONG_STATE: 5,
    Code.UNAVAILABLE: 6,
    Code.NOT_CONFIRMED: 6,
    Code.DISK_FULL: 6,
    Code.NOT_PERMITTED: 7,
}


NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""What the operating system says where a disk, a quota or a limit is full."""


class Problem(BaseModel):
    """One error. `param` names the field (dotted path), `hint` the way out, `details` lists every wrong field."""

    model_config = ConfigDict(extra="ignore")

    code: Code
    message: str
    param: str | None = None
    hint: str | None = None
    details: list[Problem] | None = None

    @property
    def exit_code(self) -> int:
        """The process exit code of a command line that ends with this error."""
        return EXIT_CODES[self.code]

    def document(self) -> dict[str, object]:
        """The JSON form: the four keys always, `details` only where there are any."""
        body: dict[str, object] = {
            "code": self.code.value,
            "message": self.message,
            "param": self.param,
            "hint": self.hint,
        }
        if self.details:
            body["details"] = [detail.document() for detail in self.details]
        return body


class TunebusError(Exception):
    """An expected failure that carries its `Problem`; the only exception users ever see the text of."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


def fail(code: Code, message: str, *, param: str | None = None, hint: str | None = None) -> TunebusError:
    """Build the exception to raise: `raise fail(Code.NOT_FOUND, "...", param="dataset_id")`."""
    return TunebusError(Problem(code=code, message=message, param=param, hint=hint))


def unwritten(error: OSError, what: str, *, param: str | None = None) -> TunebusError:
    """The exception to raise for a file that could not be written: `disk_full` or `not_permitted`."""
    full = error.errno in NO_SPACE
    code, hint = (Code.DISK_FULL, "free some space or write elsewhere") if full else (Code.NOT_PERMITTED, None)
    return fail(code, f"{what} cannot be written: {error.strerror}", param=param, hint=hint)


def combine(problems: Iterable[Problem]) -> Problem:
    """One problem for several: itself when there is one, else the first's code with all of them in `details`."""
    found = list(problems)
    if len(found) == 1:
        return found[0]
    message = "; ".join(f"{p.param}: {p.message}" if p.param else p.message for p in found)
    return Problem(code=found[0].code, message=message, param=found[0].param, hint=found[0].hint, details=found)


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name closest to a mistyped one, or None when nothing is near."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return close[0] if close else None


def from_validation(error: ValidationError, known_fields: Iterable[str], prefix: str = "") -> Problem:
    """Translate pydantic's findings into one `Problem` that names every wrong field and suggests near names."""
    known = list(known_fields)
    problems = []
    for item in error.errors(include_url=False):
        loc = item["loc"]
        param = ".".join(str(part) for part in (*([prefix] if prefix else []), *loc)) or None
        if item["type"] == "extra_forbidden":
            near = nearest(str(loc[-1]), known) if len(loc) == 1 else None
            problems.append(
                Problem(
                    code=Code.UNKNOWN_FIELD,
                    message=f"unknown field {loc[-1]!r}",
                    param=param,
                    hint=f"did you mean {near!r}?" if near else f"known fields: {', '.join(sorted(known))}",
                )
            )
        elif item["type"] == "missing":
            whole = f"{error.title} takes {', '.join(sorted(known))}" if len(loc) == 1 and not prefix else None
            hint = "give an id or a name" if str(loc[-1]).rpartition("_")[2] == "id" else whole
            problems.append(Problem(code=Code.INVALID, message="is required", param=param, hint=hint))
        else:
            message = in_plain_words(item)
            hint = "give a number such as 1 or 0.5" if message.startswith("must be a finite number") else _meant(item)
            problems.append(Problem(code=Code.INVALID, message=message, param=param, hint=hint))
    return combine(problems)


PATTERNS = {
    NO_CONTROLS: "may hold no control characters, no line breaks and nothing that turns the direction of writing",
    r"^[A-Za-z0-9_-]+$": "may hold letters, digits, - and _ only",
    r"^[^\r\n]*$": "must be one line",
    r"^[^/:%]+$": "may hold no /, : or %",
    r"^[0-9a-f]{40}$": "must be 40 hexadecimal digits",
    r"^[0-9a-f]{64}$": "must be 64 hexadecimal digits",
}
"""What the contract's patterns ask for, in words."""
_KINDS = {
    "int": "must be a whole number",
    "float": "must be a number",
    "bool": "must be true or false",
    "string": "must be text",
    "list": "must be a list",
    "dict": "must be an object",
    "model": "must be an object",
}
_OF_KIND = ("type", "parsing", "attributes_type", "from_float")


def _meant(item: Mapping[str, Any]) -> str | None:
    """Of a field that takes one of several words: the word that is near what was given."""
    if item["type"] != "literal_error":
        return None
    near = nearest(str(item["input"]), re.findall("'([^']*)'", item["ctx"]["expected"]))
    return f"did you mean {near!r}?" if near else None


def in_plain_words(item: Mapping[str, Any]) -> str:
    """One of pydantic's findings, in the words of the errors here, with the value or its length."""
    context = item.get("ctx", {})
    if item["type"] in ("too_long", "too_short") and "actual_length" in context:
        bound, limit = ("at most", "max_length") if item["type"] == "too_long" else ("at least", "min_length")
        count, found = context[limit], context["actual_length"]  # no length is told of what was not counted to its end
        return f"must have {bound} {count} item{'' if count == 1 else 's'}, not {'more' if found is None else found}"
    return f"{_plainly(item)}, not {_short(item['input'])}"


def _plainly(item: Mapping[str, Any]) -> str:
    kind, _, rest = str(item["type"]).partition("_")
    if rest == "parsing_size" or (kind == "float" and type(item["input"]) is int):  # of a size that no float has
        return "must be a smaller number"
    if kind in _KINDS and rest in _OF_KIND:
        return _KINDS[kind]
    if item["type"] == "string_unicode":
        return "must be text in UTF-8"
    message = str(item["msg"]).removeprefix("Value error, ")
    if item["type"] == "string_pattern_mismatch":
        pattern = message.partition("'")[2].removesuffix("'")
        return PATTERNS.get(pattern, message)
    for begin, instead in (("Input should be ", "must be "), ("String should have ", "must have ")):
        if message.startswith(begin):
            return instead + message.removeprefix(begin)
    return message


def _short(value: object) -> str:
    try:
        text = repr(value)
    except ValueError:  # Python writes out no whole number of more than 4,300 digits
        return "one of thousands of digits"
    return text if len(text) <= 80 else text[:77] + "..."
