"""From the command stream to outcomes: takes what waits, prepares aside, decides in batches, replies, acknowledges.

A message is acknowledged only after its outcome is committed. While the database is out of reach messages are held,
kept alive and tried again; no delivery is used up, nothing is dropped.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from typing import Any

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from sqlalchemy import Connection, Engine
from tunebus.contracts import strictjson
from tunebus.contracts.commands import COMMANDS
from tunebus.contracts.envelope import Outcome
from tunebus.contracts.errors import Code, Problem, TunebusError
from tunebus.contracts.identifiers import new_id
from tunebus.contracts.subjects import Subjects
from tunebus.services.platform import database, deadletters, delivery, topology
from tunebus.services.platform.decisions import PreparedCommand
from tunebus.services.platform.ledger import Ledger
from tunebus.services.platform.process import end_tasks
from tunebus.services.platform.publish import reply_subject
from tunebus.services.platform.pull import StandingPull
from tunebus.services.platform.schema import inbox
from tunebus.services.registry.intake import receive
from tunebus.services.registry.preparation import Preparation

BATCH = 64
SHARE = BATCH // 2  # or half of what waits, if that is more, is decided at once
MOST_READY = 4 * BATCH  # decided next; more are left with the server
MOST_PREPARING = 64_000_000  # bytes of messages; by number the consumer's own limit keeps the rest with the server
KEEP_ALIVE_SECONDS = 8.0  # well inside the consumer's ack_wait of 30 s
PURGE_SECONDS = 3.0
PROBE_BYTES = 16_000

_log = logging.getLogger(__name__)


@dataclass(eq=False, slots=True)
class _Taken:
    """A message and what it is worth: a command ready to be decided, or the reason why it is none."""

    message: Msg
    command: PreparedCommand | None = None
    reason: Problem | None = None
    since: float = 0.0


class CommandLoop:
    """`run` until cancelled. `trouble` is what keeps commands from being decided now, or None."""

    def __init__(
        self,
        client: Client,
        subjects: Subjects,
        ledger: Ledger,
        engine: Engine,
        preparation: Preparation,
        writer: Executor,
        *,
        committed: Callable[[], Awaitable[None]],
        on_trouble: Callable[[Problem | None], None],
    ) -> None:
        self._client = client
        self._subjects = subjects
        self._ledger = ledger
        self._engine = engine
        self._preparation = preparation
        self._writer = writer
        self._committed = committed
        self._on_trouble = on_trouble
        self._pull = StandingPull(client, subjects.commands_stream, topology.REGISTRY, BATCH)
        self._ready: deque[_Taken] = deque()
        self._held: set[_Taken] = set()  # every message taken and not yet settled
        self._preparing: dict[asyncio.Task[None], int] = {}  # with the size of its message
        self._same: dict[tuple[str, str], asyncio.Task[PreparedCommand]] = {}  # by command id and body
        self._wake = asyncio.Event()
        self._room = asyncio.Event()
        self.trouble: Problem | None = None

    async def run(self) -> None:
        """Errors: `unavailable` when the consumer or its stream is gone."""
        others = [
            asyncio.create_task(self._keep_alive(), name="keep alive"),
            asyncio.create_task(self._purge(), name="purge"),
        ]
        taking = asyncio.create_task(self._take_all(), name="take commands")
        deciding = asyncio.create_task(self._decide_waiting(), name="decide commands")
        try:
            while True:
                await asyncio.wait({taking, deciding}, return_when=asyncio.FIRST_COMPLETED)
                if taking.done():
                    await taking
                    return
                # Deciding ends only in trouble. On a full disk senders are told so; anything else leaves what is still
                # with the server there, where no delivery is used up.
                trouble = await deciding
                if trouble.problem.code != Code.DISK_FULL:
                    await end_tasks(taking)
                    await self._pull.pause()
                await self._wait_for_database(trouble)
                if taking.done() and taking.cancelled():
                    taking = asyncio.create_task(self._take_all(), name="take commands")
                deciding = asyncio.create_task(self._decide_waiting(), name="decide commands")
        finally:
            await end_tasks(taking, deciding, *others, *self._preparing, *self._same.values())

    async def close(self) -> None:
        """Give back what was not decided, for whoever comes next."""
        await self._pull.close()
        with contextlib.suppress(nats.errors.Error):
            for taken in self._held:
                await taken.message.nak(delay=0.1)

    # Taking ---------------------------------------------------------------------------------------------------------

    async def _take_all(self) -> None:
        async for messages in self._pull:
            for message in messages:
                self._take(message)
            while len(self._ready) >= MOST_READY or sum(self._preparing.values()) >= MOST_PREPARING:
                self._room.clear()
                await self._room.wait()

    def _take(self, message: Msg) -> None:
        taken = _Taken(message, since=asyncio.get_running_loop().time())
        self._held.add(taken)
        try:
            received = receive(message.data, message.subject, self._subjects, _meta(message))
            taken.command = self._preparation.at_once(received)
        except TunebusError as error:
            taken.reason = error.problem
        if taken.command is None and taken.reason is None:
            task = asyncio.create_task(self._prepare(taken, received), name="prepare")
            self._preparing[task] = len(message.data)
            task.add_done_callback(self._prepared)
            return
        self._ready.append(taken)
        self._wake.set()

    async def _prepare(self, taken: _Taken, received: PreparedCommand) -> None:
        """Look into files aside, unless the command was handled before: a retry gets the outcome that is kept."""
        try:
            for pause in _pauses():
                try:
                    known = await asyncio.to_thread(self._ledger.outcome, received.envelope.id)
                    taken.command = received if known else await self._prepare_once(received)
                    break
                except database.DatabaseError:
                    await asyncio.sleep(pause)
        except Exception as error:
            try:
                await self._failed(taken, error)
            except nats.errors.Error:
                self._held.discard(taken)  # not acknowledged, so it comes again
            return
        self._ready.append(taken)
        self._wake.set()

    async def _prepare_once(self, received: PreparedCommand) -> PreparedCommand:
        """A sender asks again every few seconds: what takes minutes is done once for all of its messages."""
        same = received.envelope.id, received.envelope.body_hash
        work = self._same.get(same)
        if work is None:
            work = self._same[same] = asyncio.create_task(self._preparation.prepare(received), name="prepare once")
            work.add_done_callback(lambda _: self._same.pop(same, None))
        return await asyncio.shield(work)

    def _prepared(self, task: asyncio.Task[None]) -> None:
        del self._preparing[task]
        self._room.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("a preparation ended without a result", exc_info=error)

    # Deciding -------------------------------------------------------------------------------------------------------

    async def _decide_waiting(self) -> database.DatabaseError:
        """Decide batch after batch; returns the trouble that put an end to it, with the batch back in the queue."""
        loop = asyncio.get_running_loop()
        while True:
            while not self._ready:
                self._wake.clear()
                await self._wake.wait()
            # While the other half is decided, those who have their outcomes send on; else senders and registry would
            # take turns, for the server stores all that comes at once before it hands any of it out.
            waiting = len(self._ready)
            batch = self._next(min(BATCH, max(SHARE, waiting // 2)))
            deciding = loop.run_in_executor(self._writer, self._execute, batch)
            try:
                results = await asyncio.shield(deciding)
            except database.DatabaseError as trouble:
                self._ready.extendleft(reversed(batch))
                return trouble
            except asyncio.CancelledError:
                with contextlib.suppress(Exception):  # what is committed is also answered
                    await self._settle_all(batch, await deciding)
                raise
            await self._settle_all(batch, results)

    def _next(self, most: int) -> list[_Taken]:
        """The next messages to decide, which leave their room to others."""
        batch = [self._ready.popleft() for _ in range(min(most, len(self._ready)))]
        self._room.set()
        return batch

    def _execute(self, batch: Sequence[_Taken]) -> list[Outcome | Exception | None]:
        """In the writer's thread: keep the dead letters, decide the commands; results stand where messages stood."""
        letters = [taken for taken in batch if taken.reason]
        if letters:
            with database.write(self._engine) as connection:
                for taken in letters:
                    assert taken.reason is not None
                    keep_letter(connection, taken.message, f"{taken.reason.code.value}: {taken.reason.message}")
        results = iter(self._ledger.execute([taken.command for taken in batch if taken.command]))
        return [next(results) if taken.command else None for taken in batch]

    async def _settle_all(self, batch: Sequence[_Taken], results: Sequence[Outcome | Exception | None]) -> None:
        for taken, result in zip(batch, results, strict=True):
            try:
                await self._settle(taken, result)
            except nats.errors.Error as error:
                # Not acknowledged, so it comes again, and the inbox knows it.
                self._held.discard(taken)
                _log.warning("an outcome could not be sent", extra={"reason": str(error)})
        if any(isinstance(result, Outcome) and result.position for result in results):
            await self._committed()

    async def _settle(self, taken: _Taken, result: Outcome | Exception | None) -> None:
        if isinstance(result, Outcome):
            await self._reply(taken.message, result.text)
            await taken.message.ack()
        elif isinstance(result, Exception):
            await self._failed(taken, result)
            return
        else:
            assert taken.reason is not None
            await self._reply(taken.message, _unanswerable(taken.reason))
            await taken.message.term()
        self._held.discard(taken)

    async def _reply(self, message: Msg, document: str) -> None:
        subject = reply_subject(message.headers, self._subjects)
        if subject is not None:
            await self._client.publish(subject, document.encode())

    async def _failed(self, taken: _Taken, error: Exception) -> None:
        """A defect of ours met this message: try again a few times, then it is a dead letter and its sender is told."""
        message = taken.message
        deliveries = message.metadata.num_delivered
        _log.error(
            "a command failed", exc_info=error, extra={"seq": message.metadata.sequence.stream, "delivery": deliveries}
        )
        if deliveries < topology.MAX_DELIVER:
            await delivery.later(message)
            self._held.discard(taken)
            return
        problem = Problem(
            code=Code.INTERNAL,
            message="the studio could not handle this command, through a fault of its own",
            hint="its log says more; the command is kept in the dead letters and can be sent again from there",
        )
        try:
            outcome = await asyncio.get_running_loop().run_in_executor(self._writer, self._bury, taken, error, problem)
        except Exception:
            # The server's own advisory of too many deliveries makes it a dead letter later.
            _log.exception("a dead letter could not be kept")
            self._held.discard(taken)
            return
        await self._reply(message, outcome.text if outcome else _unanswerable(problem))
        await message.term()
        self._held.discard(taken)

    def _bury(self, taken: _Taken, error: Exception, problem: Problem) -> Outcome | None:
        with database.write(self._engine) as connection:
            keep_letter(connection, taken.message, f"internal: {type(error).__name__}")
        if taken.command is None:
            return None
        result = self._ledger.execute([replace(taken.command, rejection=problem)])[0]
        return result if isinstance(result, Outcome) else None

    # Trouble --------------------------------------------------------------------------------------------------------

    async def _wait_for_database(self, trouble: database.DatabaseError) -> None:
        """Hold everything until a transaction goes through again. Senders who wait are told of a full disk at once."""
        self._set_trouble(trouble.problem)
        for pause in _pauses():
            if trouble.problem.code == Code.DISK_FULL:
                await self._tell_disk_full(trouble.problem)
            self._wake.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), pause)
            batch = self._next(BATCH)
            try:
                loop = asyncio.get_running_loop()
                if batch:
                    results = await loop.run_in_executor(self._writer, self._execute, batch)
                    await self._settle_all(batch, results)
                else:
                    await loop.run_in_executor(self._writer, self._probe)
            except database.DatabaseError as error:
                self._ready.extendleft(reversed(batch))
                trouble = error
                self._set_trouble(trouble.problem)
                continue
            self._set_trouble(None)
            return

    def _probe(self) -> None:
        """Write about as much as a command does, and take it back: a full disk commits an empty transaction gladly."""
        kept = {"command_id": new_id(), "body_hash": "", "outcome": {"probe": "x" * PROBE_BYTES}, "handled_at": ""}
        with database.write(self._engine) as connection:
            connection.execute(inbox.insert().values(kept))
            connection.execute(inbox.delete().where(inbox.c.command_id == kept["command_id"]))

    async def _tell_disk_full(self, problem: Problem) -> None:
        """Nothing can be kept, not even an outcome: refuse what somebody waits for, so that it is not done behind their
        back later. Workers' reports and commands without a reply are held until there is space."""
        for taken in list(self._ready):
            command = taken.command
            if command is None or getattr(COMMANDS.get(command.envelope.type), "for_workers", True):
                continue
            if reply_subject(taken.message.headers, self._subjects) is None:
                continue
            self._ready.remove(taken)
            self._room.set()
            outcome = Outcome(command_id=command.envelope.id, outcome="rejected", error=problem)
            with contextlib.suppress(nats.errors.Error):
                await self._reply(taken.message, outcome.text)
                await taken.message.ack()
            self._held.discard(taken)

    def _set_trouble(self, problem: Problem | None) -> None:
        if (problem and problem.message) != (self.trouble and self.trouble.message):
            if problem:
                _log.error("commands wait", extra={"reason": problem.message})
            else:
                _log.info("commands go on")
        self.trouble = problem
        self._on_trouble(problem)

    # Housekeeping ---------------------------------------------------------------------------------------------------

    async def _keep_alive(self) -> None:
        """Tell the server that messages in preparation or held back are being worked on."""
        while True:
            await asyncio.sleep(KEEP_ALIVE_SECONDS)
            now = asyncio.get_running_loop().time()
            for taken in list(self._held):
                if now - taken.since >= KEEP_ALIVE_SECONDS / 2:
                    with contextlib.suppress(nats.errors.Error):
                        await taken.message.in_progress()

    async def _purge(self) -> None:
        js = self._client.jetstream()
        while True:
            await asyncio.sleep(PURGE_SECONDS)
            with contextlib.suppress(nats.errors.Error, asyncio.TimeoutError):
                await topology.purge_handled(js, self._subjects)


def keep_letter(connection: Connection, message: Msg, reason: str) -> int:
    """Record a message as a dead letter."""
    metadata = message.metadata
    return deadletters.record(
        connection,
        stream=metadata.stream,
        seq=metadata.sequence.stream,
        subject=message.subject,
        data=message.data,
        reason=reason,
        headers=message.headers,
        consumer=metadata.consumer,
    )


def _unanswerable(problem: Problem) -> str:
    """The reply to a message without a usable id; in shape an outcome."""
    document = {
        "command_id": None,
        "outcome": "rejected",
        "id": None,
        "version": None,
        "position": None,
        "error": problem.document(),
    }
    return strictjson.dumps(document).decode()


def _meta(message: Msg) -> dict[str, Any]:
    """What the server knows of a command's sender, to go with its events."""
    trace = (message.headers or {}).get("traceparent")
    return {"traceparent": trace[:64]} if trace else {}


def _pauses() -> Iterator[float]:
    """Seconds between tries: from a tenth of a second to five, for ever."""
    pause = 0.1
    while True:
        yield pause
        pause = min(2 * pause, 5.0)
