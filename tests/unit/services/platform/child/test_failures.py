"""Every failure gets one of the named causes, and words that help."""

from __future__ import annotations

import errno
from typing import get_args

import pytest
from tunebus.contracts.commands import FailureCause
from tunebus.contracts.errors import Code, fail
from tunebus.services.platform.child.failures import ChildFailure, configuration, explain, not_readable, over_limit


class OutOfMemoryError(RuntimeError):
    """Stands for torch's, which goes by this name."""


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (ChildFailure("nan_loss", "the loss became nan"), "nan_loss"),
        (OSError(errno.ENOSPC, "No space left on device"), "disk_full"),
        (OSError(errno.EFBIG, "File too large"), "disk_full"),
        (RuntimeError("[enforce fail at inline_container.cc:664] . unexpected pos 128 vs 22"), "disk_full"),
        (Exception("Error while serializing: I/O error: No space left on device (os error 28)"), "disk_full"),
        (MemoryError(), "out_of_memory"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"), "out_of_memory"),
        (OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"), "out_of_memory"),
        (fail(Code.INVALID, "x", param="text_format"), "bad_configuration"),
        (fail(Code.INVALID, "x"), "bad_data"),
        (ZeroDivisionError("division by zero"), "crashed"),
        (KeyboardInterrupt(), "crashed"),
    ],
)
def test_causes(error: BaseException, cause: str) -> None:
    failure = explain(error)
    assert failure.cause == cause
    assert failure.message.strip()
    assert failure.cause in get_args(FailureCause)


def test_only_the_unforeseen_carries_a_traceback_and_only_in_its_detail() -> None:
    try:
        raise ZeroDivisionError("division by zero\nsecond line")
    except ZeroDivisionError as error:
        failure = explain(error)
    assert failure.message == "ZeroDivisionError: division by zero"
    assert "Traceback" in failure.detail
    assert explain(ChildFailure("bad_data", "row 3")).detail == ""


def test_problems_are_marked_by_where_they_arose() -> None:
    problem = fail(Code.NOT_FOUND, "there is no file x.csv", param="path")
    assert configuration(problem).cause == "bad_configuration"
    assert not_readable(problem).cause == "bad_data"
    assert "put the file back" in (not_readable(problem).hint or "")


def test_hints_speak_of_what_the_kind_of_job_has() -> None:
    errors = (OSError(errno.ENOSPC, "full"), MemoryError(), OutOfMemoryError("CUDA out of memory"))
    for kind, words in (("export_job", ()), ("evaluation_job", ("batch size",)), ("fine_tuning_job", ("checkpoint",))):
        hints = [explain(error, kind).hint or "" for error in errors]
        hints.append(over_limit(2, 1, kind).hint or "")
        assert all(hints), kind
        for word in ("checkpoint", "batch size", "max_length"):
            said = any(word in hint for hint in hints)
            assert said == (word in words or kind == "fine_tuning_job"), (kind, word, hints)


def test_the_memory_limit_is_named() -> None:
    message = over_limit(3 * 1024**3, 2 * 1024**3).message
    assert "3.00 GiB" in message
    assert "num_memory of 2.00 GiB" in message
