"""What the pages stand on: reading projections and sending commands. It writes no SQL and knows no page."""

from __future__ import annotations

import asyncio
import hashlib
import json
from typing import Any

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError
from tunebus.contracts.client import AsyncClient
from tunebus.contracts.envelope import Outcome
from tunebus.contracts.errors import Code, Problem, TunebusError, fail
from tunebus.contracts.queries import QUERIES, Query
from tunebus.projections import queries
from tunebus.services.platform import database
from tunebus.services.platform.home import STARTER_PACK, Home
from tunebus.services.platform.settings import Settings

ANSWER_SECONDS = 20.0

Document = dict[str, Any]


class Studio:
    """One studio as its pages see it. Reads go straight to SQL, so pages work while the bus is down."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.home = Home(settings.home, settings.artifacts)
        self._ledger: Engine | None = None
        self._telemetry: Engine | None = None
        self._client: AsyncClient | None = None
        self._connecting = asyncio.Lock()

    async def close(self) -> None:
        if self._client is not None:
            await self._client.close()
        for engine in (self._ledger, self._telemetry):
            if engine is not None:
                engine.dispose()

    async def ask(self, name: str, **arguments: Any) -> Document:
        """A query's answer from SQL. Errors: `not_found`, `invalid`, `unavailable`."""
        return await asyncio.to_thread(self._read, QUERIES[name].model_validate(arguments))

    async def items(self, name: str, **arguments: Any) -> list[Document]:
        """Every item of a list, page by page."""
        found: list[Document] = []
        after: str | None = None
        while True:
            page = await self.ask(name, limit=500, after=after, **arguments)
            found += page["items"]
            after = page["next"]
            if after is None:
                return found

    async def over_bus(self, name: str, **arguments: Any) -> Document:
        """A query that needs the registry, because it reads files."""
        client = await self._connected()
        return await client.query(name, arguments)

    async def send(self, command: str, data: Document) -> Outcome:
        """A command's outcome; a rejected one raises its problem. Errors: also `unavailable`, `not_confirmed`."""
        client = await self._connected()
        outcome = await client.send(command, data, timeout=ANSWER_SECONDS)
        if outcome.error is not None:
            raise TunebusError(outcome.error)
        return outcome

    def recommended(self) -> Document:
        """The settings that suit the starter pack, as a fine-tuning command takes them."""
        document: Document = json.loads((STARTER_PACK / "recommended.json").read_text())
        return document

    def _read(self, query: Query) -> Document:
        try:
            if self._ledger is None:
                self._ledger = database.open_engine(self.settings.ledger_url, read_only=True)
            if self._telemetry is None:
                self._telemetry = database.open_engine(self.settings.telemetry_url, read_only=True)
            try:
                with database.read(self._telemetry) as measured, database.read(self._ledger) as ledger:
                    return queries.answer(query, ledger, measured)
            except (database.DatabaseError, DBAPIError):
                with database.read(self._ledger) as ledger:
                    return queries.answer(query, ledger)
        except DBAPIError:
            raise fail(
                Code.UNAVAILABLE,
                "the studio's database is not ready",
                hint="wait for the registry, or run tunebus doctor",
            ) from None

    async def _connected(self) -> AsyncClient:
        async with self._connecting:
            if self._client is None:
                self._client = await AsyncClient.connect(
                    url=self._url(), namespace=self.settings.namespace, name="tunebus-ui"
                )
            return self._client

    def _url(self) -> str:
        if self.settings.nats_url is not None:
            return self.settings.nats_url.get_secret_value()
        run = self.home.read_run_file() or {}
        url = run.get("nats_url")
        if not url:
            raise fail(Code.UNAVAILABLE, "the bus is not up yet", hint="wait a moment and try again")
        return str(url)


def digest(*parts: object) -> str:
    """A short fingerprint of what a page shows, to tell whether anything changed."""
    return hashlib.blake2b("\0".join(map(str, parts)).encode(), digest_size=12).hexdigest()


def problem_of(error: Exception) -> Problem:
    """The problem to show for an exception; what nobody foresaw says so without a traceback."""
    if isinstance(error, TunebusError):
        return error.problem
    return Problem(code=Code.INTERNAL, message="the page met a defect; the studio's log holds the details")
