"""The Python client of the bus, asynchronous and synchronous: send commands, ask queries, follow events and telemetry.

Needs nats-py and pydantic alone; it never imports SQL or torch.

    with Client.connect() as studio:
        studio.add_dataset(name="faq", path="faq.csv")
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Iterator, Mapping
from concurrent.futures import CancelledError
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, TypeVar

import nats.errors
import platformdirs
from nats.aio.client import Client as NatsClient
from nats.aio.msg import Msg
from nats.js import api
from nats.js.errors import NotFoundError
from pydantic import BaseModel, ValidationError
from tunebus.contracts import strictjson
from tunebus.contracts.client_methods import AsyncMethods, Methods
from tunebus.contracts.commands import Command, command_type
from tunebus.contracts.envelope import CONTENT_TYPE, REPLY_HEADER, CommandEnvelope, EventEnvelope, Outcome
from tunebus.contracts.errors import Code, Problem, TunebusError, fail, unwritten
from tunebus.contracts.file_bucket import FileBucket, Progress
from tunebus.contracts.identifiers import new_id
from tunebus.contracts.queries import Query
from tunebus.contracts.subjects import AGGREGATES, Subjects
from tunebus.contracts.telemetry import TelemetryBatch

Start = int | Literal["beginning", "live"]

ENDS_OF_JOBS = frozenset({"JobSucceeded", "JobFailed", "JobStopped"})
_FIRST_RETRY = 2.0
_LONGEST_RETRY = 15.0
_HEARTBEAT = 2.0
_T = TypeVar("_T")


class AsyncClient(AsyncMethods):
    """A client for asyncio programs. One connection, one inbox; safe to use from many tasks.

    A command is sent again with the same id until its outcome comes or `timeout` seconds (default 60) have passed, so
    it happens at most once however often it is sent.
    """

    def __init__(self, connection: NatsClient, subjects: Subjects, *, source: str, timeout: float) -> None:
        self._nats = connection
        self.subjects = subjects
        self._source = source
        self._timeout = timeout
        self._inbox = connection.new_inbox()
        self._listening: asyncio.Task[None] | None = None
        self._outcomes: dict[str, asyncio.Future[Outcome]] = {}
        self._refusals: dict[str, str] = {}  # what the stream last said of a command, when it was no yes

    @classmethod
    async def connect(
        cls,
        url: str | None = None,
        namespace: str | None = None,
        *,
        home: Path | str | None = None,
        name: str = "tunebus-client",
        timeout: float = 60.0,
        connect_timeout: float = 5.0,
    ) -> AsyncClient:
        """Connect to `url`, else to TUNEBUS_NATS_URL, else to the studio that runs on `home` (TUNEBUS_HOME, or the
        default home). Reconnects for ever. Errors: `unavailable`, `not_permitted`.
        """
        subjects = Subjects(namespace or os.environ.get("TUNEBUS_NAMESPACE") or "tunebus")
        connection = await _connect(url or find_url(home), name, connect_timeout)
        return cls(connection, subjects, source=name, timeout=timeout)

    async def close(self) -> None:
        if not self._nats.is_connected:
            # nats-py would write these to the lost connection, fail, and leave its tasks behind.
            self._nats._pending, self._nats._pending_data_size = [], 0
        with contextlib.suppress(nats.errors.Error, OSError):
            await self._nats.close()

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def connection(self) -> NatsClient:
        """The nats-py client underneath, for what this one does not cover."""
        return self._nats

    async def send(
        self,
        command: str | Command,
        data: Mapping[str, Any] | None = None,
        /,
        *,
        command_id: str | None = None,
        expected_version: int | None = None,
        correlation_id: str | None = None,
        causation_id: str | None = None,
        actor: str | None = None,
        context: str | None = None,
        timeout: float | None = None,
        **fields: Any,
    ) -> Outcome:
        """Send a command, by name or as a model, and return its outcome; a rejection is an outcome too.

        Fields that are None are left out. Errors: `unknown_type`, and `not_confirmed` when no outcome came in time: the
        command may still be done, and sending it again with the same `command_id` (named in `hint`) is safe.
        """
        envelope, usual_context = _command(command, {**(data or {}), **fields})
        envelope = CommandEnvelope(
            id=command_id or envelope.id,
            type=envelope.type,
            data=envelope.data,
            source=self._source,
            correlation_id=correlation_id,
            causation_id=causation_id,
            actor=actor,
            expected_version=expected_version,
        )
        return await self.send_envelope(envelope, context or usual_context, timeout=timeout)

    async def send_envelope(
        self, envelope: CommandEnvelope, context: str | None = None, *, timeout: float | None = None
    ) -> Outcome:
        """Send a command whose envelope the caller made; `context` is the middle of its subject."""
        if context is None:
            context = command_type(envelope.type).context()
        await self._listen()
        limit = self._timeout if timeout is None else timeout
        loop = asyncio.get_running_loop()
        deadline = loop.time() + limit
        future = self._outcomes.get(envelope.id)
        if future is None:
            future = self._outcomes[envelope.id] = loop.create_future()
        subject, body = self.subjects.command(context, envelope.type), envelope.to_bytes()
        headers = {
            REPLY_HEADER: f"{self._inbox}.outcome",
            "content-type": CONTENT_TYPE,
            "Nats-Expected-Stream": self.subjects.commands_stream,
        }
        pause = _FIRST_RETRY
        try:
            while True:
                reason = await self._try(subject, body, headers, f"{self._inbox}.ack.{envelope.id}")
                left = deadline - loop.time()
                await asyncio.wait({future}, timeout=max(0.0, min(pause, left)))
                if future.done():
                    return future.result()
                if loop.time() >= deadline:
                    raise _not_confirmed(envelope, limit, reason or self._refusals.get(envelope.id, ""))
                pause = min(2 * pause, _LONGEST_RETRY) * random.uniform(0.8, 1.2)  # noqa: S311
        finally:
            self._outcomes.pop(envelope.id, None)
            self._refusals.pop(envelope.id, None)

    async def query(self, name: str | Query, data: Mapping[str, Any] | None = None, /, **fields: Any) -> dict[str, Any]:
        """Ask a query, by name or as a model, and return its answer. Errors: those the answer names, `unavailable`."""
        if isinstance(name, Query):
            fields = name.model_dump(mode="json", by_alias=True, exclude_unset=True)
            asked = {field: _json(value, field) for field, value in fields.items()}
            name = type(name).__name__
        else:
            asked = _plain({**(data or {}), **fields})
        return await self.request(self.subjects.query(name), asked)

    async def request(self, subject: str, data: Mapping[str, Any], *, timeout: float = 15.0) -> dict[str, Any]:
        """One request and its JSON reply, tried again while nobody answers. For queries and rpc calls alike."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        body = strictjson.dumps(dict(data))
        pause = 0.05
        while True:
            try:
                reply = await self._nats.request(subject, body, timeout=max(0.1, deadline - loop.time()))
                return _answer(reply.data)
            except nats.errors.ConnectionClosedError:
                raise fail(Code.UNAVAILABLE, "the client is closed") from None
            except nats.errors.MaxPayloadError:
                raise fail(Code.TOO_LARGE, f"a request of {len(body)} bytes is over the server's limit") from None
            except nats.errors.Error as error:
                if loop.time() + pause >= deadline:
                    raise fail(
                        Code.UNAVAILABLE,
                        f"nobody answered {subject} within {timeout:g} s: {error}",
                        hint="is the studio up? `tunebus status`",
                    ) from None
            await asyncio.sleep(pause)
            pause = min(2 * pause, 1.0)

    async def upload(self, file: Path | str, *, progress: Progress | None = None) -> str:
        """Put a file into the studio's file bucket, where it is kept for a day; returns the name to give to a command.

        `progress(done, total)` is called as bytes are stored. Errors: `not_found`, `not_permitted`, `unavailable`.
        """
        return (await FileBucket(self._nats, self.subjects).upload(Path(file), progress=progress)).name

    async def download(self, name: str, file: Path | str, *, progress: Progress | None = None) -> int:
        """Write an object of the file bucket to a file, whole or not at all; returns its bytes.

        Errors: `not_found`, `not_permitted` and `disk_full` for the file, `unavailable`, `conflict` for damage.
        """
        target = Path(file)
        draft = target.with_name(f".{target.name}.{new_id()}")
        try:
            with draft.open("wb") as opened:
                stored = await FileBucket(self._nats, self.subjects).read(name, opened, progress)
            draft.replace(target)
        except OSError as error:
            raise unwritten(error, str(target), param="file") from None
        finally:
            draft.unlink(missing_ok=True)
        return stored.bytes

    async def remove_upload(self, name: str) -> None:
        """Free what an object of the file bucket takes, before its day is over."""
        await FileBucket(self._nats, self.subjects).remove(name)

    async def events(
        self,
        from_position: Start = "beginning",
        *,
        aggregate: str | None = None,
        entity_id: str | None = None,
    ) -> AsyncGenerator[EventEnvelope, None]:
        """Follow events without end: from the beginning, from a position (inclusive), or only new ones (`live`)."""
        if entity_id is not None and aggregate is None:
            raise fail(Code.INVALID, "entity_id needs its aggregate", param="aggregate")
        if aggregate is not None and aggregate not in AGGREGATES:
            raise fail(Code.INVALID, f"unknown aggregate {aggregate!r}", param="aggregate")
        wanted = self.subjects.all_events if aggregate is None else self.subjects.events_of(aggregate, entity_id or "*")
        first = from_position if isinstance(from_position, int) else 0
        seen = 0
        async for message in self._follow(self.subjects.events_stream, wanted, live=from_position == "live"):
            event = EventEnvelope.model_validate_json(message.data)
            if event.position >= first and event.position > seen:
                seen = event.position
                yield event

    async def job_events(
        self, job_id: str, from_position: Start = "beginning", *, until_end: bool = True
    ) -> AsyncGenerator[EventEnvelope, None]:
        """Follow one job's events; ends after its last one unless `until_end` is False."""
        first = from_position if isinstance(from_position, int) else 0
        wanted = self.subjects.events_of("*", job_id)
        seen = 0
        async for message in self._follow(self.subjects.events_stream, wanted, live=from_position == "live"):
            event = EventEnvelope.model_validate_json(message.data)
            if event.position >= first and event.position > seen:
                seen = event.position
                yield event
            if until_end and event.type in ENDS_OF_JOBS:
                return

    async def telemetry(self, job_id: str, *, live: bool = False) -> AsyncGenerator[TelemetryBatch, None]:
        """Follow one job's telemetry without end: what the stream still holds (a week), then what comes."""
        async for message in self._follow(self.subjects.telemetry_stream, self.subjects.telemetry(job_id), live=live):
            with contextlib.suppress(ValidationError):  # a stranger's message on our subject is not telemetry
                yield TelemetryBatch.model_validate_json(message.data)

    async def _try(self, subject: str, body: bytes, headers: dict[str, str], reply: str) -> str:
        """Publish once; returns what is known of why no outcome may come, empty when nothing is wrong so far."""
        if not self._nats.is_connected:
            return "not connected to the bus"
        try:
            await self._nats.publish(subject, body, reply=reply, headers=headers)
        except nats.errors.MaxPayloadError:
            raise fail(Code.TOO_LARGE, f"a command of {len(body)} bytes is over the server's limit") from None
        except nats.errors.ConnectionClosedError:
            raise fail(Code.UNAVAILABLE, "the client is closed") from None
        except nats.errors.Error as error:
            return str(error)
        return ""

    async def _listen(self) -> None:
        """Subscribe to the inbox, once, however many tasks send at the same time."""
        if self._listening is None:
            self._listening = asyncio.create_task(self._subscribe())
        await asyncio.shield(self._listening)

    async def _subscribe(self) -> None:
        await self._nats.subscribe(f"{self._inbox}.>", cb=self._received)

    async def _received(self, message: Msg) -> None:
        kind, _, command_id = message.subject[len(self._inbox) + 1 :].partition(".")
        if kind == "outcome":
            with contextlib.suppress(ValidationError):
                outcome = Outcome.model_validate_json(message.data)
                future = self._outcomes.get(outcome.command_id)
                if future is not None and not future.done():
                    future.set_result(outcome)
            return
        # The stream's own acknowledgement; it matters only when it is a refusal.
        if command_id not in self._outcomes:
            return
        if message.headers and message.headers.get("Status") == "503":
            self._refusals[command_id] = f"there is no stream {self.subjects.commands_stream}"
        elif b'"error"' in message.data:
            self._refusals[command_id] = str(json.loads(message.data).get("error", {}).get("description"))

    async def _follow(self, stream: str, wanted: str, *, live: bool) -> AsyncGenerator[Msg, None]:
        """Messages of a stream in order, each once, from its beginning or from now, across reconnects and restarts.

        Stands on an ephemeral push consumer without acknowledgements. A gap in its numbers, silence, or a reconnect
        makes a new one that continues after the last message seen.
        """
        last = (await self._state(stream)).last_seq if live else 0
        while not self._nats.is_closed:
            if (await self._state(stream)).last_seq < last:
                last = 0  # the stream was made anew; who reads events drops positions already seen
            inbox = self._nats.new_inbox()
            subscription = await self._nats.subscribe(inbox)
            reconnects = self._nats.stats["reconnects"]
            try:
                await self._make_consumer(stream, wanted, inbox, last + 1)
                expected, silent = 1, 0
                while silent < 3 * _HEARTBEAT and self._nats.stats["reconnects"] == reconnects:
                    try:
                        message = await subscription.next_msg(timeout=1.0)
                    except nats.errors.TimeoutError:
                        silent += 1
                        continue
                    silent = 0
                    if not message.reply.startswith("$JS.ACK."):
                        continue  # a heartbeat
                    numbers = message.metadata.sequence
                    if numbers.consumer != expected:
                        break
                    expected += 1
                    last = numbers.stream
                    yield message
            except nats.errors.ConnectionClosedError:
                return
            finally:
                with contextlib.suppress(nats.errors.Error):
                    await subscription.unsubscribe()

    async def _state(self, stream: str) -> api.StreamState:
        info = await self._patiently(lambda: self._nats.jsm(timeout=2.0).stream_info(stream), stream)
        return info.state

    async def _make_consumer(self, stream: str, wanted: str, inbox: str, first: int) -> None:
        config = api.ConsumerConfig(
            deliver_subject=inbox,
            deliver_policy=api.DeliverPolicy.BY_START_SEQUENCE,
            opt_start_seq=first,
            ack_policy=api.AckPolicy.NONE,
            max_deliver=1,
            filter_subject=wanted,
            idle_heartbeat=_HEARTBEAT,
            inactive_threshold=30.0,
            mem_storage=True,
            num_replicas=1,
        )
        await self._patiently(lambda: self._nats.jsm(timeout=2.0).add_consumer(stream, config), stream)

    async def _patiently(self, ask: Callable[[], Awaitable[_T]], stream: str) -> _T:
        """Ask JetStream until it answers: it may be restarting."""
        pause = 0.1
        while True:
            try:
                return await ask()
            except NotFoundError:
                raise fail(
                    Code.NOT_FOUND, f"stream {stream} does not exist", hint="`tunebus topology apply` makes it"
                ) from None
            except nats.errors.ConnectionClosedError:
                raise fail(Code.UNAVAILABLE, "the client is closed") from None
            except nats.errors.Error:
                await asyncio.sleep(pause)
                pause = min(2 * pause, 2.0)


