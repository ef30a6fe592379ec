"""The life of one worker: finish what dead ones left, then claim, supervise, and listen for the bell while free."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import random
import socket
from collections.abc import Awaitable, Coroutine
from typing import Any, TypeVar

from nats.aio.msg import Msg
from nats.errors import Error as BusError
from tunebus.contracts import rpc
from tunebus.contracts.errors import TunebusError
from tunebus.contracts.identifiers import new_id
from tunebus.services.platform.connection import BusClient, connect
from tunebus.services.platform.process import Service, end_tasks
from tunebus.services.platform.topology import require
from tunebus.services.platform.worker import attempt, control
from tunebus.services.platform.worker.attempt import Attempt, Surroundings, WorkerKind
from tunebus.services.platform.worker.bells import Bells
from tunebus.services.platform.worker.bus import Bus
from tunebus.services.platform.worker.calls import Registry
from tunebus.services.platform.worker.capabilities import Loads, artifact_root, capabilities, devices
from tunebus.services.platform.worker.recovery import recover

LONGEST_PAUSE = 5.0
CLOSE_SECONDS = 1.0
GRACE = control.SHUTDOWN_SECONDS + attempt.SHUTDOWN_SECONDS + CLOSE_SECONDS  # what a stop may take

logger = logging.getLogger(__name__)

T = TypeVar("T")


class ShutDown(Exception):
    """The worker was told to go while it waited."""


class Worker:
    """One worker. It has at most one job at a time and shares nothing with its neighbours."""

    def __init__(self, around: Surroundings, bells: Bells) -> None:
        self._around = around
        self._bells = bells
        self._said: str | None = None

    async def run(self) -> None:
        """Until told to go."""
        with contextlib.suppress(ShutDown):
            await until(self._around.shutdown, recover(self._around.home, self._around.bus))
            bell: Msg | None = None
            while True:
                assignment = await until(self._around.shutdown, self._claim(bell))
                bell = None
                if assignment is None:
                    bell = await until(
                        self._around.shutdown, self._bells.next(self._around.settings.idle_claim_seconds)
                    )
                    continue
                await self._bells.pause()
                logger.info("claimed", extra={"job_id": assignment.job_id, "attempt": assignment.attempt})
                await Attempt(self._around, assignment).run()

    async def _claim(self, bell: Msg | None) -> rpc.Assignment | None:
        """Ask for a job until there is an answer, always under the same claim id; the bell is acknowledged after it."""
        root = artifact_root(self._around.home)
        if root is None:
            self._say(f"the artifact root {self._around.home.artifacts} is not there: no claim")
            if bell is not None:  # another worker may see it
                await self._quietly(bell.nak(delay=LONGEST_PAUSE))
            return None
        call = rpc.ClaimJob(
            worker_id=self._around.worker_id,
            claim_id=new_id(),
            kind=self._around.kind.job_kind,
            kinds=[self._around.kind.job_kind, *self._around.kind.other_kinds],
            host=socket.gethostname(),
            capabilities=capabilities(root, self._around.gpus),
            load=await self._around.loads.now(),
        )
        pause = 0.25
        while True:
            try:
                reply = await self._around.registry.claim(call)
                break
            except TunebusError as error:
                self._say(f"claim not answered: {error.problem.message}")
            await asyncio.sleep(pause * random.uniform(0.8, 1.2))  # noqa: S311  spreads retries, hides nothing
            pause = min(2 * pause, LONGEST_PAUSE)
            if bell is not None:
                await self._quietly(bell.in_progress())
        self._say(reply.waiting_reason)
        if bell is not None:
            await self._quietly(bell.ack())
        return reply.assignment

    @staticmethod
    async def _quietly(answer: Awaitable[None]) -> None:
        """A bell's answer that does not arrive costs one more bell."""
        with contextlib.suppress(BusError, OSError):
            await answer

    def _say(self, text: str | None) -> None:
        if text is not None and text != self._said:
            logger.info(text)
        self._said = text


async def until(shutdown: asyncio.Event, work: Coroutine[Any, Any, T]) -> T:
    """The result of `work`; raises ShutDown, having cancelled it, once the worker is told to go."""
    task = asyncio.ensure_future(work)
    told = asyncio.ensure_future(shutdown.wait())
    try:
        await asyncio.wait({task, told}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ShutDown
        return task.result()
    finally:
        await end_tasks(told, task)  # not one `cancel`: a wait inside nats-py may swallow it
        if not task.cancelled():
            task.exception()  # seen: nobody else will look


async def serve(service: Service, kind: WorkerKind) -> None:
    """The main coroutine of a worker process. Errors: `conflict` when the topology is not as it should be."""
    with contextlib.suppress(ShutDown):
        client = await until(service.stop, connect(service.settings, service.name))
        try:
            await until(service.stop, require(client, service.settings.subjects))
            await _serve(service, kind, client)
        finally:
            with contextlib.suppress(BusError, OSError):
                await asyncio.wait_for(client.close(), CLOSE_SECONDS)


async def _serve(service: Service, kind: WorkerKind, client: BusClient) -> None:
    settings = service.settings
    worker_id = f"{service.name}-{socket.gethostname()}-{os.getpid()}-{new_id()[-6:]}"
    registry = Registry(client, settings.subjects)
    gpus = await devices()
    around = Surroundings(
        kind=kind,
        worker_id=worker_id,
        settings=settings,
        home=service.home,
        bus=Bus(client, settings.subjects, worker_id),
        registry=registry,
        shutdown=service.stop,
        gpus=gpus,
        loads=Loads(gpus),
    )
    bells = Bells(client, settings.subjects, kind.name, registry)
    worker = Worker(around, bells)
    service.ready()
    try:
        await worker.run()
    finally:
        await bells.close()
