"""Puts the registry together: the ledger and its domain, the command loop, queries, worker calls, reaper, advisories.

The only place where these meet; it decides nothing itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import nats.errors
from tunebus.contracts import queries, rpc
from tunebus.contracts.errors import Problem
from tunebus.contracts.file_bucket import FileBucket
from tunebus.contracts.subjects import Subjects
from tunebus.services.platform import database, topology
from tunebus.services.platform.broker import answer, make_broker
from tunebus.services.platform.connection import BusClient, connect
from tunebus.services.platform.decisions import PreparedCommand
from tunebus.services.platform.home import Home
from tunebus.services.platform.ledger import Ledger
from tunebus.services.platform.process import Service, end_tasks
from tunebus.services.platform.settings import Settings
from tunebus.services.registry.advisories import Advisories, resend
from tunebus.services.registry.children import PreparePool
from tunebus.services.registry.command_loop import CommandLoop
from tunebus.services.registry.domain import RegistryDomain
from tunebus.services.registry.hub_fetching import hub_pool
from tunebus.services.registry.liveness import Hearing
from tunebus.services.registry.preparation import Preparation, roots_of
from tunebus.services.registry.progress import Progress
from tunebus.services.registry.queries import QueryAnswers
from tunebus.services.registry.reaper import Reaper, interval
from tunebus.services.registry.rpc import WorkerCalls
from tunebus.services.registry.run_sending import RunSender
from tunebus.services.registry.sizing import Sizing
from tunebus.services.registry.sweeper import Sweeper
from tunebus.services.registry.upgrading import set_up
from tunebus.services.registry.uploads import Uploads

NAME = "registry"
QUEUE = "registry"
READER_THREADS = 4

_log = logging.getLogger(__name__)


class Registry:
    """Everything of one registry process but its connections. `run` until cancelled."""

    def __init__(
        self,
        settings: Settings,
        home: Home,
        client: BusClient,
        engines: Engines,
        on_trouble: Callable[[Problem | None], None] = lambda _: None,
    ) -> None:
        self._client = client
        self._subjects = subjects = settings.subjects
        home = Home(home.folder, home.artifacts, (*settings.roots, home.artifacts))
        self.writer = ThreadPoolExecutor(1, thread_name_prefix="writer")
        self.readers = ThreadPoolExecutor(READER_THREADS, thread_name_prefix="reader")
        self.ledger = Ledger(engines.ledger, RegistryDomain(max_crash_retries=settings.max_crash_retries))
        self.pool = PreparePool()
        self.hub = hub_pool()
        self.looks = PreparePool()  # questions are answered while commands keep their own children busy
        self.tokenizers = PreparePool(1, module="tunebus.services.registry.tokenizing", idle_seconds=120.0)
        self.progress = Progress()
        sizing = Sizing(home, engines.reads)
        bucket = FileBucket(client, subjects)
        uploads = Uploads(home, bucket)
        self.runs = RunSender(client, subjects, engines.reads, home)
        self.hearing = Hearing(interval(settings.lease_seconds))
        client.when_reconnected(self.hearing.deaf)
        self.commands = CommandLoop(
            client,
            subjects,
            self.ledger,
            engines.ledger,
            Preparation(
                settings,
                home,
                engines.reads,
                self.pool,
                self.hub,
                self.runs,
                bucket,
                uploads,
                self.progress,
                self.hearing.deaf,  # nobody is heard while an import holds up the writer
                sizing,
            ),
            self.writer,
            committed=self._nudge_relay,
            on_trouble=on_trouble,
        )
        self.calls = WorkerCalls(
            engines.ledger,
            self.ledger,
            self.writer,
            self.hearing,
            lease_seconds=settings.lease_seconds,
            artifact_root=home.artifact_root_id(),
            committed=self._nudge_relay,
            resend=partial(resend, client, subjects),
        )
        self.answers = QueryAnswers(
            home,
            engines.reads,
            engines.measured,
            self.readers,
            self.looks,
            self.tokenizers,
            self.progress,
            sizing,
            uploads,
            roots_of(settings, home),
        )
        self.reaper = Reaper(engines.reads, self._execute, self.hearing, settings.lease_seconds)
        self.sweeper = Sweeper(engines.reads, home, uploads)
        self.advisories = Advisories(client, subjects, engines.ledger, self.writer)

    async def run(self, ready: Callable[[], None] = lambda: None) -> None:
        """Errors: `unavailable` when a consumer is gone."""
        broker = make_broker(self._client)
        for name in rpc.CALLS:
            answer(broker, self._subjects.rpc(name), QUEUE, partial(self.calls.answer, name))
        for name in queries.QUERIES:
            answer(broker, self._subjects.query(name), QUEUE, partial(self.answers.answer, name))
        await broker.start()
        self.hearing.deaf()
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self.commands.run(), name="commands")
                tasks.create_task(self.reaper.run(), name="reaper")
                tasks.create_task(self.sweeper.run(), name="sweeper")
                tasks.create_task(self.runs.run(), name="imported runs")
                tasks.create_task(self.advisories.run(), name="advisories")
                ready()
        except* Exception as group:
            raise group.exceptions[0] from None
        finally:
            await broker.stop()
            await self.commands.close()
            await self.advisories.close()
            for pool in (self.pool, self.hub, self.looks, self.tokenizers):
                await pool.close()
            self.writer.shutdown(wait=True)
            self.readers.shutdown(wait=False, cancel_futures=True)
            self.answers.close()

    async def _execute(self, commands: list[PreparedCommand]) -> None:
        results = await asyncio.get_running_loop().run_in_executor(self.writer, self.ledger.execute, commands)
        for result in results:
            if isinstance(result, Exception):
                _log.error("a lease could not be ended; the reaper tries again", exc_info=result)
        await self._nudge_relay()

    async def _nudge_relay(self) -> None:
        with contextlib.suppress(nats.errors.Error):  # the relay looks by itself now and then
            await self._client.publish(self._subjects.relay_nudge, b"")


class Engines:
    """The writer's engine, one that only reads, and the telemetry's."""

    def __init__(self, settings: Settings) -> None:
        self.ledger = database.open_engine(settings.ledger_url)
        self.reads = database.open_engine(settings.ledger_url, read_only=True)
        self.measured = database.open_engine(settings.telemetry_url, read_only=True)

    def dispose(self) -> None:
        for engine in (self.ledger, self.reads, self.measured):
            engine.dispose()


@contextlib.asynccontextmanager
async def opened(settings: Settings, home: Home) -> AsyncIterator[tuple[BusClient, Engines]]:
    """Database and bus, both there and of this version."""
    engines = Engines(settings)
    try:
        await asyncio.to_thread(set_up, engines.ledger)
        client = await connect(settings, NAME)
        try:
            await topology.require(client, settings.subjects)
            yield client, engines
        finally:
            await client.close()
    finally:
        engines.dispose()


async def main(service: Service) -> None:
    """Serve until told to stop."""
    home = service.home.create()
    for root in service.settings.missing_roots:
        _log.warning("a folder of TUNEBUS_DATASET_ROOTS is not there", extra={"folder": str(root)})
    subjects: Subjects = service.settings.subjects
    async with opened(service.settings, home) as (client, engines):

        def show_trouble(problem: Problem | None) -> None:
            if problem is None:
                service.ready()
            else:
                service.report("starting", problem.message)

        registry = Registry(service.settings, home, client, engines, show_trouble)
        gc.collect()
        gc.freeze()  # what is there now stays: looking at it again and again would only delay commands
        serving = asyncio.create_task(registry.run(lambda: service.ready(subjects.namespace)), name=NAME)
        stopping = asyncio.create_task(service.stop.wait())
        try:
            await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if serving.done():
                await serving
        finally:
            await end_tasks(stopping, serving)