class Client(Methods):
    """The same for plain programs: an `AsyncClient` on an event loop in a thread of its own. Safe to use from threads.

    Iterators are plain ones; closing the client, or the end of the program, ends them.
    """

    def __init__(self, client: AsyncClient, loop: asyncio.AbstractEventLoop, thread: threading.Thread) -> None:
        self._client = client
        self._loop = loop
        self._thread = thread

    @classmethod
    def connect(
        cls,
        url: str | None = None,
        namespace: str | None = None,
        *,
        home: Path | str | None = None,
        name: str = "tunebus-client",
        timeout: float = 60.0,
        connect_timeout: float = 5.0,
    ) -> Client:
        """As `AsyncClient.connect`."""
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=loop.run_forever, name="tunebus-client", daemon=True)
        thread.start()
        connecting = AsyncClient.connect(
            url, namespace, home=home, name=name, timeout=timeout, connect_timeout=connect_timeout
        )
        try:
            client = asyncio.run_coroutine_threadsafe(connecting, loop).result()
        except BaseException:
            _end_loop(loop, thread)
            raise
        return cls(client, loop, thread)

    def close(self) -> None:
        if not self._loop.is_closed():
            self._run(self._client.close())
            _end_loop(self._loop, self._thread)

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def subjects(self) -> Subjects:
        return self._client.subjects

    def send(
        self,
        command: str | Command,
        data: Mapping[str, Any] | None = None,
        /,
        *,
        command_id: str | None = None,
        expected_version: int | None = None,
        correlation_id: str | None = None,
        causation_id: str | None = None,
        actor: str | None = None,
        context: str | None = None,
        timeout: float | None = None,
        **fields: Any,
    ) -> Outcome:
        """As `AsyncClient.send`."""
        return self._run(
            self._client.send(
                command,
                data,
                command_id=command_id,
                expected_version=expected_version,
                correlation_id=correlation_id,
                causation_id=causation_id,
                actor=actor,
                context=context,
                timeout=timeout,
                **fields,
            )
        )

    def query(self, name: str | Query, data: Mapping[str, Any] | None = None, /, **fields: Any) -> dict[str, Any]:
        """As `AsyncClient.query`."""
        return self._run(self._client.query(name, data, **fields))

    def request(self, subject: str, data: Mapping[str, Any], *, timeout: float = 15.0) -> dict[str, Any]:
        """As `AsyncClient.request`."""
        return self._run(self._client.request(subject, data, timeout=timeout))

    def upload(self, file: Path | str, *, progress: Progress | None = None) -> str:
        """As `AsyncClient.upload`; `progress` is called from the client's thread."""
        return self._run(self._client.upload(file, progress=progress))

    def download(self, name: str, file: Path | str, *, progress: Progress | None = None) -> int:
        """As `AsyncClient.download`; `progress` is called from the client's thread."""
        return self._run(self._client.download(name, file, progress=progress))

    def remove_upload(self, name: str) -> None:
        """As `AsyncClient.remove_upload`."""
        self._run(self._client.remove_upload(name))

    def events(
        self,
        from_position: Start = "beginning",
        *,
        aggregate: str | None = None,
        entity_id: str | None = None,
    ) -> Iterator[EventEnvelope]:
        """As `AsyncClient.events`."""
        return self._iterate(self._client.events(from_position, aggregate=aggregate, entity_id=entity_id))

    def job_events(
        self, job_id: str, from_position: Start = "beginning", *, until_end: bool = True
    ) -> Iterator[EventEnvelope]:
        """As `AsyncClient.job_events`."""
        return self._iterate(self._client.job_events(job_id, from_position, until_end=until_end))

    def telemetry(self, job_id: str, *, live: bool = False) -> Iterator[TelemetryBatch]:
        """As `AsyncClient.telemetry`."""
        return self._iterate(self._client.telemetry(job_id, live=live))

    def _run(self, work: Coroutine[Any, Any, _T]) -> _T:
        if self._loop.is_closed():
            work.close()
            raise fail(Code.UNAVAILABLE, "the client is closed")
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except CancelledError:
            raise fail(Code.UNAVAILABLE, "the client is closed") from None
        except BaseException:
            future.cancel()  # Ctrl-C: what runs on the loop must not go on alone
            raise

    def _iterate(self, source: AsyncGenerator[_T, None]) -> Iterator[_T]:
        async def following() -> _T:
            return await anext(source)

        try:
            while True:
                try:
                    item = self._run(following())
                except StopAsyncIteration:
                    return
                yield item
        finally:
            if not self._loop.is_closed():
                self._run(source.aclose())


