"""What a dataset's files hold: read once, front to back, hashed, counted and recognised, in memory for few rows.

It keeps figures about rows, never the rows. The registry's prepare child runs it when a dataset is added.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tunebus.contracts.errors import Code, Problem, TunebusError, combine, fail
from tunebus.contracts.events import ColumnStatistics, DatasetStatistics
from tunebus.contracts.recipes import DataFormat, DatasetFile
from tunebus.services.platform.rows import formats, reading
from tunebus.services.platform.rows.files import checked_type, folder_sha256
from tunebus.services.platform.rows.folders import Part
from tunebus.services.platform.rows.formats import FORMATS
from tunebus.services.platform.rows.reading import FileRows, Item, text_of
from tunebus.services.platform.rows.split import HELD_OUT, TRAIN

NAMED_FINDINGS = 20
NAMED_COLUMNS = 20
SAMPLE_ROWS = 1000
SAMPLE_BYTES = 8 * 1024 * 1024
MAX_FINGERPRINTS = 16_000_000  # 8 bytes each
_BUCKETS = 256
_PROGRESS_ROWS = 500

Progress = Callable[[int], None]
"""Called now and then with the bytes that are done."""


@dataclass(frozen=True)
class Wish:
    """What the sender says of the file. Nothing said: columns as they are, the format that is recognised, all rows."""

    column_mapping: Mapping[str, str] = field(default_factory=dict)
    format: DataFormat | None = None
    skip_broken: bool = False


@dataclass(frozen=True)
class DatasetFacts:
    """What a dataset holds. `rows` are those that are used, `skipped` those left out as broken."""

    type: str
    format: DataFormat
    features: list[str]
    rows: int
    bytes: int
    sha256: str
    statistics: DatasetStatistics
    files: list[DatasetFile] = field(default_factory=list)
    skipped: int = 0
    warnings: list[str] = field(default_factory=list)


def inspect(
    path: Path | str,
    type: str | None = None,
    *,
    shown: str | None = None,
    wish: Wish | None = None,
    progress: Progress = lambda _: None,
) -> DatasetFacts:
    """Read a whole file and tell what it holds. `shown` is the path as its sender wrote it, for messages.

    Errors: `not_found`, `not_permitted`, `too_large`, `invalid`; where rows are broken, the message counts them and
    `details` names the first 20 by line.
    """
    name = shown or str(path)
    part = Part(Path(path), name, checked_type(Path(path), type, name))
    inspection = _Inspection(wish or Wish(), name, progress)
    file = inspection.read(part)
    return inspection.facts(part.type, file.sha256, [])


def inspect_parts(
    parts: Sequence[Part], shown: str, *, wish: Wish | None = None, progress: Progress = lambda _: None
) -> DatasetFacts:
    """As `inspect`, of several files that are one dataset. Errors: also `conflict` between the splits' columns."""
    inspection = _Inspection(wish or Wish(), shown, progress, named=True)
    files = [inspection.read(part) for part in parts]
    return inspection.facts("folder", folder_sha256(files), files)


