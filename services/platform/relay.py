"""The relay: carries recorded events, in order and each once, from SQL onto the events stream.

The stream says how far it got: it continues after the newest message there, and every publish names the sequence it
expects before it. The cursor in SQL is only a cache, read when the stream is empty.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import logging
import threading
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import nats.errors
from nats.aio.client import Client
from nats.js import api
from nats.js.errors import APIError, NotFoundError
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import SQLAlchemyError
from tunebus.contracts.envelope import CONTENT_TYPE, EventEnvelope
from tunebus.contracts.errors import Code, TunebusError, fail
from tunebus.contracts.events import RecordedEvent
from tunebus.contracts.subjects import Subjects
from tunebus.services.platform import database
from tunebus.services.platform.cursors import move_relay, relay_cursor
from tunebus.services.platform.ledger import events_after, last_position
from tunebus.services.platform.process import end_tasks
from tunebus.services.platform.publish import WRONG_LAST_SEQUENCE, Pipeline, publish_headers

REPLAY = "python -m tunebus.services.registry.relay --replay"

_LOCK_KEY = 0x74756E65 + 2  # PostgreSQL's advisory lock of the relay, beside those of the database module
_NO_MESSAGE = 10037
_ACK_TIMEOUT = 5.0
_CURSOR_EVERY = 2.0
_LONGEST_PAUSE = 5.0
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Tail:
    """The end of the stream: its last sequence, and the newest message that survives."""

    sequence: int
    newest: api.RawStreamMsg | None


class Relay:
    """One relay of one namespace. `window` is how many publishes go without waiting; `poll` is how many seconds pass
    between looks at the record when no nudge comes."""

    def __init__(
        self, client: Client, engine: Engine, subjects: Subjects, *, window: int = 256, poll: float = 0.5
    ) -> None:
        self._client = client
        self._engine = engine
        self._subjects = subjects
        self._stream = subjects.events_stream
        self._window = window
        self._poll = poll
        self._pipeline = Pipeline(client)
        self._position = 0  # of the newest event on the stream
        self._sequence = 0  # of the stream's last message
        self._saved = 0
        self._saved_at = 0.0
        self._saving = threading.Lock()
        self._without_id_until = 0
        self._nudged = asyncio.Event()

    async def run(self, stop: asyncio.Event, ready: Callable[[], None] = lambda: None) -> None:
        """Publish until `stop`. Errors: `conflict` when the stream is not what this relay left behind."""
        async with self._alone(stop) as check_lock:
            if stop.is_set():
                return
            await self._resume()
            nudges = await self._client.subscribe(self._subjects.relay_nudge, cb=self._on_nudge)
            ready()
            work = asyncio.create_task(self._carry(check_lock))
            stopped = asyncio.create_task(stop.wait())
            try:
                await asyncio.wait({work, stopped}, return_when=asyncio.FIRST_COMPLETED)
                if work.done():
                    work.result()
            finally:
                # Cancelling is safe at any point: the stream tells the next run what was stored. But the lock may go to
                # another relay only when this one is really over.
                await end_tasks(work, stopped)
                with contextlib.suppress(nats.errors.Error):
                    await nudges.unsubscribe()
                await self._pipeline.close()
                await self._save_cursor()

    async def replay(self) -> int:
        """Empty the stream and publish the whole record again, under the same event ids; returns how many events.

        These publishes carry no `Nats-Msg-Id`: the server still remembers the ids of what was removed for as long as
        its duplicate window. The expected sequence alone keeps each event from being stored twice.
        """
        stop = asyncio.Event()
        async with self._alone(stop):
            tail = await self._tail()
            if tail.newest is not None:
                await self._client.jsm().purge_stream(self._stream)
            self._sequence = (await self._tail()).sequence
            self._position = 0
            before = self._sequence
            await self._forgo_ids()
            while self._position < self._without_id_until:
                await self._publish(await self._read())
            await self._pipeline.close()
            await self._save_cursor()
            return self._sequence - before

    async def _carry(self, check_lock: Callable[[], None]) -> None:
        loop = asyncio.get_running_loop()
        checked = loop.time()
        pause = 0.1
        while True:
            self._nudged.clear()
            try:
                if loop.time() - checked > _LONGEST_PAUSE:
                    await asyncio.to_thread(check_lock)
                    checked = loop.time()
                events = await self._read() if self._client.is_connected else []
                if events:
                    await self._publish(events)
                pause = 0.1
            except database.DatabaseError as error:
                _log.warning("the record cannot be read now", extra={"reason": error.problem.message})
                events = []
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)
            if loop.time() - self._saved_at >= _CURSOR_EVERY:
                await self._save_cursor()
            if len(events) < self._window and not self._nudged.is_set():
                await _set_within(self._nudged, self._poll)

    async def _on_nudge(self, _: object) -> None:
        self._nudged.set()

    async def _read(self) -> list[RecordedEvent]:
        return await asyncio.to_thread(self._read_after, self._position)

    def _read_after(self, position: int) -> list[RecordedEvent]:
        with database.read(self._engine) as connection:
            return events_after(connection, position, self._window)

    async def _publish(self, events: Sequence[RecordedEvent]) -> None:
        """Publish a window and move on over those acknowledged in order; anything else is settled by the stream."""
        futures: list[asyncio.Future[api.PubAck]] = []
        problem: BaseException | None = None
        try:
            for number, event in enumerate(events):
                futures.append(await self._send(event, self._sequence + number))
        except nats.errors.Error as error:
            problem = error
        if futures:
            await asyncio.wait(futures, timeout=_ACK_TIMEOUT)
        for event, future in zip(events, futures, strict=False):
            if not future.done():
                problem = TimeoutError("no acknowledgement in time")
                break
            if (refusal := future.exception()) is not None:
                problem = refusal
                break
            ack = future.result()
            if ack.duplicate or ack.seq != self._sequence + 1:
                await self._forgo_ids()
                problem = RuntimeError("the server took an event for one it had already stored")
                break
            self._position, self._sequence = event.position, ack.seq
        for future in futures:
            if future.done() and not future.cancelled():
                future.exception()  # seen: those after the first failure fail with it
        self._pipeline.forget()
        if problem is not None:
            await self._recover(problem)

    async def _send(self, event: RecordedEvent, expected: int) -> asyncio.Future[api.PubAck]:
        message_id = event.event_id if event.position > self._without_id_until else None
        return await self._pipeline.send(
            self._subjects.event(event.aggregate, event.entity_id, event.type),
            EventEnvelope.of(event).to_bytes(),
            publish_headers(self._stream, message_id, {"content-type": CONTENT_TYPE}, expected),
        )

    async def _recover(self, problem: BaseException) -> None:
        """Learn from the stream what it stored; a publish that seemed to fail may be there."""
        out_of_order = isinstance(problem, APIError) and problem.err_code == WRONG_LAST_SEQUENCE
        before = self._sequence
        await self._resume()
        if self._sequence != before or (out_of_order and self._client.is_connected):
            return
        _log.warning("events are not accepted now", extra={"reason": str(problem)})
        await asyncio.sleep(1.0)

    async def _resume(self) -> None:
        """Find where to continue. Errors: `conflict` when the stream's end is not an event of this record."""
        tail = await self._tail()
        position = 0
        if tail.newest is not None:
            position = await asyncio.to_thread(self._position_of, tail.newest)
        elif (saved := await asyncio.to_thread(self._cursor)) or tail.sequence:
            raise fail(
                Code.CONFLICT,
                f"stream {self._stream} is empty, but events up to position {saved or 'unknown'} had been"
                " published to it",
                hint=f"to publish the whole record again: {REPLAY}",
            )
        # Together: a new sequence beside an old position, should the record be out of reach, would let events in twice.
        self._position, self._sequence = position, tail.sequence

    def _cursor(self) -> int:
        with database.read(self._engine) as connection:
            cursor = relay_cursor(connection, self._stream)
        return cursor.position if cursor else 0

    def _position_of(self, message: api.RawStreamMsg) -> int:
        """The position of a message that must be an event of ours."""
        try:
            body = json.loads(message.data or b"")
            event_id, position = str(body["id"]), int(body["position"])
        except (ValueError, TypeError, KeyError):
            raise self._foreign(message) from None
        with database.read(self._engine) as connection:
            found = events_after(connection, position - 1, 1)
            newest = last_position(connection)
        if found and found[0].position == position and found[0].event_id == event_id:
            return position
        if position > newest:
            raise fail(
                Code.CONFLICT,
                f"stream {self._stream} is ahead of the record: it ends at position {position}, the record at {newest}."
                " The database was restored or is another studio's",
                hint=f"if this database is the right one: {REPLAY}",
            )
        raise self._foreign(message)

    def _foreign(self, message: api.RawStreamMsg) -> TunebusError:
        return fail(
            Code.CONFLICT,
            f"somebody else publishes to stream {self._stream}: its message {message.seq} ({message.subject}) is no"
            " event of this record",
            hint=f"only the relay may publish there; stop the other and repair the stream with: {REPLAY}",
        )

    async def _tail(self) -> _Tail:
        """Ask until JetStream answers, and until sequence and message are of one moment: publishes of a relay that
        died may still arrive, and a pair that does not match would let later events of a window in without the first.
        """
        jsm = self._client.jsm()
        pause = 0.1
        while True:
            try:
                sequence = (await jsm.stream_info(self._stream)).state.last_seq
                newest = await self._newest()
                if (await jsm.stream_info(self._stream)).state.last_seq == sequence:
                    return _Tail(sequence, newest)
            except NotFoundError:
                raise fail(
                    Code.CONFLICT, f"stream {self._stream} is missing", hint="run `tunebus topology apply`"
                ) from None
            except nats.errors.ConnectionClosedError:
                raise fail(Code.UNAVAILABLE, "the connection to the bus is closed") from None
            except nats.errors.Error:
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)

    async def _newest(self) -> api.RawStreamMsg | None:
        try:
            return await self._client.jsm().get_msg(self._stream, subject=self._subjects.all_events)
        except NotFoundError as error:
            if error.err_code == _NO_MESSAGE:
                return None
            raise

    async def _forgo_ids(self) -> None:
        def newest() -> int:
            with database.read(self._engine) as connection:
                return last_position(connection)

        self._without_id_until = await asyncio.to_thread(newest)

    async def _save_cursor(self) -> None:
        """Write the cursor when it moved; seldom, for each write would make a command wait."""
        self._saved_at = asyncio.get_running_loop().time()
        if self._saved == self._position:
            return
        position, sequence = self._position, self._sequence

        def save() -> None:
            # A save whose waiter was cancelled still runs in its thread; the next must not overtake it.
            with self._saving, database.write(self._engine) as connection:
                move_relay(connection, self._stream, position, sequence)

        try:
            await asyncio.to_thread(save)
        except database.DatabaseError as error:
            _log.warning("the cursor was not saved", extra={"reason": error.problem.message})
        else:
            self._saved = position

    @contextlib.asynccontextmanager
    async def _alone(self, stop: asyncio.Event) -> AsyncIterator[Callable[[], None]]:
        """Hold the relay's lock, waiting for it until `stop`; yields a check that it is still held."""
        lock: _Lock = _FileLock(self._engine) if self._engine.dialect.name == "sqlite" else _AdvisoryLock(self._engine)
        said = False
        try:
            while not await asyncio.to_thread(lock.try_to_take):
                if not said:
                    _log.warning("another relay runs; waiting for it to end")
                    said = True
                if await _set_within(stop, 0.5):
                    break
            yield lock.check
        finally:
            lock.release()


