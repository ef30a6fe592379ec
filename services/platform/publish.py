"""The one way to publish into a stream: the stream is named, the acknowledgement awaited, the retry keeps its id."""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
from collections.abc import Mapping

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.js import JetStreamContext, api
from nats.js.errors import APIError, NoStreamResponseError, ServiceUnavailableError
from tunebus.contracts.envelope import REPLY_HEADER
from tunebus.contracts.errors import Code, fail
from tunebus.contracts.subjects import Subjects
from tunebus.services.platform.connection import BusClient

WRONG_LAST_SEQUENCE = 10071
_STREAM_FULL = (10077, 10047, 10023)  # maximum bytes, insufficient storage, insufficient resources
_TOO_LARGE = 10054
_ATTEMPTS = 6
_log = logging.getLogger(__name__)


class WrongLastSequenceError(Exception):
    """The stream does not end where the publisher thought (10071): someone else published, or a retry came late."""


async def publish(
    js: JetStreamContext,
    subject: str,
    body: bytes,
    *,
    stream: str,
    message_id: str | None = None,
    headers: Mapping[str, str] | None = None,
    expected_last_sequence: int | None = None,
    timeout: float = 5.0,
    attempts: int = _ATTEMPTS,
) -> api.PubAck:
    """Publish and await the stream's acknowledgement, trying again with the same id and a growing pause.

    A publish that timed out may still have been stored, so receivers must be idempotent by `message_id` or by what the
    body says. Errors: `too_large`, `unavailable` (no stream, full, or nothing heard after `attempts`), and
    `WrongLastSequenceError`.
    """
    sent = publish_headers(stream, message_id, headers, expected_last_sequence)
    for attempt in itertools.count(1):
        try:
            return await js.publish(subject, body, timeout=timeout, headers=sent)
        except nats.errors.MaxPayloadError:
            raise fail(Code.TOO_LARGE, f"a message of {len(body)} bytes is over the server's limit") from None
        except nats.errors.Error as error:
            waiting_helps = isinstance(error, ServiceUnavailableError) and error.err_code not in _STREAM_FULL
            if isinstance(error, APIError) and not waiting_helps:
                raise _refusal(error, stream, len(body)) from None
            if isinstance(error, (nats.errors.ConnectionClosedError, nats.errors.ConnectionDrainingError)):
                raise fail(Code.UNAVAILABLE, "the connection to the bus is closed") from None
            if attempt >= attempts:
                raise fail(
                    Code.UNAVAILABLE,
                    f"stream {stream} acknowledged nothing in {attempt} attempts: {error}",
                    hint="it may still have been stored; publish it again with the same id",
                ) from None
        await asyncio.sleep(min(0.1 * 2**attempt, 5.0))
    raise AssertionError("unreachable")


def publish_headers(
    stream: str,
    message_id: str | None = None,
    headers: Mapping[str, str] | None = None,
    expected_last_sequence: int | None = None,
) -> dict[str, str]:
    """The headers of a publish that names its stream."""
    sent = {**(headers or {}), "Nats-Expected-Stream": stream}
    if message_id is not None:
        sent["Nats-Msg-Id"] = message_id
    if expected_last_sequence is not None:
        sent["Nats-Expected-Last-Sequence"] = str(expected_last_sequence)
    return sent


def _refusal(error: APIError, stream: str, size: int) -> Exception:
    if error.err_code == WRONG_LAST_SEQUENCE:
        return WrongLastSequenceError(error.description)
    if error.err_code == _TOO_LARGE:
        return fail(Code.TOO_LARGE, f"a message of {size} bytes is over the limit of stream {stream}")
    if error.err_code in _STREAM_FULL:
        return fail(Code.UNAVAILABLE, f"stream {stream} takes no more: {error.description}")
    return fail(Code.UNAVAILABLE, f"stream {stream} refused the message: {error.description}")


class Pipeline:
    """Publishes without waiting and hands out each acknowledgement as a future.

    nats-py's own `publish_async` loses every refusal (its handler raises where it should set the future), so this has
    its own inbox. A future ends with a PubAck, with APIError or NoStreamResponseError for a refusal, or with
    StaleConnectionError after a reconnect, when nobody knows what was stored; time-outs are the caller's.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._inbox = client.new_inbox()
        self._waiting: dict[str, asyncio.Future[api.PubAck]] = {}
        self._numbers = itertools.count()
        self._subscription: Subscription | None = None
        self._forget_listener = client.when_reconnected(self._lost) if isinstance(client, BusClient) else lambda: None

    async def send(self, subject: str, body: bytes, headers: dict[str, str]) -> asyncio.Future[api.PubAck]:
        """Publish one message; `headers` come from `publish_headers`."""
        if self._subscription is None:
            self._subscription = await self._client.subscribe(f"{self._inbox}.*", cb=self._acknowledged)
        token = str(next(self._numbers))
        future: asyncio.Future[api.PubAck] = asyncio.get_running_loop().create_future()
        self._waiting[token] = future
        await self._client.publish(subject, body, reply=f"{self._inbox}.{token}", headers=headers)
        return future

    def forget(self) -> None:
        """Cancel what is still waited for; late acknowledgements are ignored."""
        for future in self._waiting.values():
            future.cancel()
        self._waiting.clear()

    async def close(self) -> None:
        self.forget()
        self._forget_listener()
        if self._subscription is not None and not self._client.is_closed:
            await self._subscription.unsubscribe()
        self._subscription = None

    def _lost(self) -> None:
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(nats.errors.StaleConnectionError())
        self._waiting.clear()

    async def _acknowledged(self, message: Msg) -> None:
        future = self._waiting.pop(message.subject.rsplit(".", 1)[1], None)
        if future is None or future.done():
            return
        if message.headers and message.headers.get("Status") == "503":
            future.set_exception(NoStreamResponseError())
            return
        answer = json.loads(message.data)
        if "error" in answer:
            error = answer["error"]
            future.set_exception(
                APIError(code=error.get("code"), description=error.get("description"), err_code=error.get("err_code"))
            )
        else:
            future.set_result(api.PubAck.from_response(answer))


def reply_subject(headers: Mapping[str, str] | None, subjects: Subjects) -> str | None:
    """The subject a command's sender wants its outcome on, or None.

    Only a subject that cannot do harm is used: no wildcard, no server subject, nothing of our own namespace.
    """
    wanted = (headers or {}).get(REPLY_HEADER, "")
    if not wanted or len(wanted) > 256 or any(character in wanted for character in " \t\r\n*>"):
        return None
    if wanted.startswith(("$", f"{subjects.namespace}.")) or ".." in wanted or wanted[0] == "." or wanted[-1] == ".":
        return None
    return wanted
