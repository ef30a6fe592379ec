"""What workers ask by request and reply: a job, the renewal of its lease, and the keeping of a dead letter.

A claim is decided in the ledger like a command, with the claim's id in the inbox: its retry gets the same attempt.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from typing import Any, cast

from pydantic import BaseModel, ValidationError
from sqlalchemy import Connection, Engine, select
from tunebus.contracts import rpc as ask
from tunebus.contracts import strictjson
from tunebus.contracts.envelope import Outcome
from tunebus.contracts.errors import Code, TunebusError, fail, from_validation
from tunebus.contracts.identifiers import timestamp
from tunebus.contracts.subjects import EVALUATION_JOB
from tunebus.projections.tables import JOB_TABLES, worker_loads, workers
from tunebus.services.platform import database, deadletters, leases
from tunebus.services.platform.ledger import Ledger, load_streams
from tunebus.services.registry import claims, internal, jobs
from tunebus.services.registry.advisories import keep
from tunebus.services.registry.jobs import Job
from tunebus.services.registry.liveness import Hearing

Document = dict[str, Any]
Resend = Callable[[deadletters.DeadLetter], Awaitable[int]]


class WorkerCalls:
    """`CALLS` by name. `hearing` is told when a worker could not be heard."""

    def __init__(
        self,
        engine: Engine,
        ledger: Ledger,
        writer: Executor,
        hearing: Hearing,
        *,
        lease_seconds: float,
        artifact_root: str,
        committed: Callable[[], Awaitable[None]],
        resend: Resend,
    ) -> None:
        self._engine = engine
        self._ledger = ledger
        self._writer = writer
        self._hearing = hearing
        self._lease_seconds = lease_seconds
        self._artifact_root = artifact_root
        self._committed = committed
        self._resend = resend
        self._calls: dict[str, Callable[[Any], Awaitable[BaseModel | None]]] = {
            ask.CLAIM_JOB: self.claim,
            ask.HEARTBEAT: self.heartbeat,
            ask.RECORD_DEAD_LETTER: self.record_dead_letter,
            ask.RESEND_DEAD_LETTER: self.resend_dead_letter,
        }

    async def answer(self, name: str, body: bytes) -> Document:
        """The reply's document. Errors: `malformed`, `invalid`, and what the call itself raises."""
        kind, _ = ask.CALLS[name]
        try:
            call = kind.model_validate(strictjson.loads(body))
        except ValidationError as error:
            raise TunebusError(from_validation(error, kind.model_fields)) from None
        reply = await self._calls[name](call)
        return reply.model_dump(mode="json") if reply else {}

    async def claim(self, call: ask.ClaimJob) -> ask.ClaimReply:
        """The best waiting job that fits, or why there is none for this worker."""
        if call.capabilities.artifact_root != self._artifact_root:
            return ask.ClaimReply(waiting_reason="the worker sees another artifact root than the registry")
        reply: ask.ClaimReply = await self._in_writer(lambda: self._claim(call))
        if reply.assignment:
            await self._committed()
        return reply

    async def heartbeat(self, call: ask.Heartbeat) -> ask.HeartbeatReply:
        try:
            reply: ask.HeartbeatReply = await self._in_writer(lambda: self._heartbeat(call))
        except database.DatabaseError:
            self._hearing.deaf()
            raise
        return reply

    async def record_dead_letter(self, call: ask.RecordDeadLetter) -> None:
        await self._in_writer(lambda: keep(self._engine, call))

    async def resend_dead_letter(self, call: ask.ResendDeadLetter) -> ask.ResendReply:
        """Publish the original message again, as it was. Errors: `not_found`, `unavailable`."""

        def look() -> deadletters.DeadLetter | None:
            with database.read(self._engine) as connection:
                return deadletters.get(connection, call.id)

        def mark() -> None:
            with database.write(self._engine) as connection:
                deadletters.mark_resent(connection, call.id)

        letter = await asyncio.to_thread(look)
        if letter is None:
            raise fail(Code.NOT_FOUND, f"there is no dead letter {call.id}", param="id")
        seq = await self._resend(letter)
        await self._in_writer(mark)
        return ask.ResendReply(id=call.id, stream=letter.stream, seq=seq, subject=letter.subject)

    def _claim(self, call: ask.ClaimJob) -> ask.ClaimReply:
        now = time.time()
        known = self._ledger.outcome(call.claim_id)
        if known is None:
            with database.write(self._engine) as connection:
                _seen(connection, call)
                reason = claims.why_none(connection, internal.kinds_of(call), call.host, call.capabilities)
            if reason:
                return ask.ClaimReply(waiting_reason=reason)
        result = self._ledger.execute([internal.claim(call, now + self._lease_seconds)])[0]
        if isinstance(result, Exception):
            raise result
        if result.error:
            raise TunebusError(result.error)
        if result.id is None:
            return ask.ClaimReply(waiting_reason="no job waits")
        return ask.ClaimReply(assignment=self._assignment(call, result))

    def _assignment(self, call: ask.ClaimJob, outcome: Outcome) -> ask.Assignment | None:
        """What was claimed, as long as this worker still has it: a late retry gets nothing."""
        assert outcome.id is not None
        with database.write(self._engine) as connection:
            job: Job | None = None
            streams = load_streams(connection, [(kind, outcome.id) for kind in internal.kinds_of(call)])
            for event in (event for stream in streams.values() for event in stream):
                job = jobs.evolve(job, event)
            if job is None or job.worker_id != call.worker_id or job.state not in jobs.WITH_WORKER:
                return None
            lease = leases.get(connection, job.id)
            if lease is None or lease.attempt != job.attempt:
                return None
            leases.renew(connection, job.id, job.attempt, call.worker_id, time.time() + self._lease_seconds)
            connection.execute(workers.update().where(workers.c.worker_id == call.worker_id).values(job_id=job.id))
        return ask.Assignment(
            job_id=job.id,
            kind=cast("ask.JobKind", job.kind),
            attempt=job.attempt,
            lease_seconds=self._lease_seconds,
            out_dir=job.out_dir,
            recipe=dict(job.recipe),
            checkpoints=[checkpoint.model_dump(mode="json") for checkpoint in jobs.newest_first(job)],
            gpus=list(job.gpus),
        )

    def _heartbeat(self, call: ask.Heartbeat) -> ask.HeartbeatReply:
        """Renews the lease by SQL alone; `desired` is read from the job's row."""
        with database.write(self._engine) as connection:
            held = leases.renew(
                connection, call.job_id, call.attempt, call.worker_id, time.time() + self._lease_seconds
            )
            connection.execute(
                workers.update()
                .where(workers.c.worker_id == call.worker_id)
                .values(last_seen=timestamp(), job_id=call.job_id if held else None)
            )
            _loaded(connection, call.worker_id, call.load)
            desired = _desired(connection, call.job_id) if held else "kill"
        return ask.HeartbeatReply(desired=desired, stale_attempt=not held, lease_seconds=self._lease_seconds)

    async def _in_writer(self, work: Callable[[], Any]) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._writer, work)


