"""Reading the rows of one dataset file: CSV, TSV, JSON, JSONL and parquet, strictly; each with what is wrong with it.

All but JSON need memory for few rows, JSON for the file. Findings are words, never a parser's exception.
"""

from __future__ import annotations

import codecs
import csv
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunebus.contracts import strictjson
from tunebus.contracts.errors import Code, Problem, TunebusError, fail
from tunebus.contracts.recipes import FileType
from tunebus.services.platform.rows.files import checked_type, opened

MAX_COLUMNS = 2000
MAX_COLUMN_NAME = 200
MAX_LINE_BYTES = 16 * 1024 * 1024
MAX_JSON_BYTES = 256 * 1024 * 1024
MAX_DEPTH = 64

_SEPARATORS = {"csv": ",", "tsv": "\t"}
_ROWS_ARE: dict[FileType, str] = {
    "csv": "the first line names the columns, and each line below is a row",
    "tsv": "the first line names the columns, and each line below is a row",
    "json": "rows are the objects of one array",
    "jsonl": "each line is a row: one JSON object",
    "parquet": "rows are the table's",
}
_SAVE_AS_UTF8 = "save it as UTF-8"
_SEPARATOR_WORDS = {",": "commas", "\t": "tabs", ";": "semicolons"}


@dataclass(frozen=True)
class Item:
    """One row, or what is wrong with it; `place` names its line (JSON, parquet: its number)."""

    place: str
    row: dict[str, Any] | None = None
    error: str | None = None


