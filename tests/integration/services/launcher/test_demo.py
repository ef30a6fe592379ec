"""A demo that cannot go on says why, ends with an error and leaves nothing behind; none of this needs a training."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable

import psutil

from tests.fixtures.studio import Studio, eventually

MakeStudio = Callable[..., Studio]


def demo(studio: Studio, *arguments: str) -> subprocess.Popen[str]:
    studio.home.mkdir(parents=True, exist_ok=True)
    return subprocess.Popen(
        [sys.executable, "-m", "tunebus.services.launcher.demo", "--home", str(studio.home), *arguments],
        env=studio.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_service_that_cannot_start_ends_the_demo(make_studio: MakeStudio) -> None:
    studio = make_studio(start=False, TUNEBUS_DATABASE_URL="postgresql://me:secret@127.0.0.1:1/nobody")
    process = demo(studio)
    out, err = process.communicate(timeout=100)
    assert process.returncode == 6
    assert "registry: TUNEBUS_DATABASE_URL" in err
    assert "Traceback" not in out + err
    assert studio.processes() == []


def test_wrong_settings_end_the_demo_at_once(make_studio: MakeStudio) -> None:
    studio = make_studio(start=False, TUNEBUS_DATABASE_URL="mysql://me:secret@host/b")
    process = demo(studio, "--json")
    out, err = process.communicate(timeout=60)
    assert process.returncode == 3
    assert json.loads(err)["param"] == "TUNEBUS_DATABASE_URL"
    assert "secret@" not in out + err


def test_a_home_in_use_ends_the_demo(make_studio: MakeStudio) -> None:
    studio = make_studio(TUNEBUS_LOAD_DEFAULTS="false")
    process = demo(studio)
    _, err = process.communicate(timeout=100)
    assert process.returncode == 5
    assert "a studio already runs" in err
    assert studio.is_ready()


def test_ctrl_c_stops_everything_the_demo_started(make_studio: MakeStudio) -> None:
    # No trainer: the job waits, so that the demo is surely under way when it is interrupted.
    studio = make_studio(start=False, TUNEBUS_TRAINERS="0")
    process = demo(studio)

    def watching() -> bool:
        for one in studio.processes():
            with contextlib.suppress(psutil.Error):
                if "watch" in one.cmdline():
                    return True
        return False

    eventually(watching, "the demo watches its job", 100)
    os.kill(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "The demo was stopped" in err
    assert "Traceback" not in err
    eventually(lambda: studio.processes() == [], "nothing is left", 10)
