"""Supervising real processes: readiness, deaths, restarts, stopping in order. The processes are one-line programs."""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tunebus.services.launcher.backoff import Backoff
from tunebus.services.launcher.supervisor import Service, ServicePlan, stop_in_order

Make = Callable[..., Service]

WAIT_FOR_STDIN = "import sys; sys.stdin.read()"
SAY_READY = """
import json, os, sys
path = sys.argv[1]
open(path + ".new", "w").write(json.dumps({"pid": os.getpid(), "state": "ready", "detail": ""}))
os.replace(path + ".new", path)
sys.stdin.read()
"""
STUBBORN = (
    "import signal, sys; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); sys.stdin.read()"
)


class Quick(Backoff):
    """Restarts at once."""

    def after(self, uptime: float) -> float:
        super().after(uptime)
        return 0.0


def until(service: Service, done: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline, f"{service.name} is {service.state}, {service.error}"
        service.poll()
        time.sleep(0.01)


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    made: list[Service] = []

    def _make(
        program: str, *arguments: str, name: str = "probe", backoff: Backoff | None = None, **plan: object
    ) -> Service:
        service = Service(
            ServicePlan(name, (sys.executable, "-c", program, *arguments), **plan),  # type: ignore[arg-type]
            log=tmp_path / f"{name}.log",
            state_file=tmp_path / f"{name}.json",
            environment=os.environ,
            backoff=backoff or Quick(),
        )
        made.append(service)
        return service

    yield _make
    for service in made:
        service.kill()
        until(service, lambda service=service: service.pid is None)  # type: ignore[misc]


def test_a_service_is_ready_when_its_own_state_file_says_so(make: Make, tmp_path: Path) -> None:
    service = make(SAY_READY, str(tmp_path / "probe.json"))
    service.start()
    assert service.state == "starting"
    until(service, lambda: service.state == "ready")
    assert service.document()["pid"] == service.pid


def test_the_state_of_another_pid_says_nothing(make: Make, tmp_path: Path) -> None:
    (tmp_path / "probe.json").write_text('{"pid": 1, "state": "ready", "detail": "old"}')
    service = make(WAIT_FOR_STDIN)
    service.start()
    for _ in range(5):
        service.poll()
    assert service.state == "starting"


def test_a_killed_service_is_started_again(make: Make, tmp_path: Path) -> None:
    service = make(SAY_READY, str(tmp_path / "probe.json"))
    service.start()
    until(service, lambda: service.state == "ready")
    first = service.pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    until(service, lambda: service.pid not in (None, first) and service.state == "ready")
    assert service.restarts == 1


def test_a_service_that_always_dies_is_failing_with_its_last_words(make: Make) -> None:
    service = make("import sys; sys.exit('the database is on fire')")
    service.start()
    until(service, lambda: service.state == "failing")
    assert "the database is on fire" in str(service.error)
    assert "exited with code 1" in str(service.error)


def test_what_the_state_file_says_of_a_failure_wins(make: Make, tmp_path: Path) -> None:
    program = (
        "import json, os, sys; open(sys.argv[1], 'w').write(json.dumps({'pid': os.getpid(), 'state': 'failed',"
        " 'detail': '', 'error': {'param': 'TUNEBUS_DATABASE_URL', 'message': 'names no database'}})); sys.exit(3)"
    )
    service = make(program, str(tmp_path / "probe.json"))
    service.start()
    until(service, lambda: service.state == "failing")
    assert service.error == "TUNEBUS_DATABASE_URL: names no database"


REFUSES = """
import json, os, sys, time
path, after = sys.argv[1], sys.argv[2]
def write(**state):
    open(path + ".new", "w").write(json.dumps({"pid": os.getpid(), "detail": "", **state}))
    os.replace(path + ".new", path)
if not os.path.exists(after):
    write(state="ready")
    while not os.path.exists(after): time.sleep(0.01)
problem = {"code": "invalid", "message": "names no database", "param": "TUNEBUS_DATABASE_URL", "hint": "name one"}
write(state="failed", error=problem)
sys.exit(3)
"""


def test_what_no_restart_can_mend_is_not_tried_again(make: Make, tmp_path: Path) -> None:
    service = make(REFUSES, str(tmp_path / "probe.json"), str(tmp_path))
    service.start()
    until(service, lambda: service.pid is None)
    assert (service.state, service.due_in(), service.restarts) == ("failed", None, 0)
    assert service.refusal is not None
    assert (service.refusal.param, service.refusal.hint) == ("TUNEBUS_DATABASE_URL", "name one")


def test_a_service_that_was_ready_once_is_started_again_whatever_it_says(make: Make, tmp_path: Path) -> None:
    service = make(REFUSES, str(tmp_path / "probe.json"), str(tmp_path / "now"))
    service.start()
    until(service, lambda: service.state == "ready")
    (tmp_path / "now").touch()
    until(service, lambda: service.restarts > 0)
    assert service.refusal is None


def test_a_task_is_tried_again_whatever_it_says(make: Make, tmp_path: Path) -> None:
    service = make(REFUSES, str(tmp_path / "probe.json"), str(tmp_path), task=True)
    service.start()
    until(service, lambda: service.state == "failed")
    assert (service.restarts, service.refusal) == (4, None)


def test_a_program_that_is_not_there_is_a_death(make: Make, tmp_path: Path) -> None:
    service = Service(
        ServicePlan("ghost", ("/nonexistent/program",)),
        log=tmp_path / "ghost.log",
        state_file=tmp_path / "ghost.json",
        environment={},
        backoff=Quick(),
    )
    service.start()
    until(service, lambda: service.state == "failing")
    assert "/nonexistent/program cannot be started" in str(service.error)


def test_a_task_is_done_after_one_success(make: Make) -> None:
    service = make("pass", task=True)
    service.start()
    until(service, lambda: service.state == "done")
    service.poll()
    assert service.pid is None
    assert service.restarts == 0


def test_a_task_that_never_succeeds_is_given_up(make: Make) -> None:
    service = make("raise SystemExit(4)", task=True)
    service.start()
    until(service, lambda: service.state == "failed")
    assert service.due_in() is None


def test_closing_the_lifeline_ends_a_service(make: Make) -> None:
    service = make(WAIT_FOR_STDIN)
    service.start()
    assert service._process is not None
    assert service._process.stdin is not None
    service._process.stdin.close()
    assert service._process.wait(20) == 0


def test_a_service_lives_in_a_session_of_its_own(make: Make) -> None:
    service = make(WAIT_FOR_STDIN)
    service.start()
    assert service.pid is not None
    assert os.getsid(service.pid) == service.pid


def test_groups_stop_one_after_the_other(make: Make, tmp_path: Path) -> None:
    program = (
        "import signal, sys, time\n"
        "def stop(*_):\n"
        "    open(sys.argv[1], 'a').write(sys.argv[2] + '\\n'); sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, stop); print('up', flush=True); time.sleep(60)"
    )
    order = tmp_path / "order"
    services = [make(program, str(order), name, name=name) for name in ("a", "b", "c")]
    for service in services:
        service.start()
        until(service, lambda service=service: service.log.read_text() == "up\n")  # type: ignore[misc]
    stop_in_order([[services[2]], [services[0]], [services[1]]], 20.0, hurry=lambda: False)
    assert order.read_text().split() == ["c", "a", "b"]
    assert {service.state for service in services} == {"stopped"}


def test_who_does_not_stop_in_time_is_killed(make: Make) -> None:
    service = make(STUBBORN)
    service.start()
    until(service, lambda: service.log.read_text() == "deaf\n")
    began = time.monotonic()
    stop_in_order([[service]], 0.3, hurry=lambda: False)
    assert service.pid is None
    assert time.monotonic() - began < 10


def test_impatience_kills_at_once(make: Make) -> None:
    service = make(STUBBORN)
    service.start()
    until(service, lambda: service.log.read_text() == "deaf\n")
    began = time.monotonic()
    stop_in_order([[service]], 60.0, hurry=lambda: True)
    assert service.pid is None
    assert time.monotonic() - began < 10


def test_a_stopping_service_is_not_started_again(make: Make) -> None:
    service = make(WAIT_FOR_STDIN)
    service.start()
    service.terminate()
    until(service, lambda: service.state == "stopped")
    service.poll()
    assert service.pid is None
    assert service.restarts == 0
