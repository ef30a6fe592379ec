"""The life of one service process: settings, logging, signals, a watchdog, its parent's death and its state file.

`run` is the only entry; it ends the process with the exit code of what went wrong. It knows nothing of any service.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import faulthandler
import json
import logging
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Literal, NoReturn

from tunebus.contracts.errors import Code, Problem, TunebusError
from tunebus.contracts.identifiers import timestamp
from tunebus.services.platform.home import Home
from tunebus.services.platform.logs import configure_logging, redact
from tunebus.services.platform.settings import Settings, load_settings

LIFELINE = "TUNEBUS_LIFELINE"
STUCK_AFTER = 60.0
GRACE = 10.0

_CHECK = 2.0  # how often the watchdog looks
_LAST = 10.0  # what a process gets after its grace before it is ended, whatever it does
_PR_SET_PDEATHSIG = 1

State = Literal["starting", "ready", "stopping", "failed"]
_log = logging.getLogger(__name__)

try:
    _libc = ctypes.CDLL(None) if sys.platform == "linux" else None
except OSError:
    _libc = None


def die_with_parent() -> None:
    """Ask Linux to terminate this process when its parent dies; usable as `preexec_fn`. Elsewhere it does nothing."""
    if _libc is not None:
        _libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)


class Service:
    """What the main coroutine of a service is given: its settings, its home, and when to stop.

    `loop_lag` is how late, in seconds, the event loop last answered; part of readiness.
    """

    def __init__(self, name: str, settings: Settings) -> None:
        self.name = name
        self.settings = settings
        self.home = Home(settings.home, settings.artifacts)
        self.stop = asyncio.Event()
        self.loop_lag = 0.0
        self.failure: Problem | None = None
        self.was_ready = False

    @property
    def stopping(self) -> bool:
        return self.stop.is_set()

    def ready(self, detail: str = "") -> None:
        """Say that the service works now; whoever started it waits for this."""
        self.was_ready = True
        self.report("ready", detail)
        _log.info("ready", extra={"detail": detail})

    def report(self, state: State, detail: str = "") -> None:
        """Replace the state file."""
        _write_state(self.settings.home, self.name, state, detail)

    def fail(self, problem: Problem) -> None:
        """Stop the service; the process ends with this problem's exit code. The first problem wins."""
        if self.failure is None:
            self.failure = problem
            _log.critical(problem.message, extra={"code": problem.code.value, "hint": problem.hint})
        self.stop.set()


Main = Callable[[Service], Coroutine[Any, Any, None]]

_running: Service | None = None


def give_up(problem: Problem) -> None:
    """Fail the service that runs in this process; in any other process only log why."""
    if _running is None:
        _log.error(problem.message, extra={"code": problem.code.value})
    else:
        _running.fail(problem)


async def end_tasks(*tasks: asyncio.Future[Any]) -> None:
    """Cancel tasks until every one has ended.

    One `cancel` may be lost: up to Python 3.11 `asyncio.wait_for`, which nats-py uses, swallows a cancellation that
    comes in the moment its own wait is over. Cleaning up may take two seconds before it is cancelled as well.
    """
    while pending := {task for task in tasks if not task.done()}:
        for task in pending:
            task.cancel()
        await asyncio.wait(pending, timeout=2.0)


def run(name: str, main: Main, *, grace: float = GRACE, settings: Settings | None = None) -> NoReturn:
    """Run `main` until it returns or the process is told to stop, then exit.

    SIGTERM, SIGINT and, where `TUNEBUS_LIFELINE=stdin` is set, the end of stdin set `service.stop`. A `main` that was
    not ready yet, say waiting for the bus, is cancelled at once; one that was, by a second signal or after `grace`
    seconds. Ten more seconds end the process whatever it does. Exit codes: 0 after a stop that was asked for, else the
    problem's own, 1 for a defect.
    """
    sys.exit(_run(name, main, grace, settings))


def _run(name: str, main: Main, grace: float, given: Settings | None) -> int:
    global _running
    lifeline = os.environ.pop(LIFELINE, None) == "stdin"  # popped: a child's lifeline is its own affair
    try:
        settings = given or load_settings()
    except TunebusError as error:
        return _refuse(error.problem)
    configure_logging(name, settings.log_level)
    if lifeline:
        die_with_parent()
    watchdog = _Watchdog(grace)
    if lifeline:
        threading.Thread(target=watchdog.follow_lifeline, name="lifeline", daemon=True).start()
    _write_state(settings.home, name, "starting")
    try:
        failure = asyncio.run(_live(name, settings, main, watchdog, grace))
    except TunebusError as error:
        failure = error.problem
        _refuse(failure)
    except Exception:
        _log.critical("the service failed", exc_info=True)
        failure = Problem(code=Code.INTERNAL, message="the service failed; its log holds the details")
    finally:
        _running = None
    if failure is None:
        with contextlib.suppress(OSError):
            _state_file(settings.home, name).unlink()
        return 0
    _write_state(settings.home, name, "failed", problem=failure)
    return failure.exit_code


