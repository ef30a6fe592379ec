"""Reading dataset files: CSV, JSON and JSONL, in UTF-8, strictly; read once, front to back, and hashed on the way.

CSV and JSONL need memory for one row, JSON for the file. Findings are words, never a parser's exception.
"""

from __future__ import annotations

import codecs
import csv
import hashlib
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Literal

from tunebus.contracts import strictjson
from tunebus.contracts.errors import Code, Problem, TunebusError, fail
from tunebus.contracts.recipes import DataFormat

FileType = Literal["csv", "json", "jsonl"]
SUFFIXES: dict[FileType, tuple[str, ...]] = {"csv": (".csv",), "json": (".json",), "jsonl": (".jsonl", ".ndjson")}

MAX_COLUMNS = 2000
MAX_LINE_BYTES = 16 * 1024 * 1024
MAX_JSON_BYTES = 512 * 1024 * 1024
MAX_DEPTH = 64
NAMED_FINDINGS = 20

ROLES = ("system", "developer", "user", "assistant", "tool")


@dataclass(frozen=True)
class DatasetFacts:
    """What a dataset's file holds. `format` says how its rows become training text; `bytes` is the file's size."""

    type: FileType
    format: DataFormat
    features: list[str]
    rows: int
    bytes: int
    sha256: str
    warnings: list[str] = field(default_factory=list)


def type_of(path: Path) -> FileType:
    """The type that a file's suffix stands for. Errors: `invalid`, naming the suffixes there are."""
    for kind, suffixes in SUFFIXES.items():
        if path.suffix.lower() in suffixes:
            return kind
    known = ", ".join(suffix for suffixes in SUFFIXES.values() for suffix in suffixes)
    raise fail(
        Code.INVALID,
        f"{path} has the suffix {path.suffix or '(none)'!r}",
        param="path",
        hint=f"known suffixes: {known}",
    )


def inspect(path: Path | str, type: str | None = None, *, shown: str | None = None) -> DatasetFacts:
    """Read a whole file and tell what it holds. `shown` is the path as its sender wrote it, for messages.

    Errors: `not_found`, `not_permitted`, `too_large`, `invalid`; where rows are broken, the message counts them and
    `details` names the first 20 by line.
    """
    file_path, name = Path(path), shown or str(path)
    kind = _checked_type(file_path, type, name)
    findings: list[Problem] = []
    broken = rows = 0
    presence: dict[str, int] = {}
    formats = _Formats()
    with _opened(file_path, name) as raw:
        source = _Source(raw, kind, name)
        for item in source:
            error = item.error
            if item.row is not None:
                rows += 1
                for column in item.row:
                    presence[column] = presence.get(column, 0) + 1
                error = formats.see(item.row) if len(presence) <= MAX_COLUMNS else f"more than {MAX_COLUMNS} columns"
            if error is not None:
                broken += 1
                if len(findings) < NAMED_FINDINGS:
                    findings.append(Problem(code=Code.INVALID, message=f"{item.place}: {error}", param="path"))
            if len(presence) > MAX_COLUMNS:
                break
        if broken:
            raise TunebusError(_broken_file(name, broken, findings, stopped=len(presence) > MAX_COLUMNS))
        if not rows:
            raise fail(Code.INVALID, f"{name} {source.why_no_rows()}", param="path")
        digest, size = raw.finish()
    features = source.columns or list(presence)
    if not features:
        raise fail(Code.INVALID, f"{name} has rows but no columns", param="path")
    warnings = list(source.warnings)
    for column in features:
        missing = rows - presence.get(column, 0)
        if missing:
            warnings.append(f"column {column!r} is missing in {missing} of {rows} rows")
    return DatasetFacts(kind, formats.verdict(features), features, rows, size, digest, warnings)


