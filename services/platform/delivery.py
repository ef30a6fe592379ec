"""What becomes of a delivered message: done, later, or never. Acknowledge only after the work is committed.

Dead letters are recorded before the message is terminated; who records them is the caller's affair.
"""

from __future__ import annotations

import asyncio
import base64
import logging
import random
from collections.abc import Awaitable, Callable, Sequence

from nats.aio.msg import Msg
from tunebus.contracts.errors import Code, TunebusError
from tunebus.contracts.rpc import RecordDeadLetter
from tunebus.services.platform.pull import StandingPull

Handle = Callable[[Msg], Awaitable[None]]
RecordLetter = Callable[[RecordDeadLetter], Awaitable[None]]

_TRANSIENT = frozenset({Code.UNAVAILABLE, Code.NOT_CONFIRMED, Code.DISK_FULL, Code.INTERNAL})
_FIRST_DELAY = 0.5
_LONGEST_DELAY = 30.0
_KEEP_ALIVE = 5.0  # within every ack_wait, the shortest of which is 20 s
_log = logging.getLogger(__name__)


async def consume(pull: StandingPull, handle: Handle, record: RecordLetter) -> None:
    """Take messages one by one until the pull is closed; `handle` returns when its work is committed.

    Errors: `unavailable` when the consumer is gone. A handler's own errors settle its message and end nothing.
    """
    async for messages in pull:
        for message in messages:
            problem: Exception | None = None
            try:
                await handle(message)
            except Exception as error:
                problem = error
                _log.warning(
                    "a message was not handled",
                    extra={"subject": message.subject, "permanent": is_permanent(error)},
                    exc_info=not isinstance(error, TunebusError),
                )
            try:
                await settle(message, problem, record)
            except Exception:
                _log.exception("a message was not settled; it comes again", extra={"subject": message.subject})


async def kept_alive(work: Awaitable[object], messages: Sequence[Msg]) -> None:
    """Await some work, telling the server now and then that its messages are in hand."""
    task = asyncio.ensure_future(work)
    while not (await asyncio.wait({task}, timeout=_KEEP_ALIVE))[0]:
        for message in messages:
            await message.in_progress()
    await task


def is_permanent(error: BaseException) -> bool:
    """Whether trying again cannot help: a problem with the message itself. Anything unforeseen is tried again, at most
    `max_deliver` times, after which the server's advisory makes it a dead letter."""
    return isinstance(error, TunebusError) and error.problem.code not in _TRANSIENT


def redelivery_delay(deliveries: int) -> float:
    """Seconds until the next delivery: doubling from half a second to half a minute, with jitter.

    A nak without a delay is redelivered at once, thousands of times a second.
    """
    delay = min(_FIRST_DELAY * 2.0 ** (max(deliveries, 1) - 1), _LONGEST_DELAY)
    return delay * random.uniform(0.8, 1.2)  # noqa: S311


async def later(message: Msg) -> None:
    """Have the message delivered again after a while."""
    await message.nak(delay=redelivery_delay(message.metadata.num_delivered))


async def terminate(message: Msg, reason: str, record: RecordLetter) -> None:
    """Record the message as a dead letter, then have it never delivered again."""
    await record(dead_letter(message, reason))
    await message.term()


def dead_letter(message: Msg, reason: str) -> RecordDeadLetter:
    """The message as the dead-letter list keeps it."""
    metadata = message.metadata
    return RecordDeadLetter(
        stream=metadata.stream,
        seq=metadata.sequence.stream,
        subject=message.subject,
        headers=dict(message.headers or {}),
        data=base64.b64encode(message.data).decode(),
        reason=reason,
        consumer=metadata.consumer,
    )


async def settle(message: Msg, error: BaseException | None, record: RecordLetter) -> None:
    """Acknowledge a handled message, send a failed one back for later, or make it a dead letter."""
    if error is None:
        await message.ack()
    elif not is_permanent(error):
        await later(message)
    else:
        try:
            await terminate(message, _reason(error), record)
        except Exception:
            await later(message)
            raise


def _reason(error: BaseException) -> str:
    if isinstance(error, TunebusError):
        return f"{error.problem.code.value}: {error.problem.message}"
    return type(error).__name__
