"""A whole studio under its launcher: what dies is started again, and what stops leaves nothing behind."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fixtures.studio import CONTROL_PLANE, Studio, eventually

MakeStudio = Callable[..., Studio]


def launch(studio: Studio, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A launcher that is expected to refuse."""
    return subprocess.run(
        [sys.executable, "-m", "tunebus.services.launcher", *arguments],
        env=studio.environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_studio_says_where_it_is(studio: Studio) -> None:
    status = studio.status()
    assert set(status["services"]) == set(CONTROL_PLANE)
    assert status["home"] == str(studio.home)
    assert status["database_url"].startswith("sqlite:///")
    assert status["ui_url"] is None
    assert studio.process is not None
    assert status["pid"] == studio.process.pid
    for secret in ("run.json", "nats.password", "nats/nats.conf"):
        assert (studio.home / secret).stat().st_mode & 0o777 == 0o600
    password = (studio.home / "nats.password").read_text().strip()
    assert password in status["nats_url"]
    assert all(password not in log.read_text() for log in (studio.home / "logs").glob("*.log"))
    studio.stop()
    assert not (studio.home / "run.json").exists()


@pytest.mark.parametrize("name", CONTROL_PLANE)
def test_what_is_killed_is_started_again(make_studio: MakeStudio, name: str) -> None:
    studio = make_studio(TUNEBUS_LOAD_DEFAULTS="false")
    before = studio.status()
    os.kill(studio.pid(name), signal.SIGKILL)

    def restarted() -> bool:
        service = studio.status()["services"][name]
        return service["pid"] not in (None, before["services"][name]["pid"]) and service["state"] == "ready"

    eventually(restarted, f"{name} is ready again", 40)
    after = studio.status()
    assert after["services"][name]["restarts"] >= 1
    assert after["nats_url"] == before["nats_url"]
    with studio.client() as client:
        assert client.list_datasets().items == []


def test_a_second_start_on_a_home_is_refused_naming_the_first(studio: Studio) -> None:
    assert studio.process is not None
    refused = launch(studio, "--no-ui")
    assert refused.returncode == 5
    assert f"pid {studio.process.pid}" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert studio.is_ready()


def test_a_second_life_adds_nothing(make_studio: MakeStudio) -> None:
    studio = make_studio()

    def loaded() -> bool:
        return bool(studio.status().get("defaults", {}).get("state") == "done")

    eventually(loaded, "the defaults are loaded", 60)
    with studio.client() as client:
        before = client.list_events(limit=100).items
    assert {event["type"] for event in before} == {"ModelAdded", "DatasetAdded", "PromptAdded", "ConfigAdded"}
    studio.stop()
    studio.start()
    eventually(loaded, "the defaults are loaded", 60)
    with studio.client() as client:
        assert client.list_events(limit=100).items == before


def test_a_killed_launcher_takes_everything_with_it(make_studio: MakeStudio) -> None:
    studio = make_studio(TUNEBUS_LOAD_DEFAULTS="false")
    assert studio.process is not None
    studio.process.kill()
    studio.process.wait()
    eventually(lambda: not studio.processes(), "everything is gone", 40)
    studio.start()
    assert studio.is_ready()


@pytest.mark.parametrize(("name", "arguments"), [("TUNEBUS_UI_PORT", ()), ("TUNEBUS_NATS_PORT", ("--no-ui",))])
def test_a_port_in_use_is_refused_before_anything_starts(
    make_studio: MakeStudio, name: str, arguments: tuple[str, ...]
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        studio = make_studio(start=False, **{name: str(port)})
        refused = launch(studio, *arguments)
        assert refused.returncode == 5
        assert f"{name}: port {port} of 127.0.0.1 cannot be used: Address already in use" in refused.stderr
        machine = json.loads(launch(studio, *arguments, "--json").stderr)
        assert (machine["code"], machine["param"]) == ("conflict", name)
        assert "choose another" in machine["hint"]
    assert not (studio.home / "tunebus.db").exists()
    assert list((studio.home / "nats").iterdir()) == []


def test_a_home_below_a_regular_file_is_refused(make_studio: MakeStudio, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    studio = make_studio(start=False, TUNEBUS_HOME=str(tmp_path / "file" / "home"))
    refused = launch(studio, "--no-ui")
    assert refused.returncode == 3
    assert "a regular file is in the way" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_service_that_cannot_start_says_why(make_studio: MakeStudio) -> None:
    studio = make_studio(start=False, TUNEBUS_DATABASE_URL="postgresql://me:secret@127.0.0.1:1/nobody")
    process = subprocess.Popen(
        [sys.executable, "-m", "tunebus.services.launcher", "--no-ui"],
        env=studio.environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    studio.process = process  # type: ignore[assignment]  stopped like any other

    def failing() -> bool:
        registry = studio.status().get("services", {}).get("registry", {})
        return bool(registry.get("state") == "failing" and "DATABASE_URL" in registry.get("error", ""))

    eventually(failing, f"the registry is reported: {studio.status()}", 60)
    assert "exited" not in studio.status()["services"]["registry"]["error"]


def test_a_service_that_no_restart_can_mend_ends_the_studio_with_its_words(make_studio: MakeStudio) -> None:
    studio = make_studio(start=False, TUNEBUS_DATABASE_URL="sqlite:///:memory:", TUNEBUS_DATASET_ROOTS="/mounted/later")
    refused = launch(studio, "--no-ui", "--json")
    assert refused.returncode == 3
    problem = json.loads(refused.stderr.splitlines()[-1])
    assert (problem["code"], problem["param"]) == ("invalid", "TUNEBUS_DATABASE_URL")
    assert "sqlite:///path" in problem["hint"]
    assert "restarting" not in refused.stderr
    assert studio.processes() == []
    assert "TUNEBUS_DATASET_ROOTS: there is no folder /mounted/later" in refused.stderr  # a warning all the same


def test_wrong_settings_are_refused_before_anything_starts(make_studio: MakeStudio) -> None:
    studio = make_studio(start=False, TUNEBUS_DATABASE_URL="mysql://me:secret@host/b", TUNEBUS_LOG_LEVEL="LOUD")
    refused = launch(studio, "--no-ui")
    assert refused.returncode == 3
    assert "TUNEBUS_DATABASE_URL: must be postgresql://" in refused.stderr
    assert "TUNEBUS_LOG_LEVEL: must be DEBUG" in refused.stderr
    assert "me:secret" not in refused.stderr
    assert not studio.home.exists()


def test_a_bus_that_does_not_answer_is_said(make_studio: MakeStudio) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        port = nobody.getsockname()[1]
    studio = make_studio(start=False, TUNEBUS_NATS_URL=f"nats://u:secret@127.0.0.1:{port}")
    began = time.monotonic()
    refused = launch(studio, "--no-ui")
    assert refused.returncode == 6
    assert time.monotonic() - began < 50
    assert "TUNEBUS_NATS_URL" in refused.stderr or "bus" in refused.stderr
    assert "secret" not in refused.stderr
    assert studio.processes() == []
