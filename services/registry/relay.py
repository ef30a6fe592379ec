"""The relay's own process: `python -m tunebus.services.registry.relay [--replay]`. It decides nothing.

`--replay` empties the events stream and publishes the whole record again; the repair of a stream that was emptied or
that somebody else published to.
"""

from __future__ import annotations

import json
import sys

from tunebus.contracts.errors import Code, fail
from tunebus.services.platform import database, topology
from tunebus.services.platform.connection import connect
from tunebus.services.platform.process import Service, run
from tunebus.services.platform.relay import Relay

NAME = "relay"


async def relay(service: Service) -> None:
    """Publish until told to stop."""
    settings = service.settings
    engine = database.open_engine(settings.ledger_url)
    database.check_schema(engine)
    client = await connect(settings, NAME)
    try:
        await topology.require(client, settings.subjects)
        await Relay(client, engine, settings.subjects).run(service.stop, service.ready)
    finally:
        await client.close()
        engine.dispose()


async def replay(service: Service) -> None:
    """Publish the whole record again and end."""
    settings = service.settings
    engine = database.open_engine(settings.ledger_url)
    database.check_schema(engine)
    client = await connect(settings, f"{NAME}-replay")
    try:
        count = await Relay(client, engine, settings.subjects).replay()
        sys.stdout.write(json.dumps({"replayed": count, "stream": settings.subjects.events_stream}) + "\n")
    finally:
        await client.close()
        engine.dispose()


async def refuse(_: Service) -> None:
    raise fail(Code.INVALID, f"unknown arguments {' '.join(sys.argv[1:])!r}", hint="--replay is the only one")


MODES = {(): (NAME, relay), ("--replay",): (f"{NAME}-replay", replay)}

if __name__ == "__main__":
    run(*MODES.get(tuple(sys.argv[1:]), (f"{NAME}-replay", refuse)))
