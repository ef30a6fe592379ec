"""Request and reply by FastStream on the connection we already have: queries and rpc calls.

It declares nothing and touches no stream. Durable consumers are taken by `delivery.consume`: when a durable is gone,
FastStream's own pull loop asks again without a pause, at 100 % CPU and without a word.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from types import TracebackType
from typing import Any

from faststream._internal.broker import BrokerUsecase
from faststream.nats import NatsBroker, NatsMessage
from nats.aio.client import Client
from tunebus.contracts import strictjson
from tunebus.contracts.errors import Code, Problem, TunebusError

Handler = Callable[[bytes], Awaitable[Mapping[str, Any]]]

_log = logging.getLogger(__name__)


class SharedBroker(NatsBroker):
    """A FastStream broker on a connection that somebody else opened and will close."""

    def __init__(self, client: Client, **options: Any) -> None:
        super().__init__(**options)
        self._client = client

    @property
    def limit(self) -> int:
        """The largest message the server takes, in bytes."""
        return self._client.max_payload

    async def _connect(self) -> Client:
        self.config.connect(self._client)
        return self._client

    async def stop(
        self,
        exc_type: type[BaseException] | None = None,
        exc_val: BaseException | None = None,
        exc_tb: TracebackType | None = None,
    ) -> None:
        """End the subscriptions; unlike FastStream's own, leave the connection open."""
        await BrokerUsecase.stop(self, exc_type, exc_val, exc_tb)
        self._connection = None
        self.config.disconnect()


def make_broker(client: Client) -> SharedBroker:
    """A broker for `answer`; call `await broker.start()` when all answers are wired, and `await broker.stop()`."""
    return SharedBroker(
        client,
        apply_types=False,
        decoder=_raw,
        logger=logging.getLogger("faststream"),
        log_level=logging.DEBUG,
        graceful_timeout=5.0,
    )


def answer(broker: SharedBroker, subject: str, queue: str, handler: Handler, *, concurrency: int = 4) -> None:
    """Answer requests on `subject` with what `handler` makes of the request's bytes, as JSON.

    Members of one `queue` group share the requests; up to `concurrency` are handled at a time. Whatever goes wrong is
    answered as `{"error": {code, message, param, hint}}`: a `TunebusError` as it is, anything else as `internal`.
    """

    async def reply(body: bytes) -> bytes:
        document = await _document(handler, body, subject)
        try:
            encoded = strictjson.dumps(document)
        except ValueError:
            _log.exception("an answer that is no JSON", extra={"subject": subject})
            return _error(Problem(code=Code.INTERNAL, message="the answer could not be written as JSON"))
        limit = broker.limit
        if len(encoded) > limit:
            return _error(
                Problem(
                    code=Code.TOO_LARGE,
                    message=f"the answer has {len(encoded)} bytes, the server takes {limit}",
                    hint="ask for less at a time with `limit`",
                )
            )
        return encoded

    broker.subscriber(subject, queue=queue, max_workers=concurrency)(reply)


async def _document(handler: Handler, body: bytes, subject: str) -> Mapping[str, Any]:
    try:
        return await handler(body)
    except TunebusError as error:
        return {"error": error.problem.document()}
    except Exception:
        _log.exception("a request failed", extra={"subject": subject})
        return {"error": Problem(code=Code.INTERNAL, message="the request failed; the log has the details").document()}


async def _raw(message: NatsMessage) -> bytes:
    """The body as it came: decoding by content type would drop a malformed request without an answer."""
    return bytes(message.body)


def _error(problem: Problem) -> bytes:
    return strictjson.dumps({"error": problem.document()})