class FileRows:
    """The rows of one file, once, front to back. `columns` is filled where the file names them before its rows.

    Errors: `not_found`, `not_permitted`, `too_large`, and `invalid` for a file that is broken as a whole.
    """

    def __init__(self, path: Path, type: str | None = None, *, name: str | None = None) -> None:
        self.name = name or str(path)
        self.type: FileType = checked_type(path, type, self.name)
        self._raw = opened(path, self.name)
        self._path = path
        self._file = io.BufferedReader(self._raw, 1 << 18)
        self._bytes_seen = False
        self.columns: list[str] = []
        self.warnings: list[str] = []
        self.done = 0
        """Bytes read so far; for a parquet file as if its rows were equally long."""

    def __iter__(self) -> Iterator[Item]:
        if self.type == "parquet":
            return self._parquet()
        return self._counted()

    def _counted(self) -> Iterator[Item]:
        read = {"csv": self._table, "tsv": self._table, "json": self._json, "jsonl": self._jsonl}[self.type]
        for item in read():
            self.done = self._raw.size
            yield item

    def __enter__(self) -> FileRows:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def finish(self) -> tuple[str, int]:
        """The SHA-256 and the size of the whole file."""
        return self._raw.finish()

    def no_rows(self, name: str) -> TunebusError:
        """The error of a file without a row, under the name that people know it by."""
        message = f"{name} {self._why_no_rows()}"
        return fail(Code.INVALID, message, param="path", hint=f"{_ROWS_ARE[self.type]}; at least one is needed")

    def _why_no_rows(self) -> str:
        if self.type == "parquet":
            return "has columns but no rows" if self.columns else "is empty"
        if not self._bytes_seen:
            return "is empty"
        if self.type in _SEPARATORS:
            return "has a header but no rows" if self.columns else "is empty"
        return "is an empty array" if self.type == "json" else "is empty"

    def _parquet(self) -> Iterator[Item]:
        """Hashed first, then read by pyarrow, which jumps about in the file."""
        from tunebus.services.platform.rows import parquet

        before = self._path.stat()
        self._raw.finish()
        self._bytes_seen = self._raw.size > 0
        if not self._bytes_seen:
            return
        table = parquet.opened(self._path, self.name)
        self.columns = self._header(table.columns)
        if table.depth > MAX_DEPTH:
            raise fail(
                Code.INVALID,
                f"{self.name}: columns are nested deeper than {MAX_DEPTH} levels",
                param="path",
                hint="flatten them",
            )
        for number, row in enumerate(table, start=1):
            self.done = before.st_size * number // max(table.rows, 1)
            yield Item(f"row {number}", row=dict(zip(self.columns, row.values(), strict=True)))
        after = self._path.stat()
        if (after.st_size, after.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
            hint = "add it again once nobody writes to it"
            raise fail(Code.CONFLICT, f"{self.name} was written to while it was read", param="path", hint=hint)

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

    def _jsonl(self) -> Iterator[Item]:
        for number, line in self._lines():
            place = f"line {number}"
            if line is None:
                yield Item(place, error=f"longer than {MAX_LINE_BYTES} bytes")
                continue
            if not line.strip():
                continue
            try:
                value = strictjson.loads(line, max_bytes=MAX_LINE_BYTES, max_depth=MAX_DEPTH)
            except TunebusError as error:
                # Within one line a parser's "line 1" would only confuse.
                yield Item(place, error=error.problem.message.replace(" at line 1 column", " at column"))
                continue
            yield _object(place, value)

    def _json(self) -> Iterator[Item]:
        body = self._file.read(MAX_JSON_BYTES + 1).removeprefix(codecs.BOM_UTF8)
        self._bytes_seen = bool(body.strip())
        if not self._bytes_seen:
            return
        if len(body) > MAX_JSON_BYTES:
            raise fail(
                Code.TOO_LARGE,
                f"{self.name} is over the limit of {MAX_JSON_BYTES} bytes for JSON",
                param="path",
                hint="write it as JSONL, one object a line: that is read row by row",
            )
        try:
            value = strictjson.loads(body, max_bytes=MAX_JSON_BYTES, max_depth=MAX_DEPTH)
        except TunebusError as error:
            message, hint = error.problem.message, error.problem.hint or "repair it there, or write it as JSONL"
            if "Extra data" in message:
                hint = "one object a line is JSONL: name the file .jsonl"
            elif message.startswith("not UTF-8"):
                hint = _SAVE_AS_UTF8
            raise fail(Code.INVALID, f"{self.name}: {message}", param="path", hint=hint) from None
        if isinstance(value, dict):
            yield _object("the object", value)
        elif isinstance(value, list):
            for number, element in enumerate(value, start=1):
                yield _object(f"row {number}", element)
        else:
            message = f"{self.name} is {kind_of(value)}, not an array of objects"
            raise fail(Code.INVALID, message, param="path", hint="write each row as an object of named values")

    def _table(self) -> Iterator[Item]:
        """RFC 4180 with a header row, TSV with tabs in place of commas. A row is named by the line it starts on."""
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
        reader = csv.reader(decoded(), strict=True, delimiter=_SEPARATORS[self.type])
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
                error = f"not {self.type.upper()}: {problem}"
            for number in range(first_line, reader.line_num + 1):
                error = bad_bytes.pop(number, None) or error
            if not self.columns:
                if error is not None:
                    # Other encodings than UTF-8 show as bytes that are none of it, or as NULs.
                    encoded = error.startswith("not UTF-8") or "NUL" in error
                    hint = _SAVE_AS_UTF8 if encoded else "quote a field that holds a quote or a line break"
                    raise fail(Code.INVALID, f"{self.name}: header, {place}: {error}", param="path", hint=hint)
                if len(fields) > 1 or any(field.strip() for field in fields):
                    self.columns = self._header(fields)
            elif error is not None:
                yield Item(place, error=error)
            elif len(fields) > len(self.columns):
                yield Item(place, error=f"{len(fields)} fields, but the header has {len(self.columns)}")
            elif fields:
                yield Item(place, row=dict(zip(self.columns, fields, strict=False)))

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
        too_long = next((name for name in names if len(name) > MAX_COLUMN_NAME), None)
        if too_long is not None:
            problems.append(f"the column name {too_long[:40]!r}… is longer than {MAX_COLUMN_NAME} characters")
        if problems:
            hint = "the first line names the columns, each by a name of its own"
            found = [Problem(code=Code.INVALID, message=text, param="path") for text in problems]
            found[-1] = found[-1].model_copy(update={"hint": hint})  # said once, below all of them
            raise TunebusError(
                Problem(
                    code=Code.INVALID,
                    message=f"{self.name}: header: {'; '.join(problems)}",
                    param="path",
                    hint=hint,
                    details=found if len(found) > 1 else None,
                )
            )
        own = _SEPARATORS.get(self.type)
        for separator, word in _SEPARATOR_WORDS.items():
            if own and separator != own and len(names) == 1 and separator in names[0]:
                self.warnings.append(
                    f"the only column is {names[0]!r}: columns are separated by {_SEPARATOR_WORDS[own]}, not {word}"
                )
        return names


def text_of(value: object) -> str:
    """How a value is written into text: text as it is, nothing for null, everything else as JSON."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _object(place: str, value: object) -> Item:
    """The value as a row: an object with named columns."""
    if not isinstance(value, dict):
        return Item(place, error=f"{kind_of(value)}, not an object")
    for name in value:
        if not name.strip():
            return Item(place, error="blank column name")
        if len(name) > MAX_COLUMN_NAME:
            return Item(place, error=f"column name {name[:40]!r}… is longer than {MAX_COLUMN_NAME} characters")
    return Item(place, row=value)


def kind_of(value: object) -> str:
    """What a JSON value is, in words."""
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
