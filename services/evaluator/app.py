"""Wires the evaluator's messaging process: which jobs it claims, which child it starts. An evaluation never resumes."""

from __future__ import annotations

import sys

from tunebus.services.platform.process import Service
from tunebus.services.platform.worker.attempt import WorkerKind
from tunebus.services.platform.worker.worker import serve

KIND = WorkerKind(
    name="evaluator",
    job_kind="evaluation_job",
    command=(sys.executable, "-m", "tunebus.services.evaluator.run"),
)


async def main(service: Service) -> None:
    await serve(service, KIND)