def find_url(home: Path | str | None = None) -> str:
    """The URL of TUNEBUS_NATS_URL, else of the studio that runs on `home`, TUNEBUS_HOME or the default home.

    Errors: `unavailable` when no studio runs there.
    """
    if home is None and (url := os.environ.get("TUNEBUS_NATS_URL")):
        return url
    folder = Path(home or os.environ.get("TUNEBUS_HOME") or platformdirs.user_data_dir("tunebus")).expanduser()
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        url = json.loads((folder / "run.json").read_text())["nats_url"]
        if isinstance(url, str):  # null while the studio's own server comes up
            return url
    raise fail(
        Code.UNAVAILABLE,
        f"no studio runs on {folder}",
        param="TUNEBUS_NATS_URL",
        hint="start one with `tunebus up`, or set TUNEBUS_NATS_URL",
    )


async def _connect(url: str, name: str, timeout: float) -> NatsClient:
    """Connect within `timeout`; afterwards reconnect for ever."""
    connection = NatsClient()
    words = ""
    refused = asyncio.Event()

    async def note(error: Exception) -> None:
        nonlocal words
        words = str(error)
        if "authorization violation" in words.lower():
            refused.set()

    options: dict[str, Any] = {
        "name": name,
        "error_cb": note,
        "max_reconnect_attempts": -1,
        "reconnect_time_wait": 0.25,
        "connect_timeout": 5,
        "ping_interval": 10,
    }
    tries = [asyncio.ensure_future(connection.connect(url, **options)), asyncio.ensure_future(refused.wait())]
    try:
        await asyncio.wait(tries, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        if tries[0].done():
            tries[0].result()
            return connection
    except (nats.errors.Error, OSError, ValueError) as error:
        words = str(error)
    finally:
        for task in tries:
            task.cancel()
        await asyncio.gather(*tries, return_exceptions=True)
    with contextlib.suppress(Exception):
        await connection.close()
    if refused.is_set():
        raise fail(Code.NOT_PERMITTED, "the bus refused user or password", param="TUNEBUS_NATS_URL")
    shown = url.rpartition("@")[2].removeprefix("nats://")
    raise fail(
        Code.UNAVAILABLE,
        f"the bus at {shown} did not answer within {timeout:g} s{f': {words}' if words else ''}",
        hint="is the studio up? `tunebus status`",
    )


def _command(command: str | Command, data: Mapping[str, Any]) -> tuple[CommandEnvelope, str]:
    """The envelope of a command, under a new id, and the context it is sent to."""
    if isinstance(command, Command):
        data = {**command.model_dump(mode="json", exclude_unset=True), **data}
        command = type(command).__name__
    context = command_type(command).context()
    return CommandEnvelope(id=new_id(), type=command, data=_plain(data)), context


def _plain(data: Mapping[str, Any]) -> dict[str, Any]:
    """JSON-ready fields; those that are None were not given. Errors: `invalid`, naming what JSON cannot say."""
    return {name: _json(value, name) for name, value in data.items() if value is not None}


def _json(value: Any, place: str) -> Any:
    if isinstance(value, BaseModel):
        value = value.model_dump(mode="json", exclude_unset=True)
    if isinstance(value, Mapping):
        return {name: _json(item, f"{place}.{name}") for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_json(item, f"{place}.{number}") for number, item in enumerate(value)]
    if isinstance(value, Path):
        value = str(value)
    try:
        strictjson.dumps(value)
    except (TypeError, ValueError):
        shown = f"{type(value).__name__} {value!r}"[:80]
        raise fail(Code.INVALID, f"JSON has no word for the {shown}", param=place) from None
    return value


def _answer(body: bytes) -> dict[str, Any]:
    """The answer to a request. Errors: the one it carries."""
    answer = json.loads(body) if body else {}
    if not isinstance(answer, dict):
        raise fail(Code.INTERNAL, "the answer is no JSON object")
    if set(answer) == {"error"} and isinstance(answer["error"], dict):
        raise TunebusError(Problem.model_validate(answer["error"]))
    return answer


def _not_confirmed(envelope: CommandEnvelope, waited: float, reason: str) -> TunebusError:
    return fail(
        Code.NOT_CONFIRMED,
        f"{envelope.type} is not confirmed yet: no outcome within {waited:g} s{f' ({reason})' if reason else ''}",
        param=envelope.id,
        hint=f"it may still be done; ask GetCommandOutcome, or send it again with the id {envelope.id}",
    )


def _end_loop(loop: asyncio.AbstractEventLoop, thread: threading.Thread) -> None:
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()
