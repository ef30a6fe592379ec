"""Rows of a dataset that deserve a look: duplicates, empty answers, overlap between splits, and broken ones.

Runs in a prepare child, reads front to back within bounded time and memory, and shows little of each row.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tunebus.contracts import strictjson
from tunebus.contracts.errors import TunebusError
from tunebus.contracts.recipes import DatasetFile, DatasetSource
from tunebus.services.platform.rows import formats
from tunebus.services.platform.rows.reading import FileRows, text_of
from tunebus.services.platform.rows.split import HELD_OUT, TRAIN
from tunebus.services.registry import prompt_generation

SECONDS = 40.0
MAX_REMEMBERED = 4_000_000
SHOWN_CHARACTERS = 300

Document = dict[str, Any]


def find(source: DatasetSource, *, kind: str, limit: int, after: int) -> Document:
    """`row` counts the rows that are used from 1, `same_as` is the row that one repeats, `after` how many findings to
    pass over."""
    judge = _JUDGES[kind](source)
    items: list[Document] = []
    found = looked_at = 0
    complete, more = True, False
    until = time.monotonic() + SECONDS
    for seen in _rows(source):
        looked_at += 1
        if judge.full or (looked_at % 1000 == 0 and time.monotonic() > until):
            complete = False
            break
        said = judge.says(seen)
        if said is None:
            continue
        found += 1
        if found <= after:
            continue
        if len(items) == limit:
            more = True
            break
        items.append({"row": seen.number, "place": seen.place, "split": seen.split, **said, "text": _text(seen.row)})
    return {
        "items": items,
        "next": str(after + limit) if more else None,
        "looked_at": looked_at,
        "complete": complete and not more,
    }


class _Seen:
    """A row, or what is wrong with it, and where it is; `number` is None for one that is left out."""

    __slots__ = ("error", "number", "place", "row", "split")

    def __init__(
        self, number: int | None, place: str, split: str, row: Mapping[str, Any] | None, error: str | None
    ) -> None:
        self.number, self.place, self.split, self.row, self.error = number, place, split, row, error


def _rows(source: DatasetSource) -> Iterator[_Seen]:
    """Every row with its place, those left out as broken among them."""
    location = Path(source.location)
    number = 0
    for part in source.files or [_whole(source)]:
        before = f"{part.path}: " if source.files else ""
        with FileRows(location / part.path if part.path else location, part.type) as file:
            for item in file:
                row, error = item.row, item.error
                if row is not None:
                    row = formats.renamed(row, source.column_mapping)
                    if source.skip_broken and source.row_format:
                        error = formats.misfit(row, source.row_format)
                if error is None:
                    number += 1
                yield _Seen(None if error else number, before + item.place, part.split, row, error)


def _whole(source: DatasetSource) -> DatasetFile:
    """A dataset of one file as if it were a folder of it."""
    assert source.type != "folder"
    return DatasetFile(path="", type=source.type, split=TRAIN, rows=0, bytes=0, sha256=source.sha256)


class _Judge:
    """Says of a row what there is to say of it, or None. `full` once it can remember no more rows."""

    def __init__(self, source: DatasetSource) -> None:
        self.source = source
        self.full = False

    def says(self, seen: _Seen) -> Document | None:
        raise NotImplementedError


class _Duplicates(_Judge):
    """Rows that an earlier row of the same split equals."""

    def __init__(self, source: DatasetSource) -> None:
        super().__init__(source)
        self._first: dict[tuple[str, int], int] = {}

    def says(self, seen: _Seen) -> Document | None:
        if seen.row is None or seen.number is None:
            return None
        first = self._first.setdefault((seen.split, _fingerprint(seen.row)), seen.number)
        self.full = len(self._first) > MAX_REMEMBERED
        return {"same_as": first} if first != seen.number else None


class _Overlaps(_Judge):
    """Held-out rows that are training rows as well; training rows come first in a dataset."""

    def __init__(self, source: DatasetSource) -> None:
        super().__init__(source)
        self._train: dict[int, int] = {}

    def says(self, seen: _Seen) -> Document | None:
        if seen.row is None or seen.number is None:
            return None
        mark = _fingerprint(seen.row)
        if seen.split in HELD_OUT:
            return {"same_as": self._train[mark]} if mark in self._train else None
        self._train.setdefault(mark, seen.number)
        self.full = len(self._train) > MAX_REMEMBERED
        return None


class _EmptyAnswers(_Judge):
    """Rows with nothing to learn; of plain columns the answer is the one that a generated prompt would take."""

    def __init__(self, source: DatasetSource) -> None:
        super().__init__(source)
        self._column: str | None = None
        if self.source.format == "prompt":
            self._column = prompt_generation.output_column(source.features)

    def says(self, seen: _Seen) -> Document | None:
        if seen.row is None or seen.number is None:
            return None
        try:
            answer = (
                text_of(seen.row.get(self._column)) if self._column else formats.answer(seen.row, self.source.format)
            )
        except TunebusError:
            return None
        return {"column": self._column} if not answer.strip() else None


class _Broken(_Judge):
    """Rows that were left out."""

    def says(self, seen: _Seen) -> Document | None:
        return {"error": seen.error} if seen.error else None


_JUDGES: dict[str, type[_Judge]] = {
    "duplicate": _Duplicates,
    "empty_answer": _EmptyAnswers,
    "overlap": _Overlaps,
    "broken": _Broken,
}


def _fingerprint(row: Mapping[str, Any]) -> int:
    """As adding the dataset counted them."""
    return hash(frozenset((name, None if value is None else text_of(value)) for name, value in row.items()))


def _text(row: Mapping[str, Any] | None) -> str | None:
    if row is None:
        return None
    text = strictjson.dumps(dict(row)).decode()
    return text if len(text) <= SHOWN_CHARACTERS else text[:SHOWN_CHARACTERS] + "…"
