"""Which waiting job a worker gets, and which GPUs: by priority, then rank, among those that its machine has room for.

Called in the claim's own transaction; it reads SQL and writes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, select
from tunebus.contracts.rpc import Capabilities
from tunebus.projections import tables
from tunebus.projections.standing import used_resources
from tunebus.projections.waiting import Usage, busy, free_gpus, misfit
from tunebus.services.platform.decisions import PreparedCommand
from tunebus.services.registry.internal import ClaimWaitingJob


@dataclass(frozen=True)
class Candidate:
    """A job that a claim may have, with the ids of the GPUs it would get."""

    kind: str
    job_id: str
    gpus: list[str] = field(default_factory=list)


def candidates(connection: Connection, claims: Sequence[PreparedCommand]) -> dict[str, Candidate]:
    """The best waiting job that fits each claim, none for two of them, by command id."""
    if not claims:
        return {}
    found: dict[str, Candidate] = {}
    usage = used_resources(connection)
    queues: dict[tuple[str, ...], list[Mapping[str, Any]]] = {}
    taken: set[str] = set()
    for claim in claims:
        asked: ClaimWaitingJob = claim.command
        if asked.kinds not in queues:
            queues[asked.kinds] = waiting(connection, asked.kinds)
        queue = [job for job in queues[asked.kinds] if job["id"] not in taken]
        candidate = best(queue, asked.host, asked.capabilities, usage)
        if candidate is not None:
            taken.add(candidate.job_id)
            found[claim.envelope.id] = candidate
            job = next(job for job in queue if job["id"] == candidate.job_id)
            usage.add(asked.host, job, candidate.gpus)
    return found


def best(queue: Iterable[Mapping[str, Any]], host: str, capabilities: Capabilities, usage: Usage) -> Candidate | None:
    """The first job of a queue that a worker can do with what its machine has left."""
    offered = capabilities.model_dump()
    held = usage.of(host)
    for job in queue:
        if misfit(job, offered) is None and busy(job, offered, held) is None:
            return Candidate(job["kind"], job["id"], free_gpus(offered, held)[: job["num_gpu"] or 0])
    return None


def why_none(connection: Connection, kinds: Sequence[str], host: str, capabilities: Capabilities) -> str | None:
    """Why no waiting job is for this worker, or None when one is."""
    queue = waiting(connection, kinds)
    if not queue:
        return "no job waits"
    usage = used_resources(connection)
    if best(queue, host, capabilities, usage) is not None:
        return None
    offered = capabilities.model_dump()
    first = queue[0]
    reason = misfit(first, offered) or busy(first, offered, usage.of(host))
    return f"no waiting job fits this worker: the first {reason}"


def waiting(connection: Connection, kinds: Iterable[str]) -> list[Mapping[str, Any]]:
    """The jobs of these kinds that a worker may have, in the order they are given out, with what they need."""
    found: list[Mapping[str, Any]] = []
    for kind in kinds:
        table = tables.JOB_TABLES[kind]
        columns = (table.c.id, table.c.num_cpu, table.c.num_gpu, table.c.num_memory, table.c.priority, table.c.rank)
        query = select(*columns).where(table.c.state == "queued", table.c.unmet == 0)
        found += [{**row, "kind": kind} for row in connection.execute(query).mappings()]
    return sorted(found, key=lambda job: (-job["priority"], job["rank"], job["id"]))
