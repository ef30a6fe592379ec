"""The registry and the operator's database commands as processes of their own."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from typing import Any

import pytest
from sqlalchemy import update
from tunebus.contracts.client import AsyncClient
from tunebus.contracts.subjects import Subjects
from tunebus.projections.tables import configs
from tunebus.services.platform import database
from tunebus.services.platform.connection import connect_to
from tunebus.services.platform.home import Home
from tunebus.services.platform.server import NatsServer
from tunebus.services.platform.settings import Settings, load_settings
from tunebus.services.platform.topology import apply

from tests.fixtures.registry import Running, eventually, serving


def environment(settings: Settings) -> dict[str, str]:
    assert settings.nats_url is not None
    assert settings.database_url is not None
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("TUNEBUS_")},
        "TUNEBUS_HOME": str(settings.home),
        "TUNEBUS_NATS_URL": settings.nats_url.get_secret_value(),
        "TUNEBUS_DATABASE_URL": settings.database_url.get_secret_value(),
        "TUNEBUS_NAMESPACE": settings.namespace,
    }


def db(settings: Settings, *arguments: str) -> tuple[int, Any]:
    """The exit code, and the document: data on stdout, or the problem on stderr."""
    done = subprocess.run(
        [sys.executable, "-m", "tunebus.services.registry.database", *arguments, "--json"],
        env=environment(settings),
        capture_output=True,
        timeout=60,
        check=False,
    )
    return done.returncode, json.loads(done.stderr if done.returncode else done.stdout)


async def test_the_database_is_verified_and_rebuilt_while_the_studio_runs(running: Running) -> None:
    await running.things()
    await running.accepted("StartFineTuningJob", base_model_id="starter", dataset_id="faq")
    await running.accepted("AddConfig", type="custom", config={"a": 1})

    code, document = await asyncio.to_thread(db, running.settings, "verify")
    assert (code, document["ok"]) == (0, True)
    assert document["rows"]["fine_tuning_jobs"] == 1

    with database.write(running.engine) as connection:
        connection.execute(update(configs).values(description="corrupted"))
    code, document = await asyncio.to_thread(db, running.settings, "verify")
    assert code == 5
    assert "configs" in json.dumps(document.get("details") or document)

    code, document = await asyncio.to_thread(db, running.settings, "rebuild")
    assert code == 0
    code, document = await asyncio.to_thread(db, running.settings, "verify")
    assert (code, document["ok"]) == (0, True)
    assert (await running.client.query("ListConfigs", {}))["items"][0]["description"] == ""
    assert (await running.client.send("AddConfig", {"type": "custom", "config": {"b": 2}})).error is None


async def test_upgrading_makes_a_database_and_changes_nothing_twice(registry_settings: Settings) -> None:
    code, document = await asyncio.to_thread(db, registry_settings, "verify")
    assert code == 6
    assert "upgrade" in document["hint"]
    for _ in range(2):
        assert (await asyncio.to_thread(db, registry_settings, "upgrade"))[0] == 0
    assert (await asyncio.to_thread(db, registry_settings, "verify"))[0] == 0


async def test_the_process_serves_and_stops_when_it_is_told_to(
    registry_settings: Settings, bus: Subjects, nats_url: str
) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tunebus.services.registry", env=environment(registry_settings)
    )
    state = registry_settings.home / "services" / "registry.json"

    async def ready() -> bool:
        return state.exists() and json.loads(state.read_text())["state"] == "ready"

    await eventually(ready, "the registry is ready", 60)
    async with await AsyncClient.connect(nats_url, registry_settings.namespace, timeout=30) as client:
        assert (await client.send("AddConfig", {"type": "custom", "config": {}})).error is None
        # YAML needs a prepare child; it must end with its registry.
        assert (await client.send("AddConfig", {"type": "custom", "config": "a: 1"})).error is None
    process.send_signal(signal.SIGTERM)
    assert await asyncio.wait_for(process.wait(), 30) == 0
    assert not state.exists()


async def test_a_registry_without_its_streams_says_what_to_do(
    registry_settings: Settings, nats_server: NatsServer
) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tunebus.services.registry",
        env=environment(registry_settings),
        stderr=asyncio.subprocess.PIPE,
    )
    _, words = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 5
    assert b"topology apply" in words


async def test_a_registry_that_lost_the_bus_waits_a_whole_lease_again(
    tmp_path: Any, private_nats_server: NatsServer, namespace: str
) -> None:
    home = Home(tmp_path / "home").create()
    settings = load_settings(
        {},
        home=home.folder,
        nats_url=private_nats_server.url,
        namespace=namespace,
        database_url=f"sqlite:///{tmp_path / 'ledger.db'}",
        dataset_roots=(tmp_path,),
    )
    admin = await connect_to(private_nats_server.url, "admin", wait=10)
    await apply(admin, settings.subjects)
    await admin.close()
    async with serving(settings, private_nats_server.url) as (registry, running):
        registry.hearing._since -= 10_000
        private_nats_server.kill()
        private_nats_server.start()

        async def heard_again() -> bool:
            return registry.hearing.heard_for < 1_000

        await eventually(heard_again, "the reconnect counts as deafness", 30)
        outcome = await running.client.send("AddConfig", {"type": "custom", "config": {}})
        assert outcome.error is None


@pytest.mark.parametrize("name", ["tunebus.services.registry.app", "tunebus.services.registry.prepare"])
def test_neither_the_registry_nor_its_children_load_torch(name: str) -> None:
    code = f"import sys, {name}; sys.exit(any(m in sys.modules for m in ('torch', 'transformers', 'datasets')))"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0
