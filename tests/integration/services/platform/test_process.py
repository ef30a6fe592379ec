"""A service process ends when it is told to, whatever it is doing, and with the exit code of what went wrong."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tests.fixtures.nats import NatsServer

HEAD = """
import asyncio, os, sys, time
from tunebus.services.platform import process
from tunebus.services.platform.connection import connect
from tunebus.contracts.errors import Code, fail
"""
RUN = '\nprocess.run("probe", main, grace=globals().get("GRACE", 0.5))\n'


class Probe:
    """A service written for one test, as a process of its own."""

    def __init__(self, folder: Path, source: str, **environment: str) -> None:
        script = folder / "probe.py"
        script.write_text(HEAD + source + RUN)
        self.home = folder / "home"
        clean = {name: value for name, value in os.environ.items() if not name.startswith("TUNEBUS_")}
        self.process = subprocess.Popen(
            [sys.executable, str(script)],
            env={**clean, "TUNEBUS_HOME": str(self.home), **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def state(self) -> dict[str, object]:
        with contextlib.suppress(OSError, ValueError):
            return dict(json.loads((self.home / "services" / "probe.json").read_text()))
        return {}

    def wait_ready(self) -> None:
        wait_for(lambda: self.state().get("state") == "ready" or self.process.poll() is not None, "it is ready")
        assert self.process.poll() is None, self.ending()

    def ending(self, deadline: float = 10.0) -> tuple[int, str]:
        """Exit code and everything said on stderr."""
        _, words = self.process.communicate(timeout=deadline)
        return self.process.returncode, words.decode()

    def close_stdin(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.stdin = None

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)


def wait_for(probe: Callable[[], bool], what: str, deadline: float = 15.0) -> None:
    end = time.monotonic() + deadline
    while not probe():
        assert time.monotonic() < end, f"waited in vain: {what}"
        time.sleep(0.01)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Probe]]:
    probes: list[Probe] = []

    def started(source: str, **environment: str) -> Probe:
        probes.append(Probe(tmp_path, source, **environment))
        return probes[-1]

    yield started
    for probe in probes:
        if probe.process.poll() is None:
            probe.process.kill()
        probe.process.communicate()


PATIENT = """
async def main(service):
    service.ready("here")
    await service.stop.wait()
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it_and_leaves_nothing_behind(start: Callable[..., Probe], number: signal.Signals) -> None:
    probe = start(PATIENT)
    probe.wait_ready()
    state = probe.state()
    assert (state["pid"], state["detail"]) == (probe.process.pid, "here")
    probe.send(number)
    code, words = probe.ending()
    assert (code, "Traceback" in words) == (0, False)
    assert probe.state() == {}


def test_a_wrong_setting_is_one_line_of_json(start: Callable[..., Probe]) -> None:
    code, words = start(PATIENT, TUNEBUS_NAMESPCE="x").ending()
    assert code == 3
    assert json.loads(words)["error"]["param"] == "TUNEBUS_NAMESPCE"


def test_an_expected_failure_ends_with_its_exit_code(start: Callable[..., Probe]) -> None:
    probe = start('async def main(service):\n    raise fail(Code.NOT_PERMITTED, "no", hint="ask")\n')
    code, words = probe.ending()
    assert code == 7
    assert json.loads(words.splitlines()[-1])["error"]["hint"] == "ask"
    assert probe.state()["state"] == "failed"


def test_a_defect_ends_with_one_and_a_structured_log(start: Callable[..., Probe]) -> None:
    code, words = start("async def main(service):\n    {}['missing']\n").ending()
    assert code == 1
    [line] = [json.loads(line) for line in words.splitlines()]
    assert "KeyError" in line["exception"]


def test_it_stops_while_it_waits_for_the_bus(start: Callable[..., Probe]) -> None:
    source = """
async def main(service):
    await connect(service.settings, "probe")
    service.ready()
"""
    probe = start(source, TUNEBUS_NATS_URL="nats://tunebus:secret-word@127.0.0.1:1")
    wait_for(lambda: probe.state().get("state") == "starting", "it waits")
    probe.send(signal.SIGTERM)
    code, words = probe.ending(5)
    assert code == 0
    assert "secret-word" not in words


def test_it_stops_while_the_bus_is_away(start: Callable[..., Probe], private_nats_server: NatsServer) -> None:
    source = """
from tunebus.services.platform import topology
from tunebus.services.platform.pull import StandingPull
async def main(service):
    client = await connect(service.settings, "probe")
    await topology.apply(client, service.settings.subjects)
    pull = StandingPull(client, service.settings.subjects.commands_stream, "registry")
    async def take():
        async for _ in pull: pass
    taking = asyncio.create_task(take())
    service.ready()
    await service.stop.wait()
    await pull.close()
    await client.close()
"""
    probe = start(source, TUNEBUS_NATS_URL=private_nats_server.url)
    probe.wait_ready()
    private_nats_server.kill()
    used = psutil.Process(probe.process.pid).cpu_times()
    time.sleep(2)  # what is measured is the CPU time of doing nothing for a while
    later = psutil.Process(probe.process.pid).cpu_times()
    assert later.user + later.system - used.user - used.system < 0.4
    probe.send(signal.SIGTERM)
    code, words = probe.ending(5)
    assert (code, "Traceback" in words) == (0, False)


