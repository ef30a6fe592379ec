"""One run of a child: reads `job.json`, keeps the spool, hears the order to stop, and always leaves a `result.json`.

    python -m tunebus.services.trainer.run FOLDER/job.json

Exit codes: 0 finished or stopped, 1 failed (the result names the cause), 2 not called properly.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, Literal, NoReturn

from pydantic import ValidationError
from tunebus.contracts import strictjson
from tunebus.contracts.errors import TunebusError, from_validation
from tunebus.contracts.recipes import STEPS, Checked, ChildJob
from tunebus.services.platform.child import failures, lifeline
from tunebus.services.platform.child.failures import ChildFailure, Failure
from tunebus.services.platform.child.files import write_document
from tunebus.services.platform.child.logtail import LogTail
from tunebus.services.platform.child.machine import Machine
from tunebus.services.platform.child.spool import Spool
from tunebus.services.platform.child.suggestions import suggestion

logger = logging.getLogger("tunebus.child")

OUTPUT = "output.log"
RESULT = "result.json"
RUNNING = "running.json"
RECORDED = "recorded.json"  # the supervisor's: the newest checkpoint that the registry has recorded
TELEMETRY = "telemetry.jsonl"
DRAFTS = ".tmp-*"  # folders that a death left half written

# Read by libraries when they are imported, which is later. What is set already stays.
ENVIRONMENT = {
    "HF_HUB_OFFLINE": "1",
    "TOKENIZERS_PARALLELISM": "false",
    # How often a thread of OpenMP (torch's wheels for Linux bring libgomp) looks whether the others are done before it
    # sleeps. Looking for long wins nothing but where no other process wants the core: then it costs most of the speed.
    # Steps a second of two threads on two cores, a model of 4 million parameters, alone and beside one busy process:
    #   never 5.3 and 4.9; 1,000 times 6.7 and 3.6; 10,000 times 8.7 and 1.6; by default (300,000) 7.3 to 9.1 and 0.2
    #   to 3.3 (medians, or ranges where they were wide); one thread 5.8 and 5.7.
    # 1,000 is what libgomp itself takes for threads that wait actively when there are more of them than cores.
    "GOMP_SPINCOUNT": "1000",
}


@dataclass(frozen=True)
class Ending:
    """A good end. `result` is a path relative to the attempt's folder, `early_stopping` why there were fewer steps."""

    outcome: Literal["finished", "stopped"]
    step: int = 0
    result: str | None = None
    result_sha256: str | None = None
    result_type: Literal["adapter", "model"] | None = None
    early_stopping: str | None = None
    metrics: Mapping[str, float | None] = field(default_factory=dict)
    checked: Checked | None = None
    registered_model: str | None = None


