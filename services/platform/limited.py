"""Runs a piece of work that may loop or explode in a forked process of its own, with so much time, memory and output.

For processes of one thread that hold nothing large, such as prepare children; never fork a process that has torch.
"""

from __future__ import annotations

import json
import os
import resource
import select
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NoReturn

from tunebus.contracts.errors import Code, Problem, TunebusError

Excess = Literal["time", "memory", "output"]


@dataclass(frozen=True)
class Limits:
    """What the work may use. `seconds` are those of a clock on the wall; memory comes on top of the process's own."""

    seconds: float = 1.0
    memory_bytes: int = 256 * 1024**2
    output_bytes: int = 1024**2


class ExceededError(Exception):
    """The work was ended: it took more than it was given of `excess`."""

    def __init__(self, excess: Excess, limits: Limits) -> None:
        self.excess: Excess = excess
        words = {
            "time": f"ran for longer than {limits.seconds:g} s",
            "memory": f"took more than {limits.memory_bytes // 1024**2} MiB of memory",
            "output": f"made more than {limits.output_bytes // 1024} KiB of output",
        }
        super().__init__(words[excess])


def run(work: Callable[[], Any], limits: Limits = Limits()) -> Any:
    """The JSON-ready result of `work()`.

    Errors: `ExceededError`; a `TunebusError` of the work itself; any other exception of it as `invalid` with its text.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        _work(work, limits, writing)
    os.close(writing)
    try:
        reply = _read(reading, child, limits)
    finally:
        os.close(reading)
    document = json.loads(reply)
    if "exceeded" in document:
        raise ExceededError(document["exceeded"], limits)
    if "error" in document:
        raise TunebusError(Problem.model_validate(document["error"]))
    return document["result"]


def _work(work: Callable[[], Any], limits: Limits, writing: int) -> NoReturn:
    """In the forked process: work, say what came of it, and end without any of the parent's clean-up."""
    try:
        signal.signal(signal.SIGXCPU, signal.SIG_DFL)
        # A second more than the parent waits: should it be stopped meanwhile, the kernel ends the work.
        _limit(resource.RLIMIT_CPU, int(limits.seconds + _used_seconds()) + 2)
        _limit(resource.RLIMIT_AS, _mapped_bytes() + limits.memory_bytes)
        _limit(resource.RLIMIT_CORE, 0)
        try:
            reply = json.dumps({"result": work()}).encode()
            if len(reply) > limits.output_bytes:
                reply = b'{"exceeded": "output"}'
        except MemoryError:
            reply = b'{"exceeded": "memory"}'
        except TunebusError as error:
            reply = json.dumps({"error": error.problem.document()}).encode()
        except RecursionError:
            reply = json.dumps({"error": _invalid("it calls itself too deeply")}).encode()
        except Exception as error:
            reply = json.dumps({"error": _invalid(str(error)[:1000] or type(error).__name__)}).encode()
        with os.fdopen(writing, "wb") as out:
            out.write(reply)
    except MemoryError:
        os._exit(1)  # which the parent reads as too much memory
    finally:
        os._exit(0)


def _invalid(message: str) -> dict[str, object]:
    return Problem(code=Code.INVALID, message=message).document()


def _read(reading: int, child: int, limits: Limits) -> bytes:
    """All that the child writes. A child that is too slow is killed; one that dies silently had no memory left."""
    deadline = time.monotonic() + limits.seconds
    reply = b""
    ended = False
    try:
        while (left := deadline - time.monotonic()) > 0:
            ready, _, _ = select.select([reading], [], [], left)
            if not ready:
                break
            piece = os.read(reading, 65536)
            if not piece:
                ended = True
                break
            reply += piece
    finally:
        if not ended:
            os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    if not ended:
        raise ExceededError("time", limits)
    if not reply:
        raise ExceededError("memory", limits)
    return reply


def _limit(what: int, value: int) -> None:
    _, hard = resource.getrlimit(what)
    resource.setrlimit(what, (value if hard == resource.RLIM_INFINITY else min(value, hard), hard))


def _used_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _mapped_bytes() -> int:
    """The address space of this process, which its memory limit counts; 1 GiB where the system does not tell."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 1024**3
