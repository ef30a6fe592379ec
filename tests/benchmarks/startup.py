"""How soon a studio's pages answer, and what its idle processes weigh.

    python tests/benchmarks/startup.py [--json] [--pairs 5]

Ours is `tunebus up` on a home that exists, from the start of the process until `GET /` answers 200: nats-server, the
registry, the relay, the projector, a trainer, an evaluator and the pages. The baseline is what nobody can leave out: a
nats-server and a bare Gradio page, started side by side. Both take turns. Memory is the sum of PSS (each shared page
counted in shares) over every process of the studio, once it has answered and had nothing to do for a while.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import secrets
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

import psutil
from tunebus.services.platform.server import NatsServer

BARE_PAGE = """
import sys
import gradio as gr
with gr.Blocks() as page:
    gr.Markdown("# hello")
page.launch(server_name="127.0.0.1", server_port=int(sys.argv[1]), quiet=True)
"""
GOAL_SECONDS = 4.0
GOAL_MEGABYTES = 500
SETTLE_SECONDS = 20.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def seconds_to_answer(port: int, began: float, deadline: float = 60.0) -> float:
    """Poll `GET /` until it answers 200."""
    while time.monotonic() - began < deadline:
        with (
            contextlib.suppress(OSError, urllib.error.URLError),
            urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as answer,
        ):
            if answer.status == 200:
                return time.monotonic() - began
        time.sleep(0.02)
    raise SystemExit(f"nothing answered on port {port} within {deadline:.0f} s")


class Studio:
    """`tunebus up` on one home."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self.port = free_port()
        kept = {name: value for name, value in os.environ.items() if not name.startswith("TUNEBUS_")}
        environment = kept | {"TUNEBUS_HOME": str(home), "TUNEBUS_UI_PORT": str(self.port)}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tunebus.ui.cli.app", "up"],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def processes(self) -> list[psutil.Process]:
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.environ().get("TUNEBUS_HOME") == str(self._home):
                    found.append(process)
        return found

    def weights(self) -> dict[str, float]:
        """MB of PSS by what each process runs."""
        found: dict[str, float] = {}
        for process in self.processes():
            with contextlib.suppress(psutil.Error):
                command = process.cmdline()
                name = next((part for part in command if part.startswith("tunebus.")), Path(command[0]).name)
                found[name] = found.get(name, 0.0) + process.memory_full_info().pss / 1e6
        return found

    def stop(self) -> None:
        self._process.send_signal(signal.SIGINT)
        self._process.wait(60)


def bare(folder: Path) -> float:
    """Seconds until a bare Gradio page answers, with a nats-server started beside it."""
    port, began = free_port(), time.monotonic()
    page = subprocess.Popen(
        [sys.executable, "-c", BARE_PAGE, str(port)],
        env=os.environ | {"GRADIO_ANALYTICS_ENABLED": "False"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    server = NatsServer(folder / f"nats-{port}", password=secrets.token_urlsafe(8))
    try:
        server.start()
        return seconds_to_answer(port, began)
    finally:
        page.kill()
        page.wait()
        server.stop()


def measure(pairs: int) -> list[dict[str, object]]:
    ours, baseline, weights = [], [], dict[str, float]()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for turn in range(pairs + 1):  # the first start makes the home and does not count
            began = time.monotonic()
            studio = Studio(folder / "home")
            try:
                took = seconds_to_answer(studio.port, began)
                if turn == pairs:
                    time.sleep(SETTLE_SECONDS)
                    weights = studio.weights()
            finally:
                studio.stop()
            if turn:
                ours.append(took)
                baseline.append(bare(folder))
    for process, megabytes in sorted(weights.items(), key=lambda item: -item[1]):
        print(f"{megabytes:7.1f} MB  {process}", file=sys.stderr)
    ratios = [mine / other for mine, other in zip(ours, baseline, strict=True)]
    return [
        {
            "what": "up on an existing home to the pages answering, s",
            "baseline": round(statistics.median(baseline), 2),
            "ours": round(statistics.median(ours), 2),
            "ratio": round(statistics.median(ratios), 2),
            "goal": f"<= {GOAL_SECONDS:g} s",
        },
        {
            "what": "idle control plane, MB of PSS",
            "baseline": None,
            "ours": round(sum(weights.values())),
            "ratio": None,
            "goal": f"<= {GOAL_MEGABYTES} MB",
        },
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--pairs", type=int, default=5)
    given = parser.parse_args()
    rows = measure(given.pairs)
    print(json.dumps({"rows": rows}) if given.json else "\n".join(map(str, rows)))


if __name__ == "__main__":
    main()
