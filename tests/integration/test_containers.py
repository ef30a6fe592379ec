"""The containers' commands and variables, run as plain processes against a real server and a real PostgreSQL."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from tunebus.contracts.client import Client
from tunebus.services.platform.server import NatsServer

from tests.fixtures.databases import postgresql_database
from tests.fixtures.studio import eventually

ROOT = Path(__file__).parents[2]
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]


class Containers:
    """Each of our services in a home of its own, with the artifacts in common, as the compose file has it."""

    def __init__(self, folder: Path, nats_url: str, database_url: str) -> None:
        self._folder = folder
        self._replaced = {
            "nats://tunebus:n4ts@nats:4222": nats_url,
            "postgresql://tunebus:n4ts@postgresql:5432/tunebus": database_url.replace(
                "postgresql+psycopg", "postgresql"
            ),
            "/var/lib/tunebus-artifacts": str(folder / "artifacts"),
            "/data": str(folder / "data"),
            "http://mlflow:5000": f"sqlite:///{folder}/mlflow.db",
            "0.0.0.0": "127.0.0.1",
            "7860": "0",
            "/run/secrets/ui_password": str(folder / "ui_password"),
        }
        self._processes: list[subprocess.Popen[bytes]] = []
        (folder / "data").mkdir()
        (folder / "ui_password").write_text("a long enough phrase\n")

    def environment(self, name: str) -> dict[str, str]:
        given = {
            key: re.sub(r"\$\{\w+:\?[^}]*\}", "n4ts", value) for key, value in SERVICES[name]["environment"].items()
        }
        replaced = {key: self._replaced.get(value, value) for key, value in given.items()}
        ours = {key: value for key, value in os.environ.items() if not key.startswith("TUNEBUS_")}
        return {**ours, **replaced, "TUNEBUS_HOME": str(self._folder / name), "OMP_NUM_THREADS": "1"}

    def start(self, name: str) -> None:
        """Start a container's command; wait for its end where others wait for it, else for its health check."""
        (self._folder / name).mkdir()
        with (self._folder / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                self._argv(SERVICES[name]["command"]), env=self.environment(name), cwd=self._folder / name,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        self._processes.append(process)
        if "healthcheck" not in SERVICES[name]:
            assert process.wait(60) == 0, self.log(name)
            return
        check = self._argv(SERVICES[name]["healthcheck"]["test"][1:])

        def healthy() -> bool:
            assert process.poll() is None, self.log(name)
            return subprocess.run(check, env=self.environment(name), capture_output=True, timeout=30).returncode == 0

        eventually(healthy, f"{name} healthy", 90, interval=0.2)

    def log(self, name: str) -> str:
        return (self._folder / f"{name}.log").read_text()[-4000:]

    def stop(self) -> None:
        for process in reversed(self._processes):
            process.terminate()
        for process in reversed(self._processes):
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()

    def _argv(self, command: list[str]) -> list[str]:
        return [sys.executable if part == "python" else part for part in command]


@pytest.fixture
def containers(tmp_path: Path, private_nats_server: NatsServer, postgresql: str) -> Iterator[Containers]:
    with postgresql_database(postgresql) as url:
        made = Containers(tmp_path, private_nats_server.url, url)
        yield made
        made.stop()


def test_the_containers_make_a_studio(containers: Containers, private_nats_server: NatsServer, tmp_path: Path) -> None:
    for name in ("topology", "registry", "relay", "defaults", "projector", "trainer", "evaluator", "tracking", "ui"):
        containers.start(name)
    shutil.copy(ROOT / "services" / "trainer" / "starter" / "pack" / "questions.jsonl", tmp_path / "data" / "q.jsonl")
    with Client.connect(url=private_nats_server.url) as client:
        outcome = client.send("AddDataset", {"name": "questions", "path": str(tmp_path / "data" / "q.jsonl")})
        assert outcome.error is None, outcome.error
        assert [model["name"] for model in client.query("ListModels", {})["items"]] == ["starter"]
        assert {worker["kind"] for worker in client.query("ListWorkers", {})["items"]} == {
            "fine_tuning_job",
            "evaluation_job",
        }
