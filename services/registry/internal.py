"""What the registry decides without a command from the bus: claims by rpc, and leases that ran out.

They go through the ledger as commands do, so that the inbox answers a claim's retry and the events carry their cause.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tunebus.contracts.envelope import CommandEnvelope
from tunebus.contracts.identifiers import new_id
from tunebus.contracts.rpc import Capabilities, ClaimJob, JobKind
from tunebus.services.platform.decisions import PreparedCommand


@dataclass(frozen=True)
class ClaimWaitingJob:
    """Give the best waiting job that fits to a worker, until `lease_until` (seconds since 1970)."""

    kinds: tuple[JobKind, ...]
    worker_id: str
    host: str
    capabilities: Capabilities
    lease_until: float


@dataclass(frozen=True)
class ExpireLease:
    """An attempt was not heard of for a whole lease that the registry could hear."""

    kind: str
    job_id: str
    attempt: int


def claim(call: ClaimJob, lease_until: float) -> PreparedCommand:
    """The command's id is the claim's, so that a retry finds the first one's outcome."""
    command = ClaimWaitingJob(kinds_of(call), call.worker_id, call.host, call.capabilities, lease_until)
    # Free memory may differ between a claim and its retry; who asks for what does not.
    data = {"worker_id": call.worker_id, "kind": call.kind}
    return _prepared(call.claim_id, "ClaimJob", data, command, actor=call.worker_id)


def kinds_of(call: ClaimJob) -> tuple[JobKind, ...]:
    """All the kinds of jobs that a worker does."""
    return tuple(dict.fromkeys((call.kind, *call.kinds)))


def expire(kind: str, job_id: str, attempt: int) -> PreparedCommand:
    data: dict[str, Any] = {"job_id": job_id, "attempt": attempt}
    return _prepared(new_id(), "ExpireLease", data, ExpireLease(kind, job_id, attempt), actor="reaper")


def _prepared(
    command_id: str, type: str, data: dict[str, Any], command: ClaimWaitingJob | ExpireLease, *, actor: str
) -> PreparedCommand:
    envelope = CommandEnvelope(id=command_id, type=type, data=data, source="tunebus/registry", actor=actor)
    return PreparedCommand(envelope=envelope, command=command)
