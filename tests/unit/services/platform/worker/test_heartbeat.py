"""Heartbeats: often enough, obeyed at once, asked first after a pause; silence means nothing."""

from __future__ import annotations

import asyncio

import pytest
from tunebus.contracts.errors import Code, fail
from tunebus.contracts.rpc import HeartbeatReply
from tunebus.services.platform.worker import heartbeat
from tunebus.services.platform.worker.heartbeat import Heartbeat


class Registry:
    def __init__(self, *, silent: bool = False, lease_seconds: float = 0.03) -> None:
        self.silent = silent
        self.lease_seconds = lease_seconds
        self.asked = 0
        self.obeyed: list[HeartbeatReply] = []

    async def __call__(self, timeout: float) -> HeartbeatReply:
        self.asked += 1
        if self.silent:
            raise fail(Code.UNAVAILABLE, "no reply")
        return HeartbeatReply(lease_seconds=self.lease_seconds)


async def asked(registry: Registry, times: int) -> None:
    async with asyncio.timeout(5):
        while registry.asked < times:
            await asyncio.sleep(0.001)


async def test_every_reply_is_obeyed() -> None:
    registry = Registry()
    task = asyncio.create_task(Heartbeat(registry, registry.obeyed.append, 0.03).run())
    await asked(registry, 4)
    task.cancel()
    assert len(registry.obeyed) >= 3


async def test_silence_is_asked_again_and_obeyed_by_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeat, "RETRY_SECONDS", 0.001)
    registry = Registry(silent=True, lease_seconds=600)
    task = asyncio.create_task(Heartbeat(registry, registry.obeyed.append, 600).run())
    await asked(registry, 3)
    assert registry.obeyed == []
    registry.silent = False
    await asked(registry, registry.asked + 1)
    task.cancel()
    assert len(registry.obeyed) == 1


async def test_the_lease_may_change() -> None:
    registry = Registry(lease_seconds=600)
    heart = Heartbeat(registry, registry.obeyed.append, 0.03)
    task = asyncio.create_task(heart.run())
    await asked(registry, 1)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.shield(task), 0.2)
    assert registry.asked == 1
    task.cancel()


async def test_a_pause_longer_than_the_lease_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(heartbeat.time, "monotonic", lambda: now[0])
    registry = Registry(lease_seconds=30)
    heart = Heartbeat(registry, registry.obeyed.append, 30)
    await heart.fresh()
    assert registry.asked == 0
    now[0] += 31
    await heart.fresh()
    await heart.fresh()
    assert registry.asked == 1
