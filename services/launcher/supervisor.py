"""One supervised process each: started in a session of its own, tied to the launcher's life, restarted when it dies.

It knows no service by name and never imports one; what to start is the plan's business.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError
from tunebus.contracts.errors import EXIT_CODES, Code, Problem
from tunebus.services.launcher.backoff import Backoff
from tunebus.services.launcher.logfiles import in_words, last_message, open_log, rotate

State = Literal["waiting", "starting", "ready", "restarting", "failing", "stopping", "stopped", "done", "failed"]

FAILING_AFTER = 3  # deaths in a row before readiness that make a service "failing" rather than "restarting"
TRIES_OF_A_TASK = 5

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def die_with_parent() -> None:
    """Ask the kernel to kill this process when the launcher dies; runs in the child between fork and exec."""
    if _libc is not None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def adopt_orphans() -> None:
    """Become the parent of grandchildren whose own parent died, so that they can be reaped and stopped."""
    if _libc is not None:
        _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1)


@dataclass(frozen=True)
class ServicePlan:
    """What to run. `waits_for` names the service that must be ready before the first start.

    `is_ready` decides readiness where the process writes no state file; `lifeline` gives it a pipe that closes with us;
    a `task` is run until it has succeeded once.
    """

    name: str
    argv: Sequence[str]
    waits_for: str | None = None
    is_ready: Callable[[], bool] | None = None
    lifeline: bool = True
    task: bool = False


class Service:
    """A running plan. `poll` moves it along; nothing here blocks."""

    def __init__(
        self,
        plan: ServicePlan,
        *,
        log: Path,
        state_file: Path,
        environment: Mapping[str, str],
        backoff: Backoff | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.plan = plan
        self.name = plan.name
        self.log = log
        self.restarts = 0
        self.error: str | None = None
        self.refusal: Problem | None = None
        """Why it gave up before it ever was ready, where no restart can mend that; it is not started again then."""
        self._state_file = state_file
        self._environment = dict(environment)
        self._backoff = backoff or Backoff()
        self._clock = clock
        self._process: subprocess.Popen[bytes] | None = None
        self._state: State = "waiting"
        self._started_at = 0.0
        self._start_at: float | None = None
        self._log_start = 0
        self._deaths_before_ready = 0
        self._was_ready = False

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    @property
    def state(self) -> State:
        return self._state

    @property
    def uptime(self) -> float:
        """Seconds since the last start."""
        return self._clock() - self._started_at

    def due_in(self) -> float | None:
        """Seconds until a restart is due, or None when none is planned."""
        return None if self._start_at is None else max(0.0, self._start_at - self._clock())

    def start(self) -> None:
        """Start the process now. A program that cannot be started counts as one that died at once."""
        self._start_at = None
        self._started_at = self._clock()
        environment = dict(self._environment)
        if self.plan.lifeline:
            environment["TUNEBUS_LIFELINE"] = "stdin"
        descriptor = None
        try:
            descriptor = open_log(self.log)
            self._log_start = os.fstat(descriptor).st_size
            self._process = subprocess.Popen(
                list(self.plan.argv),
                stdin=subprocess.PIPE if self.plan.lifeline else subprocess.DEVNULL,
                stdout=descriptor,
                stderr=descriptor,
                env=environment,
                start_new_session=True,
                preexec_fn=die_with_parent,
            )
            self._state = "starting"
        except OSError as error:
            self._process = None
            self._died(f"{self.plan.argv[0]} cannot be started: {error.strerror}")
        finally:
            if descriptor is not None:
                os.close(descriptor)

    def poll(self) -> bool:
        """Notice a death, a state written, a restart that is due. Returns whether anything shown has changed."""
        before = (self._state, self.pid, self.error)
        if self._process is not None:
            code = self._process.poll()
            if code is None:
                self._read_state()
            elif self._state == "stopping":
                self._ended("stopped")
            elif self.plan.task and code == 0:
                self.error = None
                self._ended("done")
            else:
                self._died(self._explain(code))
        elif self._start_at is not None and self._clock() >= self._start_at:
            self.restarts += 1
            self.start()
        return before != (self._state, self.pid, self.error)

    def keep_log_small(self) -> None:
        if rotate(self.log):
            self._log_start = 0

    def terminate(self) -> None:
        """Ask the process to stop; it will not be restarted."""
        self._start_at = None
        if self._process is None:
            self._stay_down()
            return
        self._state = "stopping"
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """End the process and its session at once."""
        self._start_at = None
        if self._process is None:
            self._stay_down()
            return
        self._state = "stopping"
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._signal(signal.SIGKILL)

    def document(self) -> dict[str, Any]:
        """What the run file says of this service."""
        found: dict[str, Any] = {
            "pid": self.pid,
            "state": self._state,
            "restarts": self.restarts,
            "log": str(self.log),
        }
        if self.error is not None:
            found["error"] = self.error
        return found

    def _stay_down(self) -> None:
        if self._state not in ("done", "failed"):
            self._state = "stopped"

    def _signal(self, number: int) -> None:
        assert self._process is not None
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(number)

    def _read_state(self) -> None:
        if self._state == "stopping" or self.plan.task:
            return
        if self.plan.is_ready is not None:
            if self._state == "starting" and self.plan.is_ready():
                self._became_ready()
            return
        state, detail, _ = self._reported()
        if state == "ready" and self._state != "ready":
            self._became_ready()
        elif state == "starting" and self._state == "ready":
            self._state = "starting"
        if state in ("starting", "failed") and detail:
            self.error = detail

    def _became_ready(self) -> None:
        self._state = "ready"
        self._was_ready = True
        self._deaths_before_ready = 0
        self.error = None

    def _reported(self) -> tuple[str | None, str | None, Problem | None]:
        """State, detail and problem that this very process wrote; a file of another pid says nothing."""
        try:
            document = json.loads(self._state_file.read_text())
        except (OSError, ValueError):
            return None, None, None
        if not isinstance(document, dict) or document.get("pid") != self.pid:
            return None, None, None
        error, problem = document.get("error"), None
        with contextlib.suppress(ValidationError):
            problem = Problem.model_validate(error)
        detail = in_words(error) if isinstance(error, dict) else document.get("detail")
        return str(document.get("state")), detail if isinstance(detail, str) and detail else None, problem

    def _explain(self, code: int) -> str:
        if code < 0:
            with contextlib.suppress(ValueError):
                return f"killed by {signal.Signals(-code).name}"
            return f"killed by signal {-code}"
        said = last_message(self.log, self._log_start)
        return f"exited with code {code}" + (f": {said}" if said else "")

    def _ended(self, state: State) -> None:
        self._close()
        self._state = state

    def _died(self, reason: str) -> None:
        state, detail, problem = self._reported() if self._process is not None else (None, None, None)
        self._close()
        self.error = detail if state == "failed" and detail else reason
        self._deaths_before_ready += 1
        if self.plan.task and self._deaths_before_ready >= TRIES_OF_A_TASK:
            self._state = "failed"
            return
        hopeless = problem is not None and problem.exit_code == EXIT_CODES[Code.INVALID]
        if hopeless and not self._was_ready and not self.plan.task:
            self._state, self.refusal = "failed", problem
            return
        self._start_at = self._clock() + self._backoff.after(self.uptime)
        self._state = "failing" if self._deaths_before_ready >= FAILING_AFTER else "restarting"

    def _close(self) -> None:
        if self._process is not None:
            if self._process.stdin is not None:
                with contextlib.suppress(OSError):
                    self._process.stdin.close()
            self._process = None


def reap_orphans(known: set[int]) -> None:
    """Collect dead processes that were adopted; those in `known` are left to their own `Popen`."""
    with contextlib.suppress(ChildProcessError):
        while True:
            found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if found is None or found.si_pid in known:
                return
            os.waitpid(found.si_pid, 0)


def stop_in_order(groups: Sequence[Sequence[Service]], seconds: float, hurry: Callable[[], bool]) -> None:
    """Stop one group after the other within `seconds` altogether; what is left then, or when told to hurry, is killed.

    An earlier group may use up to half of what time is left, so that a slow one never starves those behind it.
    """
    end = time.monotonic() + seconds
    for number, group in enumerate(groups):
        for service in group:
            service.terminate()
        left = max(0.0, end - time.monotonic())
        deadline = time.monotonic() + (left if number == len(groups) - 1 else left / 2)
        while any(service.pid for service in group) and time.monotonic() < deadline and not hurry():
            time.sleep(0.02)
            for service in group:
                service.poll()
        for service in group:
            if service.pid:
                service.kill()
        killed_by = time.monotonic() + 2.0
        while any(service.pid for service in group) and time.monotonic() < killed_by:
            time.sleep(0.01)
            for service in group:
                service.poll()