def read_rows(path: Path | str, type: str | None = None, *, sha256: str | None = None) -> Iterator[dict[str, Any]]:
    """The rows, one dict each; a column that a row lacks is not in its dict.

    Errors: as `inspect`, at the first broken row; with `sha256`, `conflict` after the last row of a file that hashes to
    something else.
    """
    file_path, name = Path(path), str(path)
    kind = _checked_type(file_path, type, name)
    with _opened(file_path, name) as raw:
        source = _Source(raw, kind, name)  # kept: its buffer closes the file when it goes
        for item in source:
            if item.row is None:
                raise fail(Code.INVALID, f"{name}: {item.place}: {item.error}", param="path")
            yield item.row
        if sha256 is not None and raw.finish()[0] != sha256:
            raise fail(
                Code.CONFLICT,
                f"{name} has changed since it was added",
                param="path",
                hint="add the changed file as a new dataset",
            )


def text_of(value: object) -> str:
    """How a value is written into text: text as it is, nothing for null, everything else as JSON."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


@dataclass(frozen=True)
class _Item:
    """One row, or what is wrong with it; `place` names its line (JSON: its number in the array)."""

    place: str
    row: dict[str, Any] | None = None
    error: str | None = None


class _HashedFile(io.RawIOBase):
    """A file that hashes what is read from it, so that the hash is of exactly the bytes that were parsed."""

    def __init__(self, path: Path) -> None:
        self._file: IO[bytes] = path.open("rb", buffering=0)
        self._hash = hashlib.sha256()
        self._size = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]  # Buffer is new in 3.12
        view = memoryview(buffer).cast("B")
        count: int = self._file.readinto(view)  # type: ignore[attr-defined]
        self._hash.update(view[:count])
        self._size += count
        return count

    def finish(self) -> tuple[str, int]:
        """Hash what is left; returns the SHA-256 and the size in bytes."""
        rest = bytearray(1 << 20)
        while self.readinto(rest):
            pass
        return self._hash.hexdigest(), self._size

    def close(self) -> None:
        self._file.close()
        super().close()


class _Source:
    """The rows of one file. `columns` is filled for CSV once the header is read."""

    def __init__(self, raw: _HashedFile, kind: FileType, name: str) -> None:
        self._file = io.BufferedReader(raw, 1 << 18)
        self._kind = kind
        self._name = name
        self._bytes_seen = False
        self.columns: list[str] = []
        self.warnings: list[str] = []

    def __iter__(self) -> Iterator[_Item]:
        if self._kind == "csv":
            return self._csv()
        return self._json() if self._kind == "json" else self._jsonl()

    def why_no_rows(self) -> str:
        if not self._bytes_seen:
            return "is empty"
        if self._kind == "csv":
            return "has a header but no rows" if self.columns else "is empty"
        return "is an empty array" if self._kind == "json" else "is empty"

    def _lines(self) -> Iterator[tuple[int, bytes | None]]:
        """Numbered lines without byte-order mark; None in place of a line over the limit."""
        number = 0
        while line := self._file.readline(MAX_LINE_BYTES + 1):
            number += 1
            if number == 1:
                line = line.removeprefix(codecs.BOM_UTF8)
            self._bytes_seen = self._bytes_seen or bool(line.strip())
            if len(line) <= MAX_LINE_BYTES:
                yield number, line
                continue
            while line and not line.endswith(b"\n"):
                line = self._file.readline(MAX_LINE_BYTES)
            yield number, None

    def _jsonl(self) -> Iterator[_Item]:
        for number, line in self._lines():
            place = f"line {number}"
            if line is None:
                yield _Item(place, error=f"longer than {MAX_LINE_BYTES} bytes")
                continue
            if not line.strip():
                continue
            try:
                value = strictjson.loads(line, max_bytes=MAX_LINE_BYTES, max_depth=MAX_DEPTH)
            except TunebusError as error:
                # Within one line a parser's "line 1" would only confuse.
                yield _Item(place, error=error.problem.message.replace(" at line 1 column", " at column"))
                continue
            yield _object(place, value)

    def _json(self) -> Iterator[_Item]:
        body = self._file.read(MAX_JSON_BYTES + 1).removeprefix(codecs.BOM_UTF8)
        self._bytes_seen = bool(body.strip())
        if not self._bytes_seen:
            return
        if len(body) > MAX_JSON_BYTES:
            raise fail(
                Code.TOO_LARGE,
                f"{self._name} is over the limit of {MAX_JSON_BYTES} bytes for JSON",
                param="path",
                hint="write it as JSONL, one object a line: that is read row by row",
            )
        try:
            value = strictjson.loads(body, max_bytes=MAX_JSON_BYTES, max_depth=MAX_DEPTH)
        except TunebusError as error:
            jsonl = "Extra data" in error.problem.message
            raise fail(
                Code.INVALID,
                f"{self._name}: {error.problem.message}",
                param="path",
                hint="one object a line is JSONL: name the file .jsonl" if jsonl else error.problem.hint,
            ) from None
        if isinstance(value, dict):
            yield _object("the object", value)
        elif isinstance(value, list):
            for number, element in enumerate(value, start=1):
                yield _object(f"row {number}", element)
        else:
            raise fail(Code.INVALID, f"{self._name} is {_kind_of(value)}, not an array of objects", param="path")

    def _csv(self) -> Iterator[_Item]:
        """RFC 4180 with a header row. A row is named by the line it starts on."""
        bad_bytes: dict[int, str] = {}

        def decoded() -> Iterator[str]:
            for number, line in self._lines():
                if line is None:
                    bad_bytes[number] = f"longer than {MAX_LINE_BYTES} bytes"
                    yield "\n"
                    continue
                if b"\0" in line:
                    bad_bytes[number] = "a text holds the NUL character"
                try:
                    yield line.decode("utf-8")
                except UnicodeDecodeError as error:
                    bad_bytes[number] = f"not UTF-8: bad byte at offset {error.start}"
                    yield line.decode("utf-8", errors="replace")

        csv.field_size_limit(MAX_LINE_BYTES)
        reader = csv.reader(decoded(), strict=True)
        while True:
            first_line = reader.line_num + 1
            place = f"line {first_line}"
            error: str | None = None
            fields: list[str] = []
            try:
                fields = next(reader)
            except StopIteration:
                return
            except csv.Error as problem:
                error = f"not CSV: {problem}"
            for number in range(first_line, reader.line_num + 1):
                error = bad_bytes.pop(number, None) or error
            if not self.columns:
                if error is not None:
                    raise fail(Code.INVALID, f"{self._name}: header, {place}: {error}", param="path")
                if len(fields) > 1 or any(field.strip() for field in fields):
                    self.columns = self._header(fields)
            elif error is not None:
                yield _Item(place, error=error)
            elif len(fields) > len(self.columns):
                yield _Item(place, error=f"{len(fields)} fields, but the header has {len(self.columns)}")
            elif fields:
                yield _Item(place, row=dict(zip(self.columns, fields, strict=False)))

    def _header(self, fields: list[str]) -> list[str]:
        names = [field.strip() for field in fields]
        problems = []
        blank = [str(number) for number, name in enumerate(names, start=1) if not name]
        if blank:
            problems.append(f"blank column name at column {', '.join(blank)}")
        repeated = (
            sorted({name for name in names if name and names.count(name) > 1}) if len(names) <= MAX_COLUMNS else []
        )
        problems += [f"duplicate column name {name!r}" for name in repeated]
        if len(names) > MAX_COLUMNS:
            problems.append(f"{len(names)} columns, more than the limit of {MAX_COLUMNS}")
        if problems:
            found = [Problem(code=Code.INVALID, message=text, param="path") for text in problems]
            raise TunebusError(
                Problem(
                    code=Code.INVALID,
                    message=f"{self._name}: header: {'; '.join(problems)}",
                    param="path",
                    hint="the first line names the columns, each by a name of its own",
                    details=found if len(found) > 1 else None,
                )
            )
        for separator, word in ((";", "semicolons"), ("\t", "tabs")):
            if len(names) == 1 and separator in names[0]:
                self.warnings.append(f"the only column is {names[0]!r}: columns are separated by commas, not {word}")
        return names


class _Formats:
    """Tells conversations and prompt/completion pairs from plain columns while the rows go by."""

    def __init__(self) -> None:
        self._rows = self._conversations = self._pairs = 0

    def see(self, row: dict[str, Any]) -> str | None:
        """Take a row into account; returns what is wrong with it as a conversation where the rows before were some."""
        self._rows += 1
        self._pairs += _is_part(row.get("prompt")) and _is_part(row.get("completion"))
        value = row.get("messages")
        if self._rows == 1 and not isinstance(value, list):
            return None
        if self._rows > 1 and not self._conversations:
            return None
        self._conversations += 1
        return conversation_error(value)

    def verdict(self, features: list[str]) -> DataFormat:
        if self._conversations:
            return "messages"
        if "prompt" in features and "completion" in features and self._pairs == self._rows:
            return "prompt_completion"
        return "prompt"


def conversation_error(value: object, *, answer: bool = True) -> str | None:
    """What keeps a value from being a list of chat messages, or None. With `answer`, one must be the assistant's."""
    if not isinstance(value, list) or not value:
        return f"'messages' is {_kind_of(value)}, not a list of messages"
    for number, message in enumerate(value, start=1):
        if not isinstance(message, dict):
            return f"message {number} is {_kind_of(message)}, not an object with 'role' and 'content'"
        if message.get("role") not in ROLES:
            return f"message {number} has the role {message.get('role')!r}; roles are {', '.join(ROLES)}"
        if not isinstance(message.get("content"), str):
            return f"the content of message {number} is {_kind_of(message.get('content'))}, not text"
    if answer and not any(message["role"] == "assistant" for message in value):
        return "no message of the assistant: there is nothing to learn"
    return None


