"""Wires the projector: telemetry from the bus into SQL. It is the only writer of the telemetry tables."""

from __future__ import annotations

import asyncio
import logging

from tunebus.contracts.errors import TunebusError
from tunebus.services.platform import database, topology
from tunebus.services.platform.connection import connect
from tunebus.services.platform.process import Service
from tunebus.services.platform.pull import StandingPull
from tunebus.services.platform.worker.calls import Registry
from tunebus.services.projector.ingestion import Ingestion
from tunebus.services.projector.store import Store

NAME = "projector"
_log = logging.getLogger(__name__)


async def main(service: Service) -> None:
    """Ingest telemetry until told to stop."""
    settings = service.settings
    service.home.create()
    engine = database.open_engine(settings.telemetry_url, synchronous="NORMAL")
    store = Store(engine)
    store.create()
    client = await connect(settings, NAME)
    try:
        subjects = settings.subjects
        await topology.require(client, subjects)
        pull = StandingPull(client, subjects.telemetry_stream, topology.PROJECTOR)
        ingestion = Ingestion(pull, store, Registry(client, subjects).record_dead_letter)
        running = asyncio.create_task(ingestion.run(), name="ingestion")
        rolling = asyncio.create_task(asyncio.to_thread(_roll_up_old, store), name="roll-ups")
        stopping = asyncio.create_task(service.stop.wait(), name="stop")
        service.ready()
        await asyncio.wait({running, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        await ingestion.stop()
        await running
        store.stop()
        await rolling
    finally:
        await client.close()
        engine.dispose()


def _roll_up_old(store: Store) -> None:
    """Beside what comes in; until it is done such jobs are read point by point, which is right but slow."""
    try:
        if jobs := store.roll_up_old():
            _log.info("telemetry of an earlier version was rolled up", extra={"jobs": jobs})
    except TunebusError as error:
        _log.warning("telemetry of an earlier version is not rolled up", extra={"reason": error.problem.message})
