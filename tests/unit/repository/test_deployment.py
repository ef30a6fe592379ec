"""The containers' files against the code: what they start exists, what they set is known, who is reached from where."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from tunebus.services.launcher import plan
from tunebus.services.platform import server
from tunebus.services.platform.settings import load_settings

ROOT = Path(__file__).parents[3]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if "build" in service}
ONCE = ("topology", "defaults")  # they end, and are waited for until they have
SECRETS = {"NATS_PASSWORD": "n4ts", "POSTGRES_PASSWORD": "p0st"}


def filled(text: str) -> str:
    """With what `.env` holds."""
    return re.sub(r"\$\{(\w+)(:[^}]*)?\}", lambda found: SECRETS[found[1]], text)


def environment(service: dict[str, Any]) -> dict[str, str]:
    return {name: filled(value) for name, value in service.get("environment", {}).items()}


def test_every_service_of_the_launcher_has_a_container() -> None:
    settings = load_settings({"TUNEBUS_TRACKING": "mlflow"})
    everything = [*plan.services(settings, ui=True), plan.pages(), plan.defaults(settings, ui=True)]
    started = {p.name: tuple(p.argv[1:]) for p in everything}
    contained = {name: tuple(service["command"][1:]) for name, service in OURS.items() if name != "topology"}
    assert contained == started


@pytest.mark.parametrize("name", OURS)
def test_what_a_container_starts_exists(name: str) -> None:
    command = OURS[name]["command"]
    assert command[:2] == ["python", "-m"]
    for module in {command[2], *OURS[name].get("healthcheck", {}).get("test", [])[3:4]}:
        found = importlib.util.find_spec(module)
        assert found is not None
        is_package = found.submodule_search_locations is not None
        assert not is_package or importlib.util.find_spec(f"{module}.__main__")


@pytest.mark.parametrize("name", OURS)
def test_what_a_container_sets_is_known(name: str) -> None:
    settings = load_settings(environment(OURS[name]))
    assert settings.nats_url is not None
    assert settings.nats_url.get_secret_value() == "nats://tunebus:n4ts@nats:4222"
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert OURS[name]["build"]["args"]["EXTRAS"] in extras
    assert {volume.split(":")[1] for volume in OURS[name].get("volumes", [])} <= {
        str(settings.artifacts),
        *map(str, settings.roots),
        "/data",
    }


def test_a_health_check_asks_for_its_own_service() -> None:
    for name, service in OURS.items():
        if name not in ONCE:
            assert service["healthcheck"]["test"][3:] == ["tunebus.services.platform.health", name]


def test_who_waits_for_health_waits_for_somebody_who_has_a_check() -> None:
    for name, service in SERVICES.items():
        for other, wait in service.get("depends_on", {}).items():
            if wait["condition"] == "service_healthy":
                assert "healthcheck" in SERVICES[other], f"{name} waits for {other}"
        assert ("healthcheck" in service) == (name not in ONCE), name


def test_only_the_pages_are_published_and_only_on_this_machine() -> None:
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert list(published) == ["ui"]
    assert all(port.startswith("127.0.0.1:") for port in published["ui"])
    assert not any(service.get("privileged") or service.get("network_mode") for service in SERVICES.values())


def test_volumes_are_named_or_below_this_folder() -> None:
    named = set(COMPOSE["volumes"])
    used = {str(volume).split(":", 1)[0] for service in SERVICES.values() for volume in service.get("volumes", [])}
    assert {volume for volume in used if not volume.startswith("./")} == named


def test_workers_get_no_database() -> None:
    for name in ("trainer", "evaluator", "tracking"):
        assert "TUNEBUS_DATABASE_URL" not in SERVICES[name]["environment"]


def test_the_servers_configuration_is_the_launchers(tmp_path: Path) -> None:
    """Read by the real server, and with the same promises as the embedded one's."""
    text = (ROOT / "deploy" / "nats.conf").read_text()
    binary = str(server.find_binary())
    checked = subprocess.run(
        [binary, "-t", "-c", str(ROOT / "deploy" / "nats.conf")],
        env={"NATS_PASSWORD": "n4ts"},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert checked.returncode == 0, checked.stderr
    embedded = server.NatsServer(tmp_path, password="n4ts").write_config().read_text()
    for promise in ("sync_interval: always", "max_file_store: 1TB", "max_memory_store: 64MB"):
        assert promise in text
        assert promise in embedded
    assert "max_payload: 8MB" in text
    assert server.MAX_PAYLOAD == 8 * 1024 * 1024


def test_the_image_holds_what_the_distribution_needs() -> None:
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    kept = {line[1:] for line in ignored if line.startswith("!")}
    copied = {
        part
        for line in (ROOT / "Dockerfile").read_text().splitlines()
        if line.startswith("COPY ") and "--from" not in line
        for part in line.split()[1:-1]
    }
    assert copied == kept
    assert all((ROOT / name).exists() for name in kept)
