"""One machine's studio from lock to last process: the embedded bus, every service, and the run file that names them.

However `Studio.run` ends, no process of it is left behind.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Iterator, Mapping
from typing import Any

from tunebus.contracts.errors import Code, TunebusError, fail
from tunebus.contracts.identifiers import timestamp
from tunebus.services.launcher import plan
from tunebus.services.launcher.supervisor import Service, ServicePlan, adopt_orphans, reap_orphans, stop_in_order
from tunebus.services.platform import password
from tunebus.services.platform.home import Home, HomeLock
from tunebus.services.platform.server import NatsServer, read_or_make_password
from tunebus.services.platform.settings import Settings

STOP_SECONDS = 32.0  # half of it for the workers: a child's last checkpoint, then its reports
BUS_SECONDS = 15.0
PATIENCE_SECONDS = 5.0  # that a service which others start after may take
_BUSY_TICK = 0.05
_IDLE_TICK = 1.0
_LOG_CHECK_SECONDS = 10.0


class Watcher:
    """What a person sees of a studio coming up; the default says nothing."""

    def changed(self, service: Service) -> None:
        """A service has another state, pid or error."""

    def warned(self, message: str) -> None:
        """Something looks wrong that may come right later."""

    def ready(self, document: Mapping[str, Any]) -> None:
        """Every service is ready for the first time; `document` is the run file."""

    def stopping(self, signal_name: str | None) -> None:
        """The studio stops: it was asked to by a signal, or could not start."""


class Studio:
    """A studio on this machine. `settings` must name a UI port that is free (or `ui` is off)."""

    def __init__(self, settings: Settings, *, ui: bool, watcher: Watcher | None = None) -> None:
        self.home = Home(settings.home, settings.artifacts)
        self._ui = ui
        self._watcher = watcher or Watcher()
        self._settings = settings
        self._services: dict[str, Service] = {}
        self._server: NatsServer | None = None
        self._defaults: Service | None = None
        self._state = "starting"
        self._started_at = timestamp()
        self._written: dict[str, Any] | None = None
        self._signals = 0
        self._asked_by: str | None = None
        self._wakeup: socket.socket | None = None

    def run(self) -> None:
        """Start everything and stay until a signal comes.

        Errors: `conflict` for a home or a port in use, `invalid` for a home that cannot be, `not_permitted` for pages
        that others reach without a password, `unavailable` for a bus that does not answer, and those of a service that
        never was ready because of what no restart can mend.
        """
        self.home.create()
        lock = HomeLock(self.home)
        lock.acquire()
        try:
            self._end_leftovers()
            for root in self._settings.missing_roots:
                self._watcher.warned(f"TUNEBUS_DATASET_ROOTS: there is no folder {root}")
            if self._ui:
                password.demand(self._settings)
                self._settings = self._settings.model_copy(update={"ui_port": plan.claim_ui_port(self._settings)})
            plan.check_nats_port(self._settings)
            adopt_orphans()
            with self._signals_caught():
                try:
                    self._start()
                    self._supervise()
                finally:
                    self._stop()
        finally:
            lock.release()

    def document(self) -> dict[str, Any]:
        """The run file: where the studio is and every service with its pid and state."""
        settings = self._settings
        found: dict[str, Any] = {
            "home": str(settings.home),
            "namespace": settings.namespace,
            "state": self._state,
            "pid": os.getpid(),
            "started_at": self._started_at,
            "nats_url": self._nats_url,
            "database_url": settings.ledger_url,
            "ui_url": self._ui_url,
            "services": {name: service.document() for name, service in self._services.items()},
        }
        if self._defaults is not None:
            found["defaults"] = self._defaults.document()
        return found

    @property
    def _nats_url(self) -> str | None:
        if self._settings.nats_url is not None:
            return self._settings.nats_url.get_secret_value()
        return self._server.url if self._server is not None and self._server.port else None

    @property
    def _ui_url(self) -> str | None:
        if not self._ui:
            return None
        host = plan.reachable_host(self._settings.ui_host)
        return f"http://{f'[{host}]' if ':' in host else host}:{self._settings.ui_port}"

    def _start(self) -> None:
        bus = self._plan_bus() if self._settings.nats_url is None else None
        for service_plan in [*([bus] if bus else []), *plan.services(self._settings, ui=self._ui)]:
            self._services[service_plan.name] = self._make(service_plan)
        if bus is not None:
            self._services[bus.name].start()
        if self._ui:
            # The pages take longest to import, so they start before anybody has asked whether the bus is well.
            self._services[plan.UI] = self._make(plan.pages())
            self._services[plan.UI].start()
        if self._settings.load_defaults:
            self._defaults = self._make(plan.defaults(self._settings, ui=self._ui))
        self._write_run_file()
        self._await_bus()

    def _plan_bus(self) -> ServicePlan:
        """The embedded server. Its first port, once known, is written into its configuration for every later start."""
        for stale in self.home.nats_store.glob("*.ports"):
            stale.unlink(missing_ok=True)
        server = self._server = NatsServer(
            self.home.nats_store,
            password=read_or_make_password(self.home.password_file),
            port=self._settings.nats_port,
            binary=self._settings.nats_server,
        )
        server.write_config()

        def is_ready() -> bool:
            pid = self._services[plan.NATS].pid
            if not server.port and pid is not None and server.learn_port(pid):
                server.write_config()
            return server.is_ready()

        return ServicePlan(plan.NATS, server.command(), is_ready=is_ready, lifeline=False)

    def _await_bus(self) -> None:
        """Wait for the server and apply the topology, so that no service meets a bus without its streams."""
        deadline = time.monotonic() + BUS_SECONDS
        nats = self._services.get(plan.NATS)
        while nats is not None and nats.state != "ready":
            self._poll()
            if self._signals:
                return
            if nats.state == "failing" or time.monotonic() > deadline:
                raise fail(
                    Code.UNAVAILABLE,
                    f"nats-server does not start: {nats.error or 'it does not answer'}",
                    hint=f"its log is {nats.log}",
                )
            self._sleep(_BUSY_TICK / 5)
        self._write_run_file()
        asyncio.run(_apply_topology(self._settings))

    def _make(self, service_plan: ServicePlan) -> Service:
        environment = dict(os.environ)
        environment["TUNEBUS_HOME"] = str(self._settings.home)
        environment["TUNEBUS_UI_PORT"] = str(self._settings.ui_port)
        return Service(
            service_plan,
            log=self.home.logs / f"{service_plan.name}.log",
            state_file=self.home.folder / "services" / f"{service_plan.name}.json",
            environment=environment,
        )

    def _everything(self) -> list[Service]:
        return [*self._services.values(), *([self._defaults] if self._defaults else [])]

    def _supervise(self) -> None:
        next_log_check = 0.0
        while not self._signals:
            for service in self._everything():
                if service.state == "waiting" and self._may_start(service):
                    service.start()
                    self._watcher.changed(service)
            self._poll()
            if self._state == "starting" and all(service.state == "ready" for service in self._services.values()):
                self._state = "ready"
                self._write_run_file()
                self._watcher.ready(self.document())
            self._write_run_file()
            if time.monotonic() >= next_log_check:
                next_log_check = time.monotonic() + _LOG_CHECK_SECONDS
                for service in self._everything():
                    service.keep_log_small()
            self._sleep(self._tick())

    def _may_start(self, service: Service) -> bool:
        first = self._services.get(service.plan.waits_for or "")
        if first is None or first.state == "ready":
            return True
        late = first.state != "waiting" and first.uptime > PATIENCE_SECONDS
        return late and first.name != plan.REGISTRY

    def _poll(self) -> None:
        """Move every service along. Errors: those of a service that gave up for what no restart can mend."""
        for service in self._everything():
            if service.poll():
                self._watcher.changed(service)
            if service.refusal is not None:
                raise TunebusError(service.refusal)
        reap_orphans({service.pid for service in self._everything() if service.pid})

    def _tick(self) -> float:
        """How long nothing needs to be looked at; a dying child and a signal end the wait at once."""
        tick = _IDLE_TICK
        for service in self._everything():
            due = service.due_in()
            if due is not None:
                tick = min(tick, due)
            elif service.state == "starting":
                tick = min(tick, _BUSY_TICK if service.uptime < BUS_SECONDS else _IDLE_TICK / 2)
        return tick

    def _stop(self) -> None:
        self._state = "stopping"
        self._write_run_file()
        self._watcher.stopping(self._asked_by)
        asked_at = time.monotonic()
        asked = self._signals

        def hurry() -> bool:
            # A terminal and whoever wraps us often send the same wish twice; a later signal is impatience.
            return self._signals > asked and time.monotonic() - asked_at > 1.0

        known = {service.name: service for service in self._everything()}
        groups = [
            [known[name] for name in names if name in known] for names in plan.stop_order(self._settings)
        ]  # fmt: skip
        stop_in_order([group for group in groups if group], STOP_SECONDS, hurry)
        _end_descendants()
        self.home.run_file.unlink(missing_ok=True)

    def _end_leftovers(self) -> None:
        """End what a launcher that was killed left behind; two servers on one store would ruin it."""
        previous = self.home.read_run_file()
        if previous is None:
            return
        import psutil

        found = []
        for entry in previous.get("services", {}).values():
            with contextlib.suppress(psutil.Error, TypeError, KeyError, OSError):
                process = psutil.Process(int(entry["pid"]))
                if process.environ().get("TUNEBUS_HOME") == str(self._settings.home):
                    process.kill()
                    found.append(process)
        psutil.wait_procs(found, timeout=5)
        self.home.run_file.unlink(missing_ok=True)

    def _write_run_file(self) -> None:
        document = self.document()
        if document == self._written:
            return
        try:
            self.home.write_run_file(document)
        except OSError as error:
            # A full disk must not end the supervisor; the next change is written again.
            print(f"{self.home.run_file} cannot be written: {error.strerror}", file=sys.stderr)
        self._written = document

    def _sleep(self, seconds: float) -> None:
        assert self._wakeup is not None
        if select.select([self._wakeup], [], [], seconds)[0]:
            with contextlib.suppress(BlockingIOError):
                self._wakeup.recv(4096)

    @contextlib.contextmanager
    def _signals_caught(self) -> Iterator[None]:
        """SIGINT, SIGTERM and SIGHUP ask to stop; SIGCHLD only ends a wait."""

        def asked(number: int, _: object) -> None:
            self._signals += 1
            self._asked_by = signal.Signals(number).name

        here, there = socket.socketpair()
        here.setblocking(False)
        there.setblocking(False)
        self._wakeup = here
        before = {number: signal.signal(number, asked) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
        before[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(there.fileno(), warn_on_full_buffer=False)
        try:
            yield
        finally:
            signal.set_wakeup_fd(-1)
            for number, handler in before.items():
                signal.signal(number, handler)
            here.close()
            there.close()


async def _apply_topology(settings: Settings) -> None:
    from tunebus.services.platform import connection, topology

    client = await connection.connect(settings, "launcher", wait=BUS_SECONDS)
    try:
        await topology.apply(client, settings.subjects)
    finally:
        await client.close()


def _end_descendants() -> None:
    """Kill whatever is still below us, such as the child of a worker that had to be killed."""
    import psutil

    left = psutil.Process().children(recursive=True)
    for process in left:
        with contextlib.suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(left, timeout=5)
    reap_orphans(set())
