"""A whole registry in this process: a real NATS server, each database in turn, prepare children, no workers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, func, select
from tunebus.contracts import rpc
from tunebus.contracts.client import AsyncClient
from tunebus.contracts.envelope import Outcome
from tunebus.contracts.errors import Problem
from tunebus.contracts.identifiers import new_id
from tunebus.contracts.subjects import Subjects
from tunebus.services.platform import database
from tunebus.services.platform.connection import BusClient, connect_to
from tunebus.services.platform.home import STARTER_PACK, Home
from tunebus.services.platform.ledger import events_after
from tunebus.services.platform.schema import dead_letters, inbox
from tunebus.services.platform.settings import Settings, load_settings
from tunebus.services.registry.app import Engines, Registry
from tunebus.services.registry.upgrading import set_up

MODEL = STARTER_PACK / "model"


@dataclass
class Running:
    """A registry that runs, and what a test needs to talk to it and to look behind it."""

    settings: Settings
    subjects: Subjects
    bus: BusClient
    client: AsyncClient
    engine: Engine
    files: Path
    artifact_root: str
    troubles: list[Problem | None] = field(default_factory=list)
    registry: Registry | None = None

    async def raw(self, body: bytes, subject: str, reply: str | None = None) -> None:
        headers = {"reply_to": reply} if reply else None
        await self.bus.jetstream().publish(subject, body, headers=headers, timeout=5)

    async def call(self, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
        reply = await self.bus.request(self.subjects.rpc(name), json.dumps(arguments).encode(), timeout=10)
        return dict(json.loads(reply.data))

    async def claim(
        self, worker: str = "w1", claim_id: str | None = None, kind: str = "fine_tuning_job", **offers: Any
    ) -> rpc.ClaimReply:
        capabilities = {"cpus": 4, "memory_gb": 8.0, "gpus": [], "artifact_root": self.artifact_root, **offers}
        call = {
            "worker_id": worker,
            "claim_id": claim_id or new_id(),
            "kind": kind,
            "host": "here",
            "capabilities": capabilities,
        }
        reply = await self.call("ClaimJob", call)
        assert "error" not in reply, reply
        return rpc.ClaimReply.model_validate(reply)

    async def accepted(self, command: str, **data: Any) -> str:
        outcome = await self.client.send(command, data)
        assert outcome.error is None, outcome.error
        assert outcome.id is not None
        return outcome.id

    async def refused(self, command: str, **data: Any) -> Problem:
        outcome = await self.client.send(command, data)
        assert outcome.error is not None, outcome
        return outcome.error

    def write(self, name: str, text: str) -> Path:
        path = self.files / name
        path.write_text(text)
        return path

    async def things(self, rows: int = 20) -> tuple[str, str]:
        """A dataset `faq` and a model `starter`; returns their ids."""
        path = self.write("faq.jsonl", "".join(f'{{"question": "q{n}", "answer": "a{n}"}}\n' for n in range(rows)))
        dataset = self.accepted("AddDataset", name="faq", path=str(path))
        model = self.accepted("AddModel", name="starter", path=str(MODEL))
        return await dataset, await model

    def events(self, type: str | None = None, entity_id: str | None = None) -> list[Any]:
        with database.read(self.engine) as connection:
            return events_after(connection, 0, 10_000, type=type, entity_id=entity_id)

    def letters(self) -> list[Any]:
        with database.read(self.engine) as connection:
            return list(connection.execute(select(dead_letters).order_by(dead_letters.c.id)))

    def outcomes(self) -> int:
        with database.read(self.engine) as connection:
            return connection.scalar(select(func.count()).select_from(inbox)) or 0


@pytest.fixture
def registry_settings(tmp_path: Path, database_url: str, nats_url: str, namespace: str) -> Settings:
    files = tmp_path / "files"
    files.mkdir()
    return load_settings(
        {},
        home=tmp_path / "home",
        nats_url=nats_url,
        namespace=namespace,
        database_url=database_url,
        dataset_roots=(files, STARTER_PACK),
    )


@pytest.fixture
async def running(registry_settings: Settings, bus: Subjects, nats_url: str) -> AsyncIterator[Running]:
    """The registry, serving; it is stopped as a service is, and must not have failed."""
    async with serving(registry_settings, nats_url) as (registry, found):
        found.registry = registry
        yield found


class serving:
    """`async with serving(settings, url) as (registry, running)`: one life of a registry."""

    def __init__(self, settings: Settings, nats_url: str) -> None:
        self._settings = settings
        self._url = nats_url

    async def __aenter__(self) -> tuple[Registry, Running]:
        settings = self._settings
        home = Home(settings.home, settings.artifacts).create()
        self._engines = Engines(settings)
        await asyncio.to_thread(set_up, self._engines.ledger)
        self._bus = await connect_to(self._url, "registry-under-test", wait=10)
        self._own = await connect_to(self._url, "test", wait=10)
        troubles: list[Problem | None] = []
        registry = Registry(settings, home, self._bus, self._engines, troubles.append)
        ready = asyncio.Event()
        self._task = asyncio.create_task(registry.run(ready.set))
        await asyncio.wait({self._task, asyncio.ensure_future(ready.wait())}, return_when=asyncio.FIRST_COMPLETED)
        if self._task.done():
            await self._task
        self._client = await AsyncClient.connect(self._url, settings.namespace, timeout=30)
        running = Running(
            settings,
            settings.subjects,
            self._own,
            self._client,
            self._engines.ledger,
            settings.dataset_roots[0],
            home.artifact_root_id(),
            troubles,
        )
        return registry, running

    async def __aexit__(self, *_: object) -> None:
        await self._client.close()
        self._task.cancel()
        ended = await asyncio.gather(self._task, return_exceptions=True)
        await self._own.close()
        await self._bus.close()
        self._engines.dispose()
        if ended and isinstance(ended[0], Exception):
            raise ended[0]


async def eventually(probe: Callable[[], Awaitable[Any]], what: str, deadline: float = 15.0) -> Any:
    """Wait until `probe` returns something true."""
    loop = asyncio.get_running_loop()
    until = loop.time() + deadline
    while not (found := await probe()):
        if loop.time() > until:
            pytest.fail(f"waited {deadline:g} s in vain: {what}")
        await asyncio.sleep(0.02)
    return found


__all__ = ["MODEL", "Outcome", "Running", "eventually", "serving"]