async def _set_within(event: asyncio.Event, seconds: float) -> bool:
    """Whether the event was set before the time was over."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
    return event.is_set()


class _Lock(ABC):
    """Held by one relay at a time. `release` ends it for good, also when a thread is still about to take it."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._over = False

    def try_to_take(self) -> bool:
        taken = self._take()
        with self._guard:
            if self._over and taken:
                self._give_back()
            return taken and not self._over

    def release(self) -> None:
        with self._guard:
            self._over = True
            self._give_back()

    @abstractmethod
    def check(self) -> None:
        """Errors: `unavailable` when the lock is lost; the process must begin anew."""

    @abstractmethod
    def _take(self) -> bool: ...

    @abstractmethod
    def _give_back(self) -> None:
        """Give back what was taken, if anything was."""


class _FileLock(_Lock):
    """For SQLite: a lock on a file beside the database, which dies with its holder."""

    def __init__(self, engine: Engine) -> None:
        super().__init__()
        with engine.connect() as connection:
            path = str(connection.exec_driver_sql("PRAGMA database_list").fetchone()[2])  # type: ignore[index]
        self._path = Path(f"{path}.relay.lock")
        self._file: IO[str] | None = None

    def check(self) -> None:
        """A file lock cannot be lost."""

    def _take(self) -> bool:
        file = self._path.open("a")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.close()
            return False
        self._file = file
        return True

    def _give_back(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


class _AdvisoryLock(_Lock):
    """For PostgreSQL: a session's advisory lock on a connection kept for it alone."""

    def __init__(self, engine: Engine) -> None:
        super().__init__()
        self._engine = engine
        self._connection: Connection | None = None

    def check(self) -> None:
        try:
            with database.explained():
                assert self._connection is not None
                self._connection.execute(text("SELECT 1"))
        except database.DatabaseError as error:
            raise fail(Code.UNAVAILABLE, f"the relay's lock is lost: {error.problem.message}") from error

    def _take(self) -> bool:
        with database.explained():
            connection = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
            if connection.scalar(text("SELECT pg_try_advisory_lock(:key)"), {"key": _LOCK_KEY}):
                self._connection = connection
                return True
            connection.close()
            return False

    def _give_back(self) -> None:
        """End the session, and the lock with it: back in the pool it would keep the lock."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(SQLAlchemyError):
                connection.invalidate()
                connection.close()