def test_a_connection_that_ends_for_good_ends_the_process(start: Callable[..., Probe], nats_server: NatsServer) -> None:
    source = """
async def main(service):
    client = await connect(service.settings, "probe")
    await client._process_err("'maximum connections exceeded'")
    await service.stop.wait()
"""
    code, words = start(source, TUNEBUS_NATS_URL=nats_server.url).ending()
    assert code == 6
    assert "ended for good" in words


def test_a_main_that_does_not_stop_is_cancelled(start: Callable[..., Probe]) -> None:
    probe = start("async def main(service):\n    service.ready()\n    await asyncio.sleep(1000)\n")
    probe.wait_ready()
    probe.send(signal.SIGTERM)
    assert probe.ending()[0] == 0


def test_a_second_signal_cancels_at_once(start: Callable[..., Probe]) -> None:
    probe = start("GRACE = 60\nasync def main(service):\n    service.ready()\n    await asyncio.sleep(1000)\n")
    probe.wait_ready()
    probe.send(signal.SIGTERM)
    wait_for(lambda: probe.state().get("state") == "stopping", "it stops")
    probe.send(signal.SIGTERM)
    assert probe.ending()[0] == 0


@pytest.mark.parametrize("stuck", ["time.sleep(1000)", "while True: pass"])
def test_a_stuck_loop_cannot_ignore_a_signal(start: Callable[..., Probe], stuck: str) -> None:
    probe = start(f"process._LAST = 0.3\nasync def main(service):\n    service.ready()\n    {stuck}\n")
    probe.wait_ready()
    probe.send(signal.SIGTERM)
    code, words = probe.ending()
    assert code == 1
    assert "did not stop in time" in words
    assert "in main" in words  # where it was stuck


def test_a_stuck_loop_ends_the_process_by_itself(start: Callable[..., Probe]) -> None:
    source = "process.STUCK_AFTER, process._CHECK = 1.5, 0.2\n"
    probe = start(source + "async def main(service):\n    service.ready()\n    time.sleep(1000)\n")
    code, words = probe.ending()
    assert code == 1
    assert "answered nothing" in words


def test_a_paused_process_is_not_a_stuck_one(start: Callable[..., Probe]) -> None:
    probe = start("process.STUCK_AFTER, process._CHECK = 1.5, 0.2\n" + PATIENT)
    probe.wait_ready()
    probe.send(signal.SIGSTOP)
    wait_for(lambda: psutil.Process(probe.process.pid).status() == psutil.STATUS_STOPPED, "it is stopped")
    time.sleep(3)  # longer than a stuck loop would be forgiven
    probe.send(signal.SIGCONT)
    with pytest.raises(subprocess.TimeoutExpired):
        probe.process.wait(2)
    probe.send(signal.SIGTERM)
    assert probe.ending()[0] == 0


def test_it_ends_with_its_lifeline_which_its_children_do_not_inherit(start: Callable[..., Probe]) -> None:
    source = PATIENT.replace('"here"', 'os.environ.get("TUNEBUS_LIFELINE", "none")')
    probe = start(source, TUNEBUS_LIFELINE="stdin")
    probe.wait_ready()
    assert probe.state()["detail"] == "none"
    probe.close_stdin()
    probe.process.wait(5)
    assert probe.process.returncode == 0


def test_without_a_lifeline_the_end_of_stdin_means_nothing(start: Callable[..., Probe]) -> None:
    probe = start(PATIENT)
    probe.wait_ready()
    probe.close_stdin()
    with pytest.raises(subprocess.TimeoutExpired):
        probe.process.wait(1)
    probe.send(signal.SIGTERM)
    assert probe.process.wait(10) == 0


def test_it_dies_with_a_parent_that_was_killed(tmp_path: Path) -> None:
    script = tmp_path / "probe.py"
    script.write_text(HEAD + PATIENT + RUN)
    parent = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import subprocess, sys, time\n"
            f"child = subprocess.Popen([sys.executable, {str(script)!r}], stdin=subprocess.PIPE)\n"
            "print(child.pid, flush=True)\n"
            "time.sleep(1000)\n",
        ],
        env={**os.environ, "TUNEBUS_HOME": str(tmp_path / "home"), "TUNEBUS_LIFELINE": "stdin"},
        stdout=subprocess.PIPE,
    )
    assert parent.stdout is not None
    child = psutil.Process(int(parent.stdout.readline()))
    state = tmp_path / "home" / "services" / "probe.json"
    wait_for(lambda: state.exists() and '"ready"' in state.read_text(), "the child is ready")
    parent.kill()
    parent.communicate()
    gone, _ = psutil.wait_procs([child], timeout=10)
    assert gone
