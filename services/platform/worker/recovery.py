"""What dead workers left behind: telemetry that is not in the stream, ends that nobody reported. Done before claiming.

A folder is taken only when its lock is free, which is when its supervisor and its child are both dead.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterator

from tunebus.contracts import subjects
from tunebus.services.platform.home import Home
from tunebus.services.platform.worker import spool
from tunebus.services.platform.worker.bus import Bus
from tunebus.services.platform.worker.conclusion import as_ending, close_spool, conclude
from tunebus.services.platform.worker.endings import Told, ending_of
from tunebus.services.platform.worker.findings import Findings
from tunebus.services.platform.worker.folder import AttemptFolder, folders
from tunebus.services.platform.worker.forwarding import Forwarder, Progress
from tunebus.services.platform.worker.reports import Reports

ORPHAN_SECONDS = 15.0  # how long a child may take to notice that its supervisor is dead

logger = logging.getLogger(__name__)


def leftovers(home: Home) -> Iterator[AttemptFolder]:
    """Attempts with telemetry unsent or an end unreported, whoever owns them."""
    for folder in folders(home.artifacts):
        ending = folder.ending()
        if folder.job() is not None and (ending is None or ending.outcome is None or not spool.is_sent(folder)):
            yield folder


async def recover(home: Home, bus: Bus) -> None:
    """Finish what dead supervisors left, oldest attempt first; what a living one owns is left to it."""
    for folder in await asyncio.to_thread(lambda: list(leftovers(home))):
        await _recover(folder, home, bus)


async def _recover(folder: AttemptFolder, home: Home, bus: Bus) -> None:
    async with contextlib.AsyncExitStack() as stack:
        try:
            await _take(folder, stack)
        except OSError as error:
            if not isinstance(error, BlockingIOError):
                logger.warning("an attempt's folder cannot be taken over: %s", error)
            return
        names: dict[str, object] = {"job_id": folder.job_id, "attempt": folder.attempt}
        logger.info("finishing what a dead worker left", extra=names)
        forwarder = Forwarder(bus, folder, Progress())
        ending = folder.ending()
        if ending is not None and ending.outcome is not None:
            await forwarder.flush()
            return
        await close_spool(folder)
        stale = asyncio.Event()
        kind = (folder.job() or {}).get("kind", subjects.FINE_TUNING_JOB)
        reports = Reports(bus.report, kind, stale.set)
        sending = asyncio.create_task(reports.run())
        stack.callback(sending.cancel)
        for report, step in Findings(folder, home).new():
            reports.add(report, step)
        ending = ending or as_ending(ending_of(folder, home, None, Told()))
        await conclude(folder, ending, reports, forwarder, stale.is_set)


async def _take(folder: AttemptFolder, stack: contextlib.AsyncExitStack) -> None:
    """Lock the folder, waiting for a child whose supervisor just died. Raises BlockingIOError for a living owner."""
    deadline = asyncio.get_running_loop().time() + ORPHAN_SECONDS
    while True:
        owner = folder.owner()
        try:
            stack.enter_context(folder.lock())
            return
        except BlockingIOError:
            if owner is None or owner.is_alive or asyncio.get_running_loop().time() > deadline:
                raise
        await asyncio.sleep(0.1)
