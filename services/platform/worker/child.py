"""The child process of an attempt: its own session, a lifeline to its supervisor, an environment without secrets.

Signals go only to a process that is not reaped yet, so none can hit a stranger with the same pid.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tunebus.services.platform.worker.memory import prefer_as_victim

_SECRET_WORDS = frozenset(
    {"TOKEN", "SECRET", "SECRETS", "PASSWORD", "PASSWD", "PASSPHRASE", "CREDENTIAL", "CREDENTIALS"}
)
_SECRET_NAMES = re.compile(r"(API|ACCESS|PRIVATE|SECRET|ENCRYPTION|SIGNING)_?KEY|^PG|^DATABASE_URL$", re.IGNORECASE)
_URL_WITH_PASSWORD = re.compile(r"://[^/@\s]*:[^/@\s]*@")


def environment(
    threads: int, inherited: Mapping[str, str] | None = None, *, gpus: Sequence[str] = ()
) -> dict[str, str]:
    """The child's environment: this process's, less its settings and everything that looks like a secret. It sees the
    GPUs that the job was given, and no other.

    `TUNEBUS_HOME` stays, so that every process of a studio can be told by it.
    """
    kept = {
        name: value
        for name, value in (os.environ if inherited is None else inherited).items()
        if not _is_secret(name, value) and (not name.startswith("TUNEBUS_") or name == "TUNEBUS_HOME")
    }
    return kept | {
        "TUNEBUS_LIFELINE": "stdin",
        "HF_HUB_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "OMP_NUM_THREADS": str(threads),
        "CUDA_VISIBLE_DEVICES": ",".join(gpus),
        "PYTHONUNBUFFERED": "1",
    }


def _is_secret(name: str, value: str) -> bool:
    words = set(name.upper().split("_"))
    return bool(words & _SECRET_WORDS or _SECRET_NAMES.search(name) or _URL_WITH_PASSWORD.search(value))


@dataclass(frozen=True)
class Exit:
    """How a process ended: its code, or the signal that killed it."""

    code: int | None
    signal: int | None


class Child:
    """One running child. Start it from the main thread: its parent-death signal follows the thread that made it."""

    def __init__(self, process: subprocess.Popen[bytes], lifeline: int) -> None:
        self._process = process
        self._lifeline = lifeline
        self._exit: asyncio.Future[Exit] = asyncio.get_running_loop().create_future()
        self.pid = process.pid
        prefer_as_victim(process.pid)
        threading.Thread(target=self._watch, args=(asyncio.get_running_loop(),), daemon=True).start()

    @classmethod
    def start(
        cls, command: Sequence[str], folder: Path, output: Path, environment: Mapping[str, str], lock: int
    ) -> Child:
        """Start it in `folder`, its output appended to `output`. It inherits `lock` and the lifeline as stdin.
        Errors: OSError.
        """
        reading, writing = os.pipe()
        try:
            with output.open("ab") as log:
                process = subprocess.Popen(
                    list(command),
                    cwd=folder,
                    env=dict(environment),
                    stdin=reading,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    pass_fds=(lock,),
                )
        except BaseException:
            os.close(writing)
            raise
        finally:
            os.close(reading)
        return cls(process, writing)

    @property
    def is_running(self) -> bool:
        return not self._exit.done()

    def stop(self) -> None:
        """Ask for a graceful end: finish the step, save a checkpoint."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it and everything it started, at once."""
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)

    async def wait(self) -> Exit:
        return await asyncio.shield(self._exit)

    async def ended_within(self, seconds: float) -> bool:
        await asyncio.wait({self._exit}, timeout=seconds)
        return self._exit.done()

    def _signal(self, number: signal.Signals) -> None:
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def _watch(self, loop: asyncio.AbstractEventLoop) -> None:
        if hasattr(os, "waitid"):  # leaves a zombie, so that the pid, and with it the group, is still ours
            os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
        else:  # pragma: no cover  macOS before Python 3.13
            self._process.wait()
        with contextlib.suppress(RuntimeError):  # the loop is gone: so is the supervisor
            loop.call_soon_threadsafe(self._reap)

    def _reap(self) -> None:
        self.kill()  # what the child started and left behind
        code = self._process.wait()
        os.close(self._lifeline)
        self._exit.set_result(Exit(None, -code) if code < 0 else Exit(code, None))