def _is_part(value: object) -> bool:
    if isinstance(value, list):
        return conversation_error(value, answer=False) is None
    return not isinstance(value, dict)


def _object(place: str, value: object) -> _Item:
    """The value as a row: an object with named columns."""
    if not isinstance(value, dict):
        return _Item(place, error=f"{_kind_of(value)}, not an object")
    if not all(name.strip() for name in value):
        return _Item(place, error="blank column name")
    return _Item(place, row=value)


def _kind_of(value: object) -> str:
    if value is None:
        return "null"
    names = {
        dict: "an object",
        list: "an array",
        str: "text",
        bool: "true or false",
        int: "a number",
        float: "a number",
    }
    return names.get(type(value), type(value).__name__)


def _broken_file(name: str, broken: int, findings: list[Problem], *, stopped: bool) -> Problem:
    rows = "1 row is" if broken == 1 else f"{broken} rows are"
    listed = "; ".join(problem.message for problem in findings[:3])
    more = f"; and {broken - 3} more" if broken > 3 else ""
    where = "; reading stopped there" if stopped else ""
    return Problem(
        code=Code.INVALID,
        message=f"{name}: {rows} broken: {listed}{more}{where}",
        param="path",
        hint="repair these rows and add the file again",
        details=findings,
    )


def _checked_type(path: Path, asked: str | None, name: str) -> FileType:
    kind: FileType
    if asked is None:
        kind = type_of(path)
    elif asked in SUFFIXES:
        kind = asked
    else:
        raise fail(Code.INVALID, f"unknown type {asked!r}", param="type", hint=f"types are {', '.join(SUFFIXES)}")
    if path.suffix.lower() not in SUFFIXES[kind]:
        raise fail(
            Code.INVALID,
            f"{name} has the suffix {path.suffix or '(none)'!r}, which is not of type {kind!r}",
            param="path",
            hint=f"a {kind} file's name ends in {' or '.join(SUFFIXES[kind])}",
        )
    return kind


def _opened(path: Path, name: str) -> _HashedFile:
    try:
        if path.is_dir():
            raise fail(Code.INVALID, f"{name} is a folder, not a file", param="path")
        if path.exists() and not path.is_file():
            raise fail(Code.INVALID, f"{name} is not a regular file", param="path")
        return _HashedFile(path)
    except FileNotFoundError:
        raise fail(Code.NOT_FOUND, f"there is no file {name}", param="path") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise fail(Code.NOT_PERMITTED, f"{name} cannot be read: {reason}", param="path") from None
