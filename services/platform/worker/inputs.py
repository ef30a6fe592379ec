"""What is settled before a child starts: its files are there and unchanged, and where it resumes."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from tunebus.contracts.commands import FailureCause
from tunebus.contracts.errors import Code, TunebusError
from tunebus.contracts.recipes import Checkpoint, DatasetFile
from tunebus.services.platform.home import SCHEME, Home
from tunebus.services.platform.rows.files import check_unchanged

VerifyCheckpoint = Callable[[Path, str], bool]
"""(checkpoint's folder, SHA-256 of its manifest) -> whether it is whole."""

logger = logging.getLogger(__name__)


class Refused(Exception):
    """The attempt cannot start; the cause decides whether it is tried again."""

    def __init__(self, cause: FailureCause, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.cause = cause
        self.hint = hint


def localize(recipe: dict[str, Any], home: Home) -> dict[str, Any]:
    """The recipe with every `location` that is an `artifact:` URI made an absolute path. Errors: Refused."""
    local: dict[str, Any] = {}
    for key, value in recipe.items():
        if isinstance(value, dict):
            local[key] = localize(value, home)
        elif key == "location" and isinstance(value, str) and value.startswith(SCHEME):
            try:
                local[key] = str(home.path(value))
            except TunebusError as error:
                raise Refused("bad_configuration", error.problem.message) from None
        else:
            local[key] = value
    return local


def check_dataset(source: dict[str, Any]) -> None:
    """Refuse a dataset whose files are gone, unreadable or not those that were added. Reads all of them."""
    location, expected = str(source.get("location")), str(source.get("sha256"))
    files = [DatasetFile.model_validate(file) for file in source.get("files") or ()]
    try:
        check_unchanged(Path(location), expected, files=files)
    except TunebusError as error:
        hints = {
            Code.NOT_FOUND: "put it back, or add the dataset anew",
            Code.CONFLICT: "add it as a new dataset, or put the old file back",
        }
        problem = error.problem
        message = f"the dataset's file {location} {problem.message}"
        raise Refused("bad_data", message, hints.get(problem.code)) from None


def newest_whole(
    checkpoints: Iterable[dict[str, Any]], home: Home, verify: VerifyCheckpoint
) -> tuple[Checkpoint, Path] | None:
    """The first of the recorded checkpoints, newest first, whose files are as their manifest says."""
    for document in checkpoints:
        try:
            checkpoint = Checkpoint.model_validate(document)
            folder = home.path(checkpoint.uri)
            if verify(folder, checkpoint.manifest_sha256):
                return checkpoint, folder
        except (ValidationError, TunebusError, OSError, ValueError) as error:
            logger.warning("checkpoint passed over: %s", error, extra={"checkpoint": document.get("uri")})
            continue
        logger.warning("checkpoint passed over: its files are not what its manifest says", extra={"checkpoint": folder})
    return None


def cores() -> int:
    """CPU cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def threads(asked: int | None, setting: int | None, workers: int) -> int:
    """Threads of a child: what the job asks for, else the setting, else an equal share of the cores per worker.

    Trainers share the cores among trainers and evaluators among evaluators: both at once are the exception.
    """
    wanted = asked or setting or cores() // max(1, workers)
    return max(1, min(wanted, cores()))