def _seen(connection: Connection, call: ask.ClaimJob) -> None:
    """A worker that asks has nothing to do, and offers what it says now."""
    now = timestamp()
    values = {
        "kind": call.kind,
        "host": call.host,
        "capabilities": call.capabilities.model_dump(mode="json"),
        "job_id": None,
        "last_seen": now,
    }
    changed = connection.execute(workers.update().where(workers.c.worker_id == call.worker_id).values(values))
    if changed.rowcount == 0:
        connection.execute(workers.insert().values({**values, "worker_id": call.worker_id, "first_seen": now}))
    _loaded(connection, call.worker_id, call.load)


def _loaded(connection: Connection, worker_id: str, load: ask.Load | None) -> None:
    """Keep what a worker last said of how busy its machine is."""
    if load is None:
        return
    values = {"load": load.model_dump(mode="json"), "reported_at": timestamp()}
    changed = connection.execute(worker_loads.update().where(worker_loads.c.worker_id == worker_id).values(values))
    if changed.rowcount == 0:
        connection.execute(worker_loads.insert().values({**values, "worker_id": worker_id}))


def _desired(connection: Connection, job_id: str) -> ask.Desired:
    for kind, table in JOB_TABLES.items():
        row = connection.execute(select(table.c.state, table.c.stop).where(table.c.id == job_id)).one_or_none()
        if row is None:
            continue
        if row.state != "stopping":
            return "run"
        return "kill" if row.stop == "force" or kind == EVALUATION_JOB else "stop_after_checkpoint"
    return "kill"