class _Inspection:
    """The figures of a dataset while its rows go by."""

    def __init__(self, wish: Wish, name: str, progress: Progress, *, named: bool = False) -> None:
        self._wish = wish
        self._name = name
        self._progress = progress
        self._named = named  # findings name their file
        self._format: DataFormat | None = None
        self._columns: dict[str, _Column] = {}
        self._raw_columns: dict[str, None] = {}
        self._findings: list[Problem] = []
        self._broken = self._rows = self._bytes = self._empty_answers = 0
        self._stopped = False
        self._warnings: list[str] = []
        self._fingerprints: dict[str, _Fingerprints] = {}

    def read(self, part: Part) -> DatasetFile:
        """Read one file to its end. Errors: those of the file as a whole."""
        before = self._rows
        broken = self._broken
        shown = f"{self._name}/{part.name}" if self._named else part.name
        with FileRows(part.path, part.type, name=shown) as file:
            for number, item in enumerate(self._with_format(file)):
                self._see(item, part)
                if number % _PROGRESS_ROWS == 0:
                    self._progress(self._bytes + file.done)
                if self._stopped:
                    break
            if self._rows == before and self._broken == broken:
                raise file.no_rows(shown)
            for column in file.columns:
                self._column(column)
            self._warnings += file.warnings
            sha256, size = file.finish()
        self._bytes += size
        self._progress(self._bytes)
        return DatasetFile(
            path=part.name, type=part.type, split=part.split, rows=self._rows - before, bytes=size, sha256=sha256
        )

    def facts(self, type: str, sha256: str, files: list[DatasetFile]) -> DatasetFacts:
        """What was found, after the last file. Errors: `invalid` for rows that are broken and a format that misses."""
        problems = formats.mapping_misses(self._wish.column_mapping, self._raw_columns)
        if problems and self._raw_columns and not self._stopped:
            raise TunebusError(combine(problems))
        if self._broken and (self._stopped or not self._wish.skip_broken):
            raise TunebusError(self._broken_rows())
        if not self._rows:
            raise TunebusError(self._broken_rows(nothing_left=True))
        if not self._columns:
            message = f"{self._name} has rows but no columns"
            raise fail(Code.INVALID, message, param="path", hint="name a value in each row")
        self._check_columns()
        assert self._format is not None
        return DatasetFacts(
            type=type,
            format=self._format,
            features=list(self._columns),
            rows=self._rows,
            bytes=self._bytes,
            sha256=sha256,
            statistics=DatasetStatistics(
                columns=[column.statistics(name, self._rows) for name, column in self._columns.items()],
                duplicate_rows=sum(each.duplicates() for each in self._fingerprints.values()),
                empty_answers=None if self._format == "prompt" else self._empty_answers,
                overlaps=self._overlaps(),
            ),
            files=files,
            skipped=self._broken,
            warnings=self._all_warnings(),
        )

    def _with_format(self, file: FileRows) -> Iterator[Item]:
        """The rows again, once enough of them were seen to tell what they are."""
        items = iter(file)
        if self._format is None:
            sample: list[Item] = []
            for item in items:
                sample.append(item)
                if len(sample) == SAMPLE_ROWS or file.done > SAMPLE_BYTES:
                    break
            self._format = self._decided([item.row for item in sample if item.row], file.columns)
            yield from sample
        yield from items

    def _decided(self, rows: Sequence[dict[str, Any]], header: Sequence[str]) -> DataFormat:
        """What was asked for, where the first rows have the columns for it, else what they look like."""
        standard = [formats.renamed(row, self._wish.column_mapping) for row in rows]
        names = dict.fromkeys(formats.renamed(dict.fromkeys(header), self._wish.column_mapping))
        names |= {name: None for row in standard for name in row}
        if self._wish.format is None:
            return formats.recognised(standard, names)
        if names:
            self._check_format(self._wish.format, names)
        return self._wish.format

    def _see(self, item: Item, part: Part) -> None:
        assert self._format is not None
        error = item.error
        if item.row is not None:
            row = item.row
            if not row.keys() <= self._raw_columns.keys():
                self._raw_columns |= dict.fromkeys(row)
            if len(self._raw_columns) > reading.MAX_COLUMNS:
                error = f"more than {reading.MAX_COLUMNS} columns"
                self._stopped = True
            else:
                standard = formats.renamed(row, self._wish.column_mapping)
                error = formats.misfit(standard, self._format)
                if error is None:
                    self._count(standard, part.split)
        if error is not None:
            self._broken += 1
            if len(self._findings) < NAMED_FINDINGS:
                place = f"{part.name}: {item.place}" if self._named else item.place
                self._findings.append(Problem(code=Code.INVALID, message=f"{place}: {error}", param="path"))

    def _count(self, row: Mapping[str, Any], split: str) -> None:
        self._rows += 1
        texts = []
        for name, value in row.items():
            text = None if value is None else text_of(value)
            texts.append((name, text))
            column = self._columns.get(name)
            if column is None:
                column = self._columns[name] = _Column()
            column.see(text)
        prints = self._fingerprints.get(split)
        if prints is None:
            prints = self._fingerprints[split] = _Fingerprints()
        prints.add(hash(frozenset(texts)))
        if self._format != "prompt":
            self._empty_answers += _is_blank(formats.answer(row, self._format or "prompt"))

    def _column(self, column: str) -> None:
        """A column that the file names, whether or not a row has it."""
        self._raw_columns.setdefault(column)
        name = next((name for name, mapped in self._wish.column_mapping.items() if mapped == column), column)
        self._columns.setdefault(name, _Column())

    def _check_columns(self) -> None:
        assert self._format is not None
        self._check_format(self._format, self._columns)
        if self._wish.column_mapping and self._format == "prompt" and self._wish.format is None:
            nearly = "; ".join(formats.nearly(self._columns)) or "its names are of no one format"
            raise fail(
                Code.INVALID,
                f"{self._name} fits no format with this mapping: {nearly}",
                param="column_mapping",
                hint=f"{_listed(self._columns)}; ask for format 'prompt' to use them in a prompt's templates",
            )

    def _check_format(self, format: DataFormat, columns: Collection[str]) -> None:
        missing = formats.lacking(columns, format)
        if missing:
            raise fail(
                Code.INVALID,
                f"{self._name} does not fit {FORMATS[format].title}: it lacks {' and '.join(map(repr, missing))}",
                param="format",
                hint=f"{_listed(columns)}; name those that mean the same in column_mapping",
            )

    def _overlaps(self) -> dict[str, int]:
        train = self._fingerprints.get(TRAIN)
        if train is None:
            return {}
        return {
            name: self._fingerprints[name].rows_in(train) for name in reversed(HELD_OUT) if name in self._fingerprints
        }

    def _all_warnings(self) -> list[str]:
        warnings = list(self._warnings)
        if self._broken:
            named = "; ".join(problem.message for problem in self._findings[:3])
            more = f"; and {self._broken - 3} more" if self._broken > 3 else ""
            warnings.append(f"{_rows(self._broken)} broken and left out: {named}{more}")
        missing = [(name, self._rows - column.present) for name, column in self._columns.items()]
        missing = [(name, count) for name, count in missing if count]
        warnings += [
            f"column {name!r} is missing in {count} of {self._rows} rows" for name, count in missing[:NAMED_COLUMNS]
        ]
        if len(missing) > NAMED_COLUMNS:
            warnings.append(f"{len(missing) - NAMED_COLUMNS} more columns are missing in some rows")
        if self._format == "prompt":
            warnings += [f"plain columns, which need a prompt: {clause}" for clause in formats.nearly(self._columns)]
        elif self._empty_answers:
            warnings.append(f"the answer is empty in {self._empty_answers} of {self._rows} rows")
        if unread := formats.not_read(self._columns, self._format or "prompt"):
            columns = " and ".join(map(repr, unread))
            warnings.append(f"the column {columns} is not read: conversations are trained on without it")
        if self._format == "preference":
            warnings.append("preference pairs are kept, but no recipe trains on them yet")
        for split, count in self._overlaps().items():
            if count:
                warnings.append(f"{count} rows of the split {split!r} are in {TRAIN!r} as well")
        if any(each.full for each in self._fingerprints.values()):
            warnings.append(f"duplicates were counted among the first {MAX_FINGERPRINTS:,} rows of a split alone")
        return warnings

    def _broken_rows(self, *, nothing_left: bool = False) -> Problem:
        listed = "; ".join(problem.message for problem in self._findings[:3])
        more = f"; and {self._broken - 3} more" if self._broken > 3 else ""
        where = "; reading stopped there" if self._stopped else ""
        hint = "repair these rows and add the file again, or add it with skip_broken to leave them out"
        if any("not UTF-8" in problem.message for problem in self._findings):
            hint = f"save it as UTF-8, or {hint}"
        hint = "no row is left" if nothing_left else hint
        last = self._findings[-1].model_copy(update={"hint": hint})  # said once, below all of them
        return Problem(
            code=Code.INVALID,
            message=f"{self._name}: {_rows(self._broken)} broken: {listed}{more}{where}",
            param="path",
            hint=hint,
            details=[*self._findings[:-1], last],
        )


