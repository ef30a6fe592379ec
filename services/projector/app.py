"""Wires the projector: telemetry from the bus into SQL. It is the only writer of the telemetry tables."""

from __future__ import annotations

import asyncio

from tunebus.services.platform import database, topology
from tunebus.services.platform.connection import connect
from tunebus.services.platform.process import Service
from tunebus.services.platform.pull import StandingPull
from tunebus.services.platform.worker.calls import Registry
from tunebus.services.projector.ingestion import Ingestion
from tunebus.services.projector.store import Store

NAME = "projector"


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
        stopping = asyncio.create_task(service.stop.wait(), name="stop")
        service.ready()
        await asyncio.wait({running, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        await ingestion.stop()
        await running
    finally:
        await client.close()
        engine.dispose()
