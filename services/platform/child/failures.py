"""Why a child failed, in the words a job shows: one cause of the fixed list, a message, a way out.

Only what a user can do something about becomes a message; the traceback stays in `output.log` and in `detail`.
"""

from __future__ import annotations

import errno
import traceback
from dataclasses import dataclass
from typing import Any

from tunebus.contracts.commands import FailureCause
from tunebus.contracts.errors import Code, TunebusError, fail
from tunebus.contracts.subjects import EVALUATION_JOB, EXPORT_JOB, FINE_TUNING_JOB

GIB = 1024**3
_DETAIL_CHARACTERS = 8_000
_DISK_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_DISK_WORDS = ("No space left on device", "Disk quota exceeded", "File too large", "unexpected pos")
_HOST_MEMORY_WORDS = ("can't allocate memory", "not enough memory", "Cannot allocate memory", "std::bad_alloc")
_GPU_MEMORY_WORDS = (
    "CUDA out of memory",
    "HIP out of memory",
    "MPS backend out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
)
_DISK_HINT = {FINE_TUNING_JOB: "; the job goes on from its last checkpoint"}  # of all kinds that one alone has some
_GPU_HINTS = {
    FINE_TUNING_JOB: "halve the batch size and double the gradient accumulation, shorten max_length, or turn on "
    "gradient checkpointing",
    EVALUATION_JOB: "take a smaller batch size or a smaller max_new_tokens",
    EXPORT_JOB: "export it with num_gpu 0, or on a GPU with more memory",
}
_HOST_HINTS = {
    FINE_TUNING_JOB: "take a smaller batch size or max_length, or a machine with more memory",
    EVALUATION_JOB: "take a smaller batch size or max_new_tokens, or a machine with more memory",
    EXPORT_JOB: "export it on a machine with more memory",
}
_LIMIT_HINTS = {
    FINE_TUNING_JOB: ", or take a smaller batch size or max_length",
    EVALUATION_JOB: ", or take a smaller batch size or max_new_tokens",
}


class ChildFailure(Exception):
    """A failure whose cause is known where it happens."""

    def __init__(
        self, cause: FailureCause, message: str, hint: str | None = None, suggestion: dict[str, Any] | None = None
    ) -> None:
        super().__init__(message)
        self.cause: FailureCause = cause
        self.message = message
        self.hint = hint
        self.suggestion = suggestion


@dataclass(frozen=True)
class Failure:
    """The fields of a failed attempt's result. `suggestion` is left None where the cause alone says what to change."""

    cause: FailureCause
    message: str
    hint: str | None = None
    detail: str = ""
    suggestion: dict[str, Any] | None = None


def explain(error: BaseException, kind: str = FINE_TUNING_JOB) -> Failure:
    """The failure of a job of a kind behind an exception. What nobody foresaw is `crashed`, with the last frames as
    detail.
    """
    if isinstance(error, ChildFailure):
        return Failure(error.cause, error.message, error.hint, suggestion=error.suggestion)
    if isinstance(error, TunebusError):
        problem = error.problem
        cause: FailureCause = "bad_data" if problem.param in (None, "path") else "bad_configuration"
        return Failure(cause, problem.message, problem.hint)
    detail = "".join(traceback.format_exception(error))[-_DETAIL_CHARACTERS:]
    text = f"{type(error).__name__}: {error}"
    if _is_disk(error, text):
        return Failure(
            "disk_full",
            f"a file could not be written: {_first_line(str(error))}",
            "free disk space or raise the file size limit" + _DISK_HINT.get(kind, ", then start it again"),
            detail,
        )
    if type(error).__name__ == "OutOfMemoryError" or any(word in text for word in _GPU_MEMORY_WORDS):
        return Failure(
            "out_of_memory",
            f"the GPU's memory did not suffice: {_first_line(str(error))}",
            _GPU_HINTS.get(kind),
            detail,
        )
    if isinstance(error, MemoryError) or any(word in text for word in _HOST_MEMORY_WORDS):
        return Failure(
            "out_of_memory",
            f"the machine's memory did not suffice: {_first_line(str(error)) or 'allocation failed'}",
            _HOST_HINTS.get(kind),
            detail,
        )
    return Failure("crashed", _first_line(text), "the job's log has the details", detail)


def over_limit(rss: int, limit_bytes: int, kind: str = FINE_TUNING_JOB) -> Failure:
    """The failure of a child that used more memory than its job was given."""
    return Failure(
        "out_of_memory",
        f"the job used {rss / GIB:.2f} GiB of memory, over its limit num_memory of {limit_bytes / GIB:.2f} GiB",
        "raise num_memory" + _LIMIT_HINTS.get(kind, ""),
    )


def gib(size: float) -> str:
    """A size as people read it."""
    return f"{size / GIB:.2f} GiB" if size >= GIB / 10 else f"{size / 1024**2:.1f} MiB"


def configuration(error: TunebusError) -> ChildFailure:
    """Mark a problem as one of the settings, whatever field it names."""
    return ChildFailure("bad_configuration", error.problem.message, error.problem.hint)


def not_readable(error: TunebusError) -> ChildFailure:
    """Mark a problem as one of the data."""
    code = error.problem.code
    hint = error.problem.hint
    if code is Code.NOT_FOUND and hint is None:
        hint = "put the file back where it was added from, or add it again"
    return ChildFailure("bad_data", error.problem.message, hint)


def _is_disk(error: BaseException, text: str) -> bool:
    if isinstance(error, OSError) and error.errno in _DISK_ERRORS:
        return True
    return any(word in text for word in _DISK_WORDS)


def _first_line(text: str) -> str:
    return text.strip().split("\n", 1)[0][:1000]


def unreadable_job(reason: str) -> TunebusError:
    """The error of a child that was not given a job it can read."""
    return fail(Code.INVALID, reason, param="job")