async def _live(name: str, settings: Settings, main: Main, watchdog: _Watchdog, grace: float) -> Problem | None:
    global _running
    service = _running = Service(name, settings)
    task = asyncio.create_task(main(service), name=name)
    watchdog.attach(service, task)
    stop = asyncio.create_task(service.stop.wait())
    try:
        await asyncio.wait({task, stop}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            watchdog.stop_began()
            service.report("stopping")
            if service.was_ready:
                await asyncio.wait({task}, timeout=grace)
            if not task.done():
                _log.info("cancelling", extra={"was_ready": service.was_ready})
                await end_tasks(task)
        await task
    except asyncio.CancelledError:
        if not service.stopping:
            raise
    except Exception:
        if service.failure is None:
            raise
        _log.warning("an error while failing", exc_info=True)
    finally:
        stop.cancel()
        watchdog.stop_began()
    return service.failure


class _Watchdog:
    """A thread that hears signals and the lifeline even while the event loop is stuck, and ends a process that is.

    Signals reach it through the wake-up descriptor, which C code writes, so no state of the loop can hide one.
    """

    def __init__(self, grace: float) -> None:
        self._grace = grace
        self._deadline: float | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._service: Service | None = None
        self._task: asyncio.Task[None] | None = None
        self._asked = 0
        self._beat = time.monotonic()
        self._hear, self._tell = os.pipe()
        os.set_blocking(self._tell, False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: None)
        signal.set_wakeup_fd(self._tell, warn_on_full_buffer=False)
        threading.Thread(target=self._watch, name="watchdog", daemon=True).start()

    def attach(self, service: Service, task: asyncio.Task[None]) -> None:
        """Begin to watch the loop that runs `task`. Called on that loop."""
        self._service, self._task = service, task
        self._loop = asyncio.get_running_loop()
        self._tick()
        if self._asked:
            service.stop.set()

    def stop_began(self) -> None:
        """From now on the process has its grace, and a little more, to be gone."""
        if self._deadline is None:
            self._deadline = time.monotonic() + self._grace + _LAST

    def follow_lifeline(self) -> None:
        """Read stdin until its end, which is the parent's death, then ask for a stop."""
        with contextlib.suppress(OSError):
            while os.read(0, 4096):
                pass
        os.write(self._tell, bytes([signal.SIGTERM]))

    def _tick(self) -> None:
        now = time.monotonic()
        if self._service is not None and self._loop is not None:
            self._service.loop_lag = max(0.0, now - self._beat - 1.0)
            self._beat = now
            self._loop.call_later(1.0, self._tick)

    def _watch(self) -> None:
        looked = time.monotonic()
        while True:
            heard, _, _ = select.select([self._hear], [], [], _CHECK)
            now = time.monotonic()
            if heard:
                for number in os.read(self._hear, 64):
                    if number in (signal.SIGTERM, signal.SIGINT):
                        self._ask()
            elif now - looked > 2 * _CHECK + 1.0:
                self._beat = now  # this thread was paused as well: the process was stopped, not stuck
            looked = now
            if self._deadline is not None and now > self._deadline:
                self._end("the process did not stop in time")
            if self._loop is not None and not self._loop.is_closed() and now - self._beat > STUCK_AFTER:
                self._end(f"the event loop answered nothing for {STUCK_AFTER:.0f} s")

    def _ask(self) -> None:
        self._asked += 1
        self.stop_began()
        loop, service, task = self._loop, self._service, self._task
        if loop is None or service is None or task is None:
            if self._asked > 1:
                os._exit(1)
            return
        with contextlib.suppress(RuntimeError):  # the loop is closed: the process is ending
            loop.call_soon_threadsafe(service.stop.set if self._asked == 1 else task.cancel)

    def _end(self, reason: str) -> NoReturn:
        _log.critical(reason)
        faulthandler.dump_traceback(sys.stderr)
        failure = self._service.failure if self._service else None
        os._exit(failure.exit_code if failure else 1)


def _refuse(problem: Problem) -> int:
    sys.stderr.write(redact(json.dumps({"error": problem.document()}, ensure_ascii=False)) + "\n")
    return problem.exit_code


def _state_file(home: Path, name: str) -> Path:
    return home / "services" / f"{name}.json"


def _write_state(home: Path, name: str, state: State, detail: str = "", problem: Problem | None = None) -> None:
    """Replace the state file atomically; a disk that cannot take it stops nothing."""
    document: dict[str, object] = {
        "name": name,
        "pid": os.getpid(),
        "state": state,
        "detail": detail,
        "time": timestamp(),
    }
    if problem is not None:
        document["error"] = problem.document()
    file = _state_file(home, name)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        draft = file.with_suffix(f".{os.getpid()}")
        draft.write_text(redact(json.dumps(document, ensure_ascii=False)))
        draft.replace(file)
    except OSError as error:
        _log.warning("the state file could not be written", extra={"reason": error.strerror})
