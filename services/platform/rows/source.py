"""The rows of a dataset that was added, as training, evaluation and preview all read them: under their standard names,
without those that were left out when it was added.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

from tunebus.contracts.errors import Code, fail
from tunebus.contracts.recipes import DatasetFile, DatasetSource
from tunebus.services.platform.rows.folders import split_rows
from tunebus.services.platform.rows.formats import misfit, renamed
from tunebus.services.platform.rows.reading import FileRows


def rows_of(source: DatasetSource) -> Generator[dict[str, Any], None, None]:
    """One dict a row; a column that a row lacks is not in its dict. `location` is a path here.

    Errors: `invalid` at a broken row of a dataset that left none out, `conflict` after the last row of a file whose
    bytes are not those that were added.
    """
    location = Path(source.location)
    if not source.files:
        yield from _rows(source, location, source.type, source.sha256)
    for file in source.files:
        yield from _rows(source, location / file.path, file.type, file.sha256)


def own_splits(files: list[DatasetFile]) -> list[tuple[str, int]]:
    """The dataset's own splits in the order of its rows; none where every file is for training."""
    found = split_rows(files)
    return found if len(found) > 1 or any(name != "train" for name, _ in found) else []


def _rows(source: DatasetSource, path: Path, kind: str, sha256: str) -> Iterator[dict[str, Any]]:
    with FileRows(path, kind) as file:
        for item in file:
            if item.row is None:
                if source.skip_broken:
                    continue
                raise fail(Code.INVALID, f"{path}: {item.place}: {item.error}", param="path")
            row = renamed(item.row, source.column_mapping)
            if source.skip_broken and source.row_format and misfit(row, source.row_format):
                continue
            yield row
        if file.finish()[0] != sha256:
            raise fail(
                Code.CONFLICT,
                f"{path} has changed since it was added",
                param="path",
                hint="add the changed file as a new dataset",
            )
