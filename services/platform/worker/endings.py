"""Names how an attempt ended, from the child's result, its exit and what it was told; nothing is sent from here."""

from __future__ import annotations

import signal
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError
from tunebus.contracts.commands import CompleteAttempt, FailAttempt, FailureCause
from tunebus.contracts.texts import storable
from tunebus.services.platform.child.suggestions import suggestion
from tunebus.services.platform.home import Home
from tunebus.services.platform.logs import redact
from tunebus.services.platform.worker.child import Exit
from tunebus.services.platform.worker.findings import finite
from tunebus.services.platform.worker.folder import AttemptFolder, read_json

# Words of the last line of stderr -> cause, for a child that died before it could write its result.
_LAST_WORDS: tuple[tuple[str, FailureCause], ...] = (
    ("No space left on device", "disk_full"),
    ("Disk quota exceeded", "disk_full"),
    ("File too large", "disk_full"),
    ("MemoryError", "out_of_memory"),
    ("OutOfMemoryError", "out_of_memory"),
    ("out of memory", "out_of_memory"),
    ("Cannot allocate memory", "out_of_memory"),
)
_DISK_HINT = "make room on the disk of the artifact root, then start the job again"
_MEMORY_HINT = "use a smaller batch size or max_length, or a machine with more memory"


@dataclass
class Told:
    """What this worker did to the child, and saw of the machine."""

    stop: bool = False
    kill: bool = False
    shutdown: bool = False
    memory_limit_gb: float | None = None  # set when the child was killed for using more
    oom_kills: int = 0  # by the kernel while the child ran
    step: int = 0


@dataclass
class _Failure:
    cause: FailureCause
    message: str
    detail: str = ""
    hint: str | None = None
    suggestion: dict[str, Any] | None = None
    exit: Exit = field(default_factory=lambda: Exit(None, None))


def ending_of(folder: AttemptFolder, home: Home, left: Exit | None, told: Told) -> CompleteAttempt | FailAttempt:
    """The attempt's last report. `left` is None when the supervisor died with its child, and nobody saw it end."""
    result = read_json(folder.result_file)
    if result is not None and (known := _by_result(folder, home, result, left, told)) is not None:
        return known
    if told.kill or (told.stop and left is not None and left.signal == signal.SIGTERM):
        return CompleteAttempt(job_id=folder.job_id, attempt=folder.attempt, outcome="stopped", step=told.step)
    return failed(folder, _without_result(folder, left, told))


def not_started(folder: AttemptFolder, told: Told) -> CompleteAttempt | FailAttempt:
    """The report of an attempt that was ended before it had a child."""
    if told.kill or told.stop:
        return CompleteAttempt(job_id=folder.job_id, attempt=folder.attempt, outcome="stopped")
    return failed(folder, _Failure("worker_shutdown", "the worker was shut down"))


def refused(folder: AttemptFolder, cause: FailureCause, message: str, hint: str | None = None) -> FailAttempt:
    """The report of an attempt that could not start."""
    return failed(folder, _Failure(cause, message, hint=hint))


def failed(folder: AttemptFolder, failure: _Failure) -> FailAttempt:
    change = failure.suggestion
    if change is None and (job := folder.job()) is not None:
        change = suggestion(failure.cause, job, (read_json(folder.running_file) or {}).get("resolved"))
    return FailAttempt(
        job_id=folder.job_id,
        attempt=folder.attempt,
        cause=failure.cause,
        message=redact(storable(failure.message))[:4000] or "ended without a word",
        detail=redact(storable(failure.detail))[-20_000:],
        hint=storable(failure.hint)[:1000] if failure.hint else None,
        suggestion=change,
        signal=failure.exit.signal,
        exit_code=failure.exit.code,
    )


def unreported(folder: AttemptFolder, cause: FailureCause, reason: str) -> FailAttempt:
    """The least that can be said of a failure whose report was refused: nothing that a child or a user wrote."""
    return FailAttempt(
        job_id=folder.job_id,
        attempt=folder.attempt,
        cause=cause,
        message=storable(f"the registry refused the report of the failure: {reason}")[:4000],
        hint="the output of the attempt says more",
    )


def _by_result(
    folder: AttemptFolder, home: Home, result: dict[str, Any], left: Exit | None, told: Told
) -> CompleteAttempt | FailAttempt | None:
    """From `result.json`; None when it is not readable as one."""
    outcome = result.get("outcome")
    if outcome == "stopped" and not (told.stop or told.kill):
        return failed(
            folder,
            _Failure("worker_shutdown", "the child was stopped without an order of the registry; its work is saved"),
        )
    try:
        if outcome in ("finished", "stopped"):
            relative = result.get("result")
            metrics = result.get("metrics") or {}
            return CompleteAttempt(
                job_id=folder.job_id,
                attempt=folder.attempt,
                outcome=outcome,
                step=result.get("step", 0),
                result_uri=home.uri(folder.path / relative) if relative else None,
                result_sha256=result.get("result_sha256"),
                result_type=result.get("result_type"),
                early_stopping=result.get("early_stopping"),
                metrics={str(name): finite(value) for name, value in metrics.items()},
                checked=result.get("checked"),
                registered_model=result.get("registered_model"),
            )
        if outcome == "failed":
            return failed(
                folder,
                _Failure(
                    result.get("cause", "crashed"),
                    str(result.get("message") or ""),
                    str(result.get("detail") or "") or folder.last_lines(),
                    str(result["hint"]) if result.get("hint") else None,
                    result.get("suggestion"),
                    left or Exit(None, None),
                ),
            )
    except (ValidationError, ValueError, TypeError, AttributeError):
        return None
    return None


def _without_result(folder: AttemptFolder, left: Exit | None, told: Told) -> _Failure:
    lines = folder.last_lines()
    if told.memory_limit_gb is not None:
        return _Failure(
            "out_of_memory",
            f"the child used more than the {told.memory_limit_gb:g} GiB that the job may use",
            lines,
            "give the job more num_memory, or use a smaller batch size or max_length",
            exit=left or Exit(None, signal.SIGKILL),
        )
    if told.shutdown:
        return _Failure("worker_shutdown", "the worker was shut down", exit=left or Exit(None, None))
    if left is None:
        return _Failure("worker_shutdown", "the worker's process ended, and its training with it", lines)
    last = lines.rsplit("\n", 1)[-1]
    if left.signal == signal.SIGKILL and told.oom_kills > 0:
        return _Failure(
            "out_of_memory", "the kernel killed the child for lack of memory", lines, _MEMORY_HINT, exit=left
        )
    if left.signal == getattr(signal, "SIGXFSZ", None):
        return _Failure("disk_full", "the limit on the size of a file was reached", lines, _DISK_HINT, exit=left)
    for words, cause in _LAST_WORDS:
        if words in last:
            return _Failure(cause, last, lines, _DISK_HINT if cause == "disk_full" else _MEMORY_HINT, exit=left)
    if left.signal is not None:
        return _Failure("killed_by_signal", f"the child was killed by {_name(left.signal)}", lines, exit=left)
    ended = f"the child ended with exit code {left.code} and without a result"
    return _Failure("crashed", f"{ended}: {last}" if last else ended, lines, exit=left)


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
