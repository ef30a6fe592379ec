"""Dataset files on disk: their types by suffix, their limits, their hashes, and whether they still are what was added.

It knows nothing of what is in them. Findings are words, never an exception of the operating system.
"""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import IO, get_args

from tunebus.contracts.errors import Code, fail
from tunebus.contracts.recipes import DatasetFile, FileType

SUFFIXES: dict[FileType, tuple[str, ...]] = {
    "csv": (".csv",),
    "tsv": (".tsv", ".tab"),
    "json": (".json",),
    "jsonl": (".jsonl", ".ndjson"),
    "parquet": (".parquet",),
}
FILE_TYPES: tuple[FileType, ...] = get_args(FileType)

MAX_FILE_BYTES = 64 * 1024**3


def known_type(path: Path) -> FileType | None:
    """The type that a file's suffix stands for, in any case of letters."""
    suffix = path.suffix.lower()
    return next((kind for kind, suffixes in SUFFIXES.items() if suffix in suffixes), None)


def type_of(path: Path) -> FileType:
    """The type that a file's suffix stands for. Errors: `invalid`, naming the suffixes there are."""
    kind = known_type(path)
    if kind is None:
        known = ", ".join(suffix for suffixes in SUFFIXES.values() for suffix in suffixes)
        raise fail(
            Code.INVALID,
            f"{path} has the suffix {path.suffix or '(none)'!r}",
            param="path",
            hint=f"known suffixes: {known}",
        )
    return kind


def checked_type(path: Path, asked: str | None, name: str) -> FileType:
    """The type that was asked for, where the suffix is of that type. Errors: `invalid`."""
    kind = known_type(path) if asked is None else next((kind for kind in FILE_TYPES if kind == asked), None)
    if kind is None:
        if asked is None:
            return type_of(path)
        raise fail(Code.INVALID, f"unknown type {asked!r}", param="type", hint=f"types are {', '.join(FILE_TYPES)}")
    if path.suffix.lower() not in SUFFIXES[kind]:
        raise fail(
            Code.INVALID,
            f"{name} has the suffix {path.suffix or '(none)'!r}, which is not of type {kind!r}",
            param="path",
            hint=f"a {kind} file's name ends in {' or '.join(SUFFIXES[kind])}",
        )
    return kind


class HashedFile(io.RawIOBase):
    """A file that hashes what is read from it, so that the hash is of exactly the bytes that were parsed."""

    def __init__(self, path: Path) -> None:
        self._file: IO[bytes] = path.open("rb", buffering=0)
        self._hash = hashlib.sha256()
        self.size = 0
        """Bytes read so far."""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]  # Buffer is new in 3.12
        view = memoryview(buffer).cast("B")
        count: int = self._file.readinto(view)  # type: ignore[attr-defined]
        self._hash.update(view[:count])
        self.size += count
        return count

    def finish(self) -> tuple[str, int]:
        """Hash what is left; returns the SHA-256 and the size in bytes."""
        rest = bytearray(1 << 20)
        while self.readinto(rest):
            pass
        return self._hash.hexdigest(), self.size

    def close(self) -> None:
        self._file.close()
        super().close()


def opened(path: Path, name: str) -> HashedFile:
    """Errors: `not_found`, `not_permitted`, `invalid` for what is no regular file, `too_large`."""
    try:
        if path.is_dir():
            hint = "name one of its files, or leave the type out to add all of them"
            raise fail(Code.INVALID, f"{name} is a folder, not a file", param="path", hint=hint)
        if path.exists() and not path.is_file():
            raise fail(Code.INVALID, f"{name} is not a regular file", param="path", hint="copy its content into one")
        size = path.stat().st_size
        if size > MAX_FILE_BYTES:
            raise fail(
                Code.TOO_LARGE,
                f"{name} has {size} bytes, over the limit of {MAX_FILE_BYTES}",
                param="path",
                hint="split it, and add a folder of files",
            )
        return HashedFile(path)
    except FileNotFoundError:
        hint = "paths are those of the machine that the studio runs on"
        raise fail(Code.NOT_FOUND, f"there is no file {name}", param="path", hint=hint) from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = error.strerror if isinstance(error, OSError) else str(error)
        hint = "let the user that the studio runs as read it"
        raise fail(Code.NOT_PERMITTED, f"{name} cannot be read: {reason}", param="path", hint=hint) from None


def folder_sha256(files: Sequence[DatasetFile]) -> str:
    """One hash for several files: of their hashes, splits and paths, as they are listed."""
    lines = (f"{file.sha256} {file.split} {file.path}\n" for file in files)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def check_unchanged(location: Path, sha256: str, size: int | None = None, files: Sequence[DatasetFile] = ()) -> None:
    """Read a dataset's file, or all of its files, and compare.

    Errors: `not_found`, `not_permitted`, `conflict`; the message is what follows "the file …".
    """
    listed: list[tuple[Path, str, str, int | None]] = [
        (location / file.path, f"{location.name}/{file.path} ", file.sha256, file.bytes) for file in files
    ]
    for path, name, expected, length in listed or [(location, "", sha256, size)]:
        try:
            with path.open("rb") as file:
                same = length is None or os.fstat(file.fileno()).st_size == length
                same = same and hashlib.file_digest(file, "sha256").hexdigest() == expected
        except FileNotFoundError:
            raise fail(Code.NOT_FOUND, f"{name}is gone") from None
        except OSError as error:
            raise fail(Code.NOT_PERMITTED, f"{name}cannot be read: {error.strerror}") from None
        if not same:
            raise fail(Code.CONFLICT, f"{name}has changed since it was added")
