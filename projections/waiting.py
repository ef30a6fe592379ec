"""Why a queued job waits: what it needs against what workers offer. The claim and the lists share these words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

WORKERS = {"fine_tuning_job": "trainer", "evaluation_job": "evaluator"}


def misfit(job: Mapping[str, Any], capabilities: Mapping[str, Any]) -> str | None:
    """What of a job's needs a worker cannot meet, in words; None when it fits. Memory in GiB."""
    lacking = []
    gpus = len(capabilities.get("gpus") or ())
    if (wanted := job["num_gpu"] or 0) > gpus:
        lacking.append(f"{wanted} GPU{'s' if wanted > 1 else ''} (has {gpus or 'none'})")
    cpus = capabilities.get("cpus", 0)
    if (wanted := job["num_cpu"] or 0) > cpus:
        lacking.append(f"{wanted} CPUs (has {cpus})")
    memory = capabilities.get("memory_gb", 0.0)
    if (wanted := job["num_memory"] or 0) > memory:
        lacking.append(f"{wanted:g} GiB of memory (has {memory:.1f})")
    return "needs " + " and ".join(lacking) if lacking else None


def waiting_reason(
    kind: str, job: Mapping[str, Any], workers: Iterable[Mapping[str, Any]], ahead: int = 0
) -> str | None:
    """Why a job does not run yet; None when it does not wait. `workers` are those heard of lately, of any kind."""
    if job["state"] == "held":
        return f"held: {job['cause']}" if job["cause"] else "held"
    if job["state"] not in ("queued", "interrupted"):
        return None
    name = WORKERS[kind]
    present = [worker for worker in workers if worker["kind"] == kind]
    if not present:
        return f"no {name} is running"
    misfits = [misfit(job, worker["capabilities"]) for worker in present]
    if all(misfits):
        reasons = sorted({reason for reason in misfits if reason})
        return f"no {name} fits: " + "; ".join(reasons)
    if ahead:
        return f"waiting for a free {name}, {ahead} job{'s' if ahead > 1 else ''} ahead"
    return f"waiting for a free {name}"
