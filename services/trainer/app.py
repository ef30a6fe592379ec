"""Wires the trainer's messaging process: which jobs it claims, which child it starts, how it trusts a checkpoint."""

from __future__ import annotations

import sys

from tunebus.services.platform.process import Service
from tunebus.services.platform.worker.attempt import WorkerKind
from tunebus.services.platform.worker.worker import serve
from tunebus.services.trainer import checkpoints

KIND = WorkerKind(
    name="trainer",
    job_kind="fine_tuning_job",
    command=(sys.executable, "-m", "tunebus.services.trainer.run"),
    verify_checkpoint=checkpoints.verify,
)


async def main(service: Service) -> None:
    await serve(service, KIND)
