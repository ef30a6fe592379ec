"""What the pages stand on: reading projections and sending commands. It writes no SQL and knows no page."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError
from tunebus.contracts.client import AsyncClient
from tunebus.contracts.envelope import Outcome
from tunebus.contracts.errors import Code, Problem, TunebusError, fail, from_validation
from tunebus.contracts.identifiers import new_id
from tunebus.contracts.queries import QUERIES, Query
from tunebus.projections import freshness, queries
from tunebus.services.platform import database
from tunebus.services.platform.home import STARTER_PACK, Home
from tunebus.services.platform.rows.files import SUFFIXES, known_type
from tunebus.services.platform.settings import Settings
from tunebus.ui.web.operator import Operator

ACTOR = "pages"
"""Who asks, as events record it. The pages know no users, only whoever may use them."""
ANSWER_SECONDS = 20.0
LOOK_SECONDS = 65.0
STAMP_SECONDS = 0.2
DATASET_SUFFIXES = tuple(suffix for suffixes in SUFFIXES.values() for suffix in suffixes)

Document = dict[str, Any]
T = TypeVar("T")


class Studio:
    """One studio as its pages see it. Reads go straight to SQL, so pages work while the bus is down."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.home = Home(settings.home, settings.artifacts)
        self.operator = Operator(settings)
        self._ledger: Engine | None = None
        self._telemetry: Engine | None = None
        self._client: AsyncClient | None = None
        self._connecting = asyncio.Lock()
        self._unconfirmed: dict[str, str] = {}
        self._stamps: dict[tuple[str, ...], tuple[float, str]] = {}
        self._stamping = asyncio.Lock()
        self._shared: dict[str, tuple[float, asyncio.Task[Any]]] = {}

    @property
    def incoming(self) -> Path:
        """Where uploads arrive from browsers."""
        return self.home.artifacts / "uploads" / ".incoming"

    async def keep_connecting(self) -> None:
        """Connect to the bus as soon as there is one; from then on the client reconnects by itself."""
        while True:
            with contextlib.suppress(TunebusError):
                await self.connected()
                return
            await asyncio.sleep(0.5)

    async def stamp(self, watches: Iterable[str]) -> str:
        """What is there as far as it is watched (`ledger`, `telemetry`, `workers`, `operator`): another stamp, another
        state.

        One look answers for a moment, however many pages ask.
        """
        wanted = tuple(sorted(watches))
        async with self._stamping:
            at, known = self._stamps.get(wanted, (0.0, ""))
            if time.monotonic() - at < STAMP_SECONDS:
                return known
            stamp = await asyncio.to_thread(self._stamp, wanted)
            self._stamps[wanted] = (time.monotonic(), stamp)
            return stamp

    async def shared(self, name: str, seconds: float, make: Callable[[], Awaitable[T]]) -> T:
        """What `make` answers, made at most once in so many seconds however many ask. An error is not kept."""
        until, task = self._shared.get(name, (0.0, None))
        if task is None or (task.done() and (time.monotonic() >= until or task.exception() is not None)):

            async def making() -> T:
                return await make()

            task = asyncio.create_task(making())
            task.add_done_callback(lambda done: self._shared.__setitem__(name, (time.monotonic() + seconds, done)))
            self._shared[name] = (0.0, task)
        found: T = await asyncio.shield(task)
        return found

    def warnings(self) -> list[str]:
        """What of the studio does not work right now, in sentences; empty when all is well."""
        run = self.home.read_run_file() or {}
        found = [
            f"The {name} is {service.get('state')}: {_CONSEQUENCES.get(name, 'some things may take longer')}."
            for name, service in run.get("services", {}).items()
            if name != "ui" and service.get("state") != "ready"
        ]
        if not found and self._client is not None and not self._client.connection.is_connected:
            found.append("The bus does not answer: what is shown may be old, and nothing can be started or stopped.")
        return found

    async def keep_upload(self, path: object, name: str) -> str:
        """Put an uploaded file into the studio's file bucket; returns the name to look at it and to add it by.

        Errors: `invalid` for another kind of file, `not_permitted` for one that is no upload, `unavailable`.
        """
        if known_type(Path(name)) is None:
            raise fail(
                Code.INVALID,
                f"{Path(name).suffix or 'a file without a suffix'} is no kind of dataset",
                param="file",
                hint=f"use one of {', '.join(DATASET_SUFFIXES)}",
            )
        file = self.uploaded(path)
        return await (await self.connected()).upload(file)

    def uploaded(self, path: object) -> Path:
        """The file of an upload, by the path that its upload was answered with. Errors: `not_permitted`."""
        try:
            file = Path(str(path)).resolve()
        except (OSError, ValueError):
            file = Path("/")
        if not file.is_relative_to(self.incoming.resolve()) or not file.is_file():
            raise fail(Code.NOT_PERMITTED, "that file is no upload of this page", param="file", hint="upload it again")
        return file

    async def close(self) -> None:
        await self.operator.close()
        if self._client is not None:
            await self._client.close()
        for engine in (self._ledger, self._telemetry):
            if engine is not None:
                engine.dispose()

    async def ask(self, name: str, **arguments: Any) -> Document:
        """A query's answer from SQL. Errors: `not_found`, `invalid`, `unavailable`."""
        kind = QUERIES[name]
        try:
            query = kind.model_validate(arguments)
        except ValidationError as error:
            raise TunebusError(from_validation(error, kind.model_fields)) from None
        return await asyncio.to_thread(self._read, query)

    async def measure(self, read: Callable[[Connection], T]) -> T:
        """What a function of the projections reads from the telemetry. Errors: `unavailable`."""

        def reading() -> T:
            try:
                with database.read(self._engines()[1]) as connection:
                    return read(connection)
            except (database.DatabaseError, DBAPIError):
                raise fail(Code.UNAVAILABLE, "the telemetry cannot be read", hint="is the projector running?") from None

        return await asyncio.to_thread(reading)

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
        """A query that needs the registry, because it reads files: its answer may take as long as that may."""
        client = await self.connected()
        return await client.request(client.subjects.query(name), arguments, timeout=LOOK_SECONDS)

    async def call(self, name: str, **arguments: Any) -> Document:
        """The registry's reply to a call that is no command. Errors: the reply's, `unavailable`."""
        client = await self.connected()
        return await client.request(client.subjects.rpc(name), arguments)

    async def send(self, command: str, data: Document, command_id: str | None = None) -> Outcome:
        """A command's outcome; a rejected one raises its problem. Errors: also `unavailable`, `not_confirmed`.

        After `not_confirmed` the same command is sent under the same id, so that asking again does nothing twice.
        """
        client = await self.connected()
        asked = digest(command, json.dumps(data, sort_keys=True))
        command_id = command_id or self._unconfirmed.pop(asked, None) or new_id()
        try:
            outcome = await client.send(command, data, command_id=command_id, actor=ACTOR, timeout=ANSWER_SECONDS)
        except TunebusError as error:
            if error.problem.code != Code.NOT_CONFIRMED:
                raise
            self._unconfirmed[asked] = command_id
            raise fail(
                Code.NOT_CONFIRMED,
                "not confirmed yet: the registry has not answered",
                hint="it may still be done; press again to ask, the same request is never done twice",
            ) from None
        if outcome.error is not None:
            raise TunebusError(outcome.error)
        return outcome

    def recommended(self) -> Document:
        """The settings that suit the starter pack, as a fine-tuning command takes them."""
        document: Document = json.loads((STARTER_PACK / "recommended.json").read_text())
        return document

    def _stamp(self, watches: Sequence[str]) -> str:
        try:
            ledger, telemetry = self._engines()
            found: list[object] = []
            with database.read(ledger) as connection:
                found.append(freshness.of_ledger(connection))
                if "workers" in watches:
                    found.append(freshness.of_workers(connection))
            if "telemetry" in watches:
                with contextlib.suppress(database.DatabaseError, DBAPIError), database.read(telemetry) as connection:
                    found.append(freshness.of_telemetry(connection))
            if "operator" in watches:
                found.append(self.operator.revision)
            return digest(*found)
        except (database.DatabaseError, DBAPIError):
            return "unavailable"

    def _engines(self) -> tuple[Engine, Engine]:
        if self._ledger is None:
            self._ledger = database.open_engine(self.settings.ledger_url, read_only=True)
        if self._telemetry is None:
            self._telemetry = database.open_engine(self.settings.telemetry_url, read_only=True)
        return self._ledger, self._telemetry

    def _read(self, query: Query) -> Document:
        try:
            ledger_engine, telemetry_engine = self._engines()
            try:
                with database.read(telemetry_engine) as measured, database.read(ledger_engine) as ledger:
                    return queries.answer(query, ledger, measured)
            except (database.DatabaseError, DBAPIError):
                with database.read(ledger_engine) as ledger:
                    return queries.answer(query, ledger)
        except DBAPIError:
            raise fail(
                Code.UNAVAILABLE,
                "the studio's database is not ready",
                hint="wait for the registry, or run tunebus doctor",
            ) from None

    async def connected(self) -> AsyncClient:
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


_CONSEQUENCES = {
    "nats": "what is shown may be old, and nothing can be started or stopped",
    "registry": "nothing can be started or stopped until it is back",
    "relay": "jobs may start late",
    "projector": "curves and logs may be behind; nothing is lost",
    "trainer": "fine-tunings wait",
    "evaluator": "evaluations wait",
}


def digest(*parts: object) -> str:
    """A short fingerprint of what a page shows, to tell whether anything changed."""
    return hashlib.blake2b("\0".join(map(str, parts)).encode(), digest_size=12).hexdigest()


def problem_of(error: Exception) -> Problem:
    """The problem to show for an exception; what nobody foresaw says so without a traceback."""
    if isinstance(error, TunebusError):
        return error.problem
    return Problem(code=Code.INTERNAL, message="the page met a defect; the studio's log holds the details")
