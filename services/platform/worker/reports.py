"""One attempt's durable reports, in order: each is sent again, under the same command id, until it has an outcome.

It decides nothing but this: a report refused as `stale_attempt` ends the attempt.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID, uuid5

from nats.errors import Error as BusError
from tunebus.contracts.commands import Command
from tunebus.contracts.envelope import Outcome
from tunebus.contracts.errors import Code, TunebusError

NAMESPACE = UUID("6f0f6c8e-6f39-5c37-9a51-5a6f0c1d5a10")
LONGEST_PAUSE = 5.0

logger = logging.getLogger(__name__)

Send = Callable[[str, dict[str, Any], str, str], Awaitable[Outcome]]
"""(command's name, data, context, command id) -> outcome; raises when there is none yet."""


def command_id(job_id: str, attempt: int, kind: str, step: int = 0) -> str:
    """The id of a report: the same for the same fact, whoever sends it and how often."""
    return str(uuid5(NAMESPACE, f"{job_id}/{attempt}/{kind}/{step}"))


class Reports:
    """The queue of one attempt. `run` sends; `settled` waits until everything added so far has an outcome."""

    def __init__(
        self,
        send: Send,
        context: str,
        on_stale: Callable[[], None],
        before: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._send = send
        self._context = context
        self._on_stale = on_stale
        self._before = before
        self._queue: asyncio.Queue[tuple[str, dict[str, Any], str]] = asyncio.Queue()
        self.outcomes: dict[str, Outcome] = {}

    def add(self, report: Command, step: int = 0) -> str:
        """Queue a report; returns its command id."""
        data = report.model_dump(mode="json", exclude_none=True)
        return self.add_data(type(report).__name__, data, step)

    def add_data(self, name: str, data: dict[str, Any], step: int = 0) -> str:
        identity = command_id(data["job_id"], data["attempt"], name, step)
        self._queue.put_nowait((name, data, identity))
        return identity

    async def settled(self) -> None:
        await self._queue.join()

    async def run(self) -> None:
        while True:
            name, data, identity = await self._queue.get()
            self.outcomes[identity] = await self._until_outcome(name, data, identity)
            self._queue.task_done()

    async def _until_outcome(self, name: str, data: dict[str, Any], identity: str) -> Outcome:
        pause = 0.25
        while True:
            if self._before is not None:
                await self._before()
            try:
                outcome = await self._send(name, data, self._context, identity)
            except (TunebusError, BusError, OSError) as error:
                if pause == 0.25:
                    logger.warning("%s not confirmed yet, sending again: %s", name, error or type(error).__name__)
                await asyncio.sleep(pause * random.uniform(0.8, 1.2))  # noqa: S311  spreads retries, hides nothing
                pause = min(2 * pause, LONGEST_PAUSE)
                continue
            self._look_at(name, data, outcome)
            return outcome

    def _look_at(self, name: str, data: dict[str, Any], outcome: Outcome) -> None:
        problem = outcome.error
        if problem is None or problem.code == Code.COMMAND_ID_REUSED:  # reused: said already, in other words
            return
        names = {"job_id": data["job_id"], "attempt": data["attempt"], "code": problem.code.value}
        logger.warning("%s refused: %s", name, problem.message, extra=names)
        if problem.code == Code.STALE_ATTEMPT:
            self._on_stale()
