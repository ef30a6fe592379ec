"""The end of an attempt, the same for a child that just died and for one found dead after a restart.

Order: the rest of the output into the spool, the spool into the stream, the reports in order, and the ending last.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from dataclasses import replace

from tunebus.contracts.commands import CompleteAttempt, FailAttempt
from tunebus.contracts.envelope import Outcome
from tunebus.contracts.errors import Code, Problem
from tunebus.services.platform.worker import spool
from tunebus.services.platform.worker.endings import refused, unreported
from tunebus.services.platform.worker.folder import AttemptFolder, Ending
from tunebus.services.platform.worker.forwarding import Forwarder
from tunebus.services.platform.worker.reports import Reports

STALE = Code.STALE_ATTEMPT.value
ACCEPTED = "accepted"
_ENDED_ALREADY = frozenset({Code.STALE_ATTEMPT, Code.WRONG_STATE, Code.CONFLICT, Code.COMMAND_ID_REUSED})

_SECOND = 1  # tells the command id of a second FailAttempt from that of the first

logger = logging.getLogger(__name__)


async def close_spool(folder: AttemptFolder) -> None:
    """Complete the log in the spool. A disk that cannot take it loses that tail, which `output.log` still has."""
    try:
        await asyncio.to_thread(spool.close, folder)
    except OSError as error:
        logger.warning("the end of the output did not fit the spool: %s", error, extra={"folder": str(folder.path)})


async def conclude(
    folder: AttemptFolder, ending: Ending, reports: Reports, forwarder: Forwarder, is_stale: Callable[[], bool]
) -> None:
    """Send the ending once everything before it is in the stream and has its outcome; waits as long as the bus is away.

    A stale attempt reports nothing, but no measured point is lost either.
    """
    if not is_stale():
        keep(folder, ending)
        await reports.settled()
    if is_stale():
        keep(folder, Ending("", {}, STALE))
        await forwarder.flush()
        return
    if not await forwarder.flush():
        logger.error("the attempt ends with telemetry left in its spool", extra={"folder": str(folder.path)})
    outcome = await _send(ending, reports)
    if (problem := _refusal(outcome)) and ending.type == CompleteAttempt.__name__:
        message = f"the registry refused the result: {problem.message}"
        ending = as_ending(refused(folder, "crashed", message, problem.hint))
        outcome = await _send(ending, reports)
    if problem := _refusal(outcome):
        ending = as_ending(unreported(folder, ending.data["cause"], problem.message))
        outcome = await _send(ending, reports, _SECOND)
    keep(folder, replace(ending, outcome=outcome.error.code.value if outcome.error else ACCEPTED))


def as_ending(report: CompleteAttempt | FailAttempt) -> Ending:
    return Ending(type(report).__name__, report.model_dump(mode="json", exclude_none=True))


def keep(folder: AttemptFolder, ending: Ending) -> None:
    """Remember the ending for a restart; a disk that cannot take it stops no report."""
    with contextlib.suppress(OSError):
        folder.write_ending(ending)


def _refusal(outcome: Outcome) -> Problem | None:
    """Why a report was refused, unless the attempt had ended already: that must be said in other words."""
    problem = outcome.error
    return None if problem is None or problem.code in _ENDED_ALREADY else problem


async def _send(ending: Ending, reports: Reports, number: int = 0) -> Outcome:
    identity = reports.add_data(ending.type, ending.data, number)
    await reports.settled()
    return reports.outcomes[identity]
