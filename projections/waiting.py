"""Why a job waits: what it needs against what workers offer, and against what other jobs hold of their machines.

The claim and the lists share these functions, so that a list says what the claim does. Pure; memory in GiB.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

WORKERS = {"fine_tuning_job": "trainer", "evaluation_job": "evaluator", "export_job": "evaluator"}
"""The worker that does each kind of job."""

_UNIVERSAL = ("GPU-", "MIG-")  # such ids name one device in the world, whatever its machine is called


@dataclass(frozen=True)
class Held:
    """What running jobs were given of one machine."""

    cpus: int = 0
    memory_gb: float = 0.0
    gpus: frozenset[str] = frozenset()


class Usage:
    """What each machine's running jobs hold. `rows` are theirs, with `host`, `num_cpu`, `num_memory` and `gpus`."""

    def __init__(self, rows: Iterable[Mapping[str, Any]] = ()) -> None:
        self._by_host: dict[str, Held] = {}
        self._everywhere: frozenset[str] = frozenset()
        for row in rows:
            self.add(str(row["host"]), row, row["gpus"] or ())

    def add(self, host: str, job: Mapping[str, Any], gpus: Iterable[str]) -> None:
        """Count a job in that a worker of this host has, or is about to get."""
        held = self.of(host)
        given = frozenset(gpus)
        self._by_host[host] = Held(
            held.cpus + (job["num_cpu"] or 0), held.memory_gb + (job["num_memory"] or 0.0), held.gpus | given
        )
        self._everywhere |= {gpu for gpu in given if gpu.startswith(_UNIVERSAL)}

    def of(self, host: str) -> Held:
        held = self._by_host.get(host, Held())
        return Held(held.cpus, held.memory_gb, held.gpus | self._everywhere)


def gpu_ids(capabilities: Mapping[str, Any]) -> list[str]:
    """The ids of a worker's GPUs; their numbers where it gave only names."""
    devices = capabilities.get("devices") or ()
    if devices:
        return [str(device["id"]) for device in devices]
    return [str(number) for number in range(len(capabilities.get("gpus") or ()))]


def free_gpus(capabilities: Mapping[str, Any], held: Held) -> list[str]:
    return [gpu for gpu in gpu_ids(capabilities) if gpu not in held.gpus]


def misfit(job: Mapping[str, Any], capabilities: Mapping[str, Any]) -> str | None:
    """What of a job's needs a worker can never meet, in words; None when it fits."""
    lacking = []
    gpus = len(gpu_ids(capabilities))
    if (wanted := job["num_gpu"] or 0) > gpus:
        lacking.append(f"{_gpus(wanted)} (has {gpus or 'none'})")
    cpus = capabilities.get("cpus", 0)
    if (wanted := job["num_cpu"] or 0) > cpus:
        lacking.append(f"{_cpus(wanted)} (has {cpus})")
    memory = capabilities.get("memory_gb", 0.0)
    if (wanted := job["num_memory"] or 0) > memory:
        lacking.append(f"{wanted:g} GiB of memory (has {memory:.1f})")
    return "needs " + " and ".join(lacking) if lacking else None


def busy(job: Mapping[str, Any], capabilities: Mapping[str, Any], held: Held) -> str | None:
    """What of a job's needs other jobs have now on a machine that it fits, in words; None when it may start."""
    lacking = []
    free = len(free_gpus(capabilities, held))
    if (wanted := job["num_gpu"] or 0) > free:
        lacking.append(f"{_gpus(wanted)} ({len(gpu_ids(capabilities)) - free} of {len(gpu_ids(capabilities))} in use)")
    cpus = capabilities.get("cpus", 0)
    if (wanted := job["num_cpu"] or 0) and wanted + held.cpus > cpus:
        lacking.append(f"{_cpus(wanted)} ({held.cpus} of {cpus} in use)")
    memory = capabilities.get("memory_gb", 0.0)
    if (wanted := job["num_memory"] or 0) and wanted + held.memory_gb > memory:
        lacking.append(f"{wanted:g} GiB of memory ({held.memory_gb:g} of {memory:.1f} in use)")
    return "needs " + " and ".join(lacking) if lacking else None


def waiting_reason(
    kind: str,
    job: Mapping[str, Any],
    workers: Iterable[Mapping[str, Any]],
    ahead: int = 0,
    *,
    usage: Usage | None = None,
    dependencies: Sequence[Mapping[str, Any]] = (),
) -> str | None:
    """Why a job does not run yet; None when it does not wait. `workers` are those heard of lately, of any kind;
    `dependencies` are the jobs that have to succeed first, with `name` and `state`.
    """
    if job["state"] == "held":
        return _held(job)
    if job["state"] not in ("queued", "interrupted"):
        return None
    if dependencies:
        return "waits for " + ", ".join(f"{other['name']} ({other['state']})" for other in dependencies)
    name = WORKERS[kind]
    present = [worker for worker in workers if WORKERS.get(worker["kind"]) == name]
    if not present:
        return f"no {name} is running"
    misfits = [misfit(job, worker["capabilities"]) for worker in present]
    if all(misfits):
        reasons = sorted({reason for reason in misfits if reason})
        return f"no {name} fits: " + "; ".join(reasons)
    if usage is not None:
        fitting = [worker for worker, reason in zip(present, misfits, strict=True) if reason is None]
        in_use = [busy(job, worker["capabilities"], usage.of(worker["host"])) for worker in fitting]
        if all(in_use):
            reasons = sorted({reason for reason in in_use if reason})
            return "waiting for other jobs to end: " + "; ".join(reasons)
    if ahead:
        return f"waiting for a free {name}, {ahead} job{'s' if ahead > 1 else ''} ahead"
    return f"waiting for a free {name}"


def _held(job: Mapping[str, Any]) -> str:
    cause, message = job["cause"], job.get("message")
    if cause == "requested":
        return f"held: {message}" if message else "held until it is released"
    if message:
        return f"held: {message}"
    return f"held: {cause}" if cause else "held"


def _gpus(count: int) -> str:
    return f"{count} GPU{'s' if count > 1 else ''}"


def _cpus(count: int) -> str:
    return f"{count} CPU{'s' if count > 1 else ''}"