class Attempt:
    """What the work is given: its job, its folder, where to report, and whether it shall stop."""

    def __init__(self, job: ChildJob, spool: Spool) -> None:
        self.job = job
        self.folder = Path(job.attempt_folder)
        self.spool = spool
        self.started = time.monotonic()
        self.resolved: dict[str, Any] = {}
        self._stopping = threading.Event()
        self._progressed = 0.0

    @property
    def is_stopping(self) -> bool:
        """Whether a graceful stop was asked for: save and end after the current step."""
        return self._stopping.is_set()

    def stop(self) -> None:
        self._stopping.set()

    def recorded_step(self) -> int | None:
        """The step of the newest checkpoint that the supervisor knows to be recorded; None by hand, or before."""
        try:
            return int(json.loads((self.folder / RECORDED).read_bytes())["step"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def say(self, text: str) -> None:
        """A line of the job's log."""
        logger.info(text)

    def progress(self, phase: str, step: int, total: int, rate: float | None = None, eta: float | None = None) -> None:
        """Report progress; at most four times a second, but the first and last step of a phase always."""
        now = time.monotonic()
        if 0 < step < total and now - self._progressed < 0.25:
            return
        self._progressed = now
        self.spool.progress(phase, step, total, rate, eta)

    def running(
        self, total_steps: int, *, resumed_from_step: int = 0, resolved: Mapping[str, Any], versions: Mapping[str, str]
    ) -> None:
        """Everything is loaded; the first step follows. Errors: `bad_configuration` for steps without end, which no
        report of this attempt could tell."""
        if total_steps not in range(STEPS):
            raise ChildFailure(
                "bad_configuration",
                f"{total_steps!r} is no number of steps that a training can have: there are fewer than {STEPS}",
                "take fewer epochs, or a max_steps",
            )
        self.resolved = dict(resolved)
        document = {
            "total_steps": total_steps,
            "resumed_from_step": resumed_from_step,
            "resolved": self.resolved,
            "versions": dict(versions),
        }
        write_document(self.folder / RUNNING, document)


def run(arguments: list[str], works: Mapping[str, Callable[[Attempt], Ending]]) -> int:
    """The main of a child process: everything around the work itself, which is found by the kind of the job."""
    if len(arguments) != 1 or arguments[0].startswith("-"):
        print("usage: python -m tunebus.services.<trainer|evaluator>.run JOB.json", file=sys.stderr)
        return 0 if arguments in (["-h"], ["--help"]) else 2
    lifeline.hold()
    try:
        job = _read(Path(arguments[0]), works)
    except TunebusError as error:
        print(f"{arguments[0]}: {error.problem.message}", file=sys.stderr)
        return 2
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    _log_to_stdout()
    folder = Path(job.attempt_folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / RESULT).unlink(missing_ok=True)
        (folder / RUNNING).unlink(missing_ok=True)
        spool = Spool(folder / TELEMETRY)
    except OSError as error:
        print(f"{folder} cannot be written: {error.strerror}", file=sys.stderr)
        return 1
    attempt = Attempt(job, spool)

    def on_signal(number: int, _frame: FrameType | None) -> None:
        attempt.stop()

    signal.signal(signal.SIGTERM, on_signal)
    signal.signal(signal.SIGINT, on_signal)
    return carry_out(attempt, works[job.kind], _tail(folder, spool))


def carry_out(attempt: Attempt, work: Callable[[Attempt], Ending], tail: LogTail | None = None) -> int:
    """Do the work within the job's memory, and leave its result; returns the exit code."""
    folder, spool = attempt.folder, attempt.spool
    limit = attempt.job.recipe.get("num_memory_gb")

    def over(rss: int) -> NoReturn:
        assert limit is not None
        failure = failures.over_limit(rss, int(limit * 1024**3), attempt.job.kind)
        print(failure.message, file=sys.stderr, flush=True)
        _leave(attempt, failure)
        os._exit(1)

    machine = Machine(spool, int(limit * 1024**3) if limit else None, over, folder)
    machine.start()
    try:
        ending = work(attempt)
        document: dict[str, Any] = {"outcome": ending.outcome, "step": ending.step, "result": ending.result}
        document |= {"result_sha256": ending.result_sha256, "metrics": dict(ending.metrics)}
        document |= {"result_type": ending.result_type, "early_stopping": ending.early_stopping}
        document |= {
            "checked": ending.checked.model_dump() if ending.checked else None,
            "registered_model": ending.registered_model,
        }
        document["metrics"]["peak_memory_bytes"] = float(machine.peak_rss)
        if (peak := machine.peak_gpu_bytes) is not None:
            document["metrics"]["peak_gpu_memory_bytes"] = float(peak)
        failed = None
    except BaseException as error:  # whatever it was, the supervisor is told
        failed = failures.explain(error, attempt.job.kind)
        if failed.detail:
            traceback.print_exception(error)
        logger.error("failed (%s): %s", failed.cause, failed.message)
    machine.stop()
    if failed is not None:
        # Half-written folders are of no use, and on a full disk their room is needed for the words below.
        for draft in folder.glob(f"**/{DRAFTS}"):
            shutil.rmtree(draft, ignore_errors=True)
    try:
        sys.stdout.flush()
        sys.stderr.flush()
        if tail is not None:
            tail.stop()
        spool.sync()
    except OSError as error:
        failed = failed or failures.explain(error, attempt.job.kind)
    if failed is not None:
        _leave(attempt, failed)
        return 1
    try:
        write_document(folder / RESULT, document)
    except OSError as error:
        _leave(attempt, failures.explain(error, attempt.job.kind))
        return 1
    return 0


def _read(path: Path, kinds: Collection[str]) -> ChildJob:
    try:
        body = path.read_bytes()
    except OSError as error:
        raise failures.unreadable_job(error.strerror or str(error)) from None
    document = strictjson.loads(body, max_bytes=16 * 1024 * 1024)
    try:
        job = ChildJob.model_validate(document)
    except ValidationError as error:
        found = from_validation(error, ChildJob.model_fields)
        wrong = "; ".join(f"{problem.param}: {problem.message}" for problem in found.details or [found])
        raise failures.unreadable_job(f"not a job: {wrong}") from None
    if job.kind not in kinds:
        raise failures.unreadable_job(f"this child does a {' or a '.join(kinds)}, not a {job.kind}")
    return job


def _leave(attempt: Attempt, failure: Failure) -> None:
    change = failure.suggestion or suggestion(failure.cause, attempt.job.model_dump(), attempt.resolved)
    document = {
        "outcome": "failed",
        "cause": failure.cause,
        "message": failure.message,
        "detail": failure.detail,
        "hint": failure.hint,
        "suggestion": change,
    }
    try:
        write_document(attempt.folder / RESULT, document)
    except OSError as error:  # no room for even that: the supervisor reads the last words instead
        print(f"{failure.cause}: {failure.message} ({error.strerror})", file=sys.stderr, flush=True)


def _tail(folder: Path, spool: Spool) -> LogTail | None:
    """Follow `output.log` where it is our own output; by hand it goes to the terminal."""
    log = folder / OUTPUT
    try:
        ours, its = os.fstat(1), log.stat()
    except OSError:
        return None
    if (ours.st_dev, ours.st_ino) != (its.st_dev, its.st_ino):
        return None
    tail = LogTail(log, spool)
    tail.start()
    return tail


def _log_to_stdout() -> None:
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s", "%H:%M:%S"))
    logger.handlers[:] = [handler]
    logger.setLevel(logging.INFO)
    logger.propagate = False