@dataclass
class _Column:
    """Counts of one column; lengths in characters of the values as text, of those that are not blank."""

    present: int = 0
    blank: int = 0
    shortest: int | None = None
    longest: int = 0
    characters: int = 0

    def see(self, text: str | None) -> None:
        self.present += 1
        if text is None or _is_blank(text):
            self.blank += 1
            return
        length = len(text)
        if self.shortest is None or length < self.shortest:
            self.shortest = length
        if length > self.longest:
            self.longest = length
        self.characters += length

    def statistics(self, name: str, rows: int) -> ColumnStatistics:
        """A column that a row lacks counts as null in it."""
        filled = self.present - self.blank
        return ColumnStatistics(
            name=name,
            nulls=rows - filled,
            min_length=self.shortest,
            max_length=self.longest if filled else None,
            mean_length=round(self.characters / filled, 1) if filled else None,
        )


class _Fingerprints:
    """64-bit hashes of rows, in buckets that are looked at one by one, so that counting needs no large set."""

    def __init__(self) -> None:
        self._buckets = [array("q") for _ in range(_BUCKETS)]
        self._count = 0

    @property
    def full(self) -> bool:
        return self._count > MAX_FINGERPRINTS

    def add(self, value: int) -> None:
        self._count += 1
        if self._count <= MAX_FINGERPRINTS:
            self._buckets[value % _BUCKETS].append(value)

    def duplicates(self) -> int:
        """Rows that were there before."""
        return sum(len(bucket) - len(set(bucket)) for bucket in self._buckets)

    def rows_in(self, other: _Fingerprints) -> int:
        """How many of these rows the other has as well."""
        return sum(_common(mine, theirs) for mine, theirs in zip(self._buckets, other._buckets, strict=True))


def _common(mine: Iterable[int], theirs: Iterable[int]) -> int:
    known = set(theirs)
    return sum(value in known for value in mine)


def _listed(columns: Collection[str]) -> str:
    return f"columns: {', '.join(list(columns)[:50])}"


def _is_blank(text: str) -> bool:
    return not text or text.isspace()


def _rows(count: int) -> str:
    return "1 row is" if count == 1 else f"{count} rows are"
