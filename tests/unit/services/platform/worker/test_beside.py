"""What runs beside an attempt, and what a worker waits for: both end, also where a cancellation is swallowed once."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from tunebus.services.platform.worker.attempt import _beside
from tunebus.services.platform.worker.worker import ShutDown, until


class Swallows:
    """Goes on after the first cancellation, as a wait inside nats-py does when its reply comes at that moment."""

    def __init__(self) -> None:
        self.cancelled = 0
        self.began = asyncio.Event()

    async def run(self) -> None:
        self.began.set()
        for _ in range(2):
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.Event().wait()
            self.cancelled += 1


async def test_what_runs_beside_ends_with_the_body() -> None:
    work = Swallows()
    async with asyncio.timeout(20):
        async with _beside(work.run()):
            await work.began.wait()
    assert work.cancelled == 2


async def test_a_worker_that_is_told_to_go_waits_for_nothing() -> None:
    work, shutdown = Swallows(), asyncio.Event()

    async def tell() -> None:
        await work.began.wait()
        shutdown.set()

    async with asyncio.timeout(20):
        telling = asyncio.create_task(tell())
        with pytest.raises(ShutDown):
            await until(shutdown, work.run())
        await telling
    assert work.cancelled == 2


async def test_a_defect_beside_ends_the_body() -> None:
    async def fails() -> None:
        raise ZeroDivisionError

    with pytest.raises(ExceptionGroup):
        async with asyncio.timeout(20), _beside(fails()):
            await asyncio.Event().wait()
