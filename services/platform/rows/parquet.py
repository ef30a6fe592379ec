"""Rows of a parquet file as JSON has them. Only for child processes: pyarrow is imported on use.

Dates and decimals become text, a missing number (NaN) null; bytes must be UTF-8, for nothing else can be trained on.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

from tunebus.contracts.errors import Code, fail

BATCH_ROWS = 512


class ParquetRows:
    """The rows of one file, a batch in memory at a time."""

    def __init__(self, file: Any, name: str) -> None:
        self._file = file
        self._name = name
        self.columns: list[str] = list(file.schema_arrow.names)
        self.rows = int(file.metadata.num_rows)
        self.depth = max((_depth(field.type) for field in file.schema_arrow), default=0)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        import pyarrow

        number = 0
        try:
            for batch in self._file.iter_batches(batch_size=BATCH_ROWS, use_threads=False):
                for row in batch.to_pylist():
                    number += 1
                    yield {name: _plain(value) for name, value in row.items()}
        except pyarrow.ArrowException as error:
            raise _broken(self._name, f"after row {number}: {_words(error)}") from None
        except UnicodeDecodeError:
            raise _broken(self._name, f"row {number}: a value is neither text nor UTF-8 bytes") from None
        except (OSError, ValueError, OverflowError) as error:
            raise _broken(self._name, f"after row {number}: {_words(error)}") from None


def opened(path: Path, name: str) -> ParquetRows:
    """Errors: `invalid` for a file that is not parquet."""
    import pyarrow
    import pyarrow.parquet

    try:
        return ParquetRows(pyarrow.parquet.ParquetFile(path, pre_buffer=False), name)
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        raise _broken(name, f"not parquet: {_words(error)}") from None


def _depth(kind: Any) -> int:
    """How deep lists, maps and structs are nested."""
    inner = [kind.field(number).type for number in range(kind.num_fields)]
    return 1 + max((_depth(each) for each in inner), default=0)


def _plain(value: Any) -> Any:
    """A value of Arrow's as JSON knows it. Raises UnicodeDecodeError for bytes that are no text."""
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        if math.isnan(value):
            return None
        return value if math.isfinite(value) else str(value)
    if isinstance(value, dict):
        return {str(name): _plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, date | datetime | time):
        return value.isoformat()
    return str(value)  # decimals, durations, UUIDs


def _words(error: Exception) -> str:
    return str(error).strip().split("\n", 1)[0][:200] or type(error).__name__


def _broken(name: str, why: str) -> Exception:
    return fail(Code.INVALID, f"{name}: {why}", param="path", hint="write it anew as parquet, or as JSONL")
