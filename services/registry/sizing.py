"""Gathers what an estimate is made from: the lengths of the rows, the speed of earlier jobs, the workers there are.

It decides nothing and never fails a job: what cannot be found out is left at what is usual.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Engine, and_, select
from tunebus.contracts.commands.fine_tuning_job import FineTuningFields
from tunebus.contracts.errors import Problem, TunebusError
from tunebus.contracts.subjects import FINE_TUNING_JOB
from tunebus.projections.standing import present_workers
from tunebus.projections.tables import fine_tuning_jobs, job_attempts
from tunebus.services.platform import database
from tunebus.services.platform.home import Home
from tunebus.services.registry import domain, fine_tuning_job
from tunebus.services.registry.children import PreparePool
from tunebus.services.registry.estimate import FEW_STEPS, Facts, Lengths, Speed
from tunebus.services.registry.fine_tuning_job import Asked, Resolved
from tunebus.services.registry.wanted import Wanted

SECONDS = 10.0
REMEMBERED = 256  # combinations of dataset, prompt and model whose lengths are kept
EARLIER_JOBS = 10

_log = logging.getLogger(__name__)


class Sizing:
    """`facts` for what a command comes to."""

    def __init__(self, home: Home, reads: Engine) -> None:
        self._home = home
        self._reads = reads
        self._lengths: dict[str, Lengths] = {}

    async def facts(
        self, command: FineTuningFields, asked: Asked, pool: PreparePool
    ) -> tuple[Resolved | None, list[Problem], Facts | None]:
        """What a start would come to, what is wrong with it, and what its estimate is made from. `pool` reads rows."""
        found, problems, facts = await asyncio.to_thread(self._look, command, asked)
        if found is None or facts is None:
            return found, problems, None
        return found, problems, Facts(await self._counted(found, pool), facts.speeds, facts.workers)

    def _look(self, command: FineTuningFields, asked: Asked) -> tuple[Resolved | None, list[Problem], Facts | None]:
        wanted = Wanted()
        fine_tuning_job.refer_start(wanted, None, command)
        with database.read(self._reads) as connection:
            known = domain.load(connection, wanted)
            found, problems = fine_tuning_job.resolve(known, asked, command, "")
            if found is None:
                return None, problems, None
            workers = [worker for worker in present_workers(connection) if worker["kind"] == FINE_TUNING_JOB]
            hosts = {str(worker["host"]) for worker in workers}
            speeds = earlier_speeds(connection, found, hosts)
        return found, problems, Facts(speeds=speeds, workers=workers)

    async def _counted(self, found: Resolved, pool: PreparePool) -> Lengths:
        source = found.recipe.dataset
        chat = found.recipe.text_format != "plain"
        templates = source.prompt.model_dump(mode="json") if source.prompt else source.format
        key = json.dumps([source.sha256, source.column_mapping, templates, found.model.sha256, chat])
        if key in self._lengths:
            return self._lengths[key]
        located = source.model_copy(update={"location": str(self._home.resolve(source.location))})
        request = {
            "source": located.model_dump(mode="json"),
            "model": str(self._home.resolve(found.model.location)),
            "rows": found.dataset.rows,
            "bytes": found.dataset.bytes,
            "chat": chat,
        }
        try:
            lengths = Lengths.of(await pool.ask("lengths", request, SECONDS))
        except TunebusError as error:
            _log.info("the rows' lengths are not known", extra={"reason": error.problem.message})
            return Lengths()
        while len(self._lengths) >= REMEMBERED:
            del self._lengths[next(iter(self._lengths))]
        self._lengths[key] = lengths
        return lengths


def earlier_speeds(connection: Connection, found: Resolved, hosts: set[str]) -> Sequence[Speed]:
    """Of the newest jobs of the same model and method on machines that are present; those of a few steps come last."""
    jobs, attempts = fine_tuning_jobs, job_attempts
    on_gpu = jobs.c.num_gpu > 0 if found.recipe.num_gpu else jobs.c.num_gpu == 0
    question = (
        select(jobs.c.metrics, jobs.c.estimate, jobs.c.step)
        .join(attempts, and_(attempts.c.job_id == jobs.c.id, attempts.c.attempt == jobs.c.attempt))
        .where(
            jobs.c.state == "succeeded",
            jobs.c.base_model_id == found.model.id,
            jobs.c.method == found.recipe.method,
            on_gpu,
            attempts.c.host.in_(hosts),
        )
        .order_by((jobs.c.step < FEW_STEPS), jobs.c.position.desc())
        .limit(EARLIER_JOBS)
    )
    found_speeds = (_speed(row.metrics or {}, row.estimate, row.step) for row in connection.execute(question))
    return [speed for speed in found_speeds if speed is not None]


def _speed(metrics: Mapping[str, float | None], kept: Mapping[str, Any] | None, steps: int) -> Speed | None:
    """A job's measured pace in the tokens that its estimate counted for a step: it is to divide tokens that are counted
    in the same way, which for short rows are half as many again as the trainer's. The trainer's own where no row was
    counted."""
    pace, rate, tokens = (metrics.get(name) for name in ("steps_per_second", "tokens_per_second", "tokens"))
    if kept and kept["steps"] and pace and (kept["lengths"]["counted"] or not rate):
        of_a_step = kept["tokens"] / kept["steps"]
        return Speed(pace * of_a_step, steps * of_a_step, steps)
    return Speed(rate, tokens, steps) if rate and tokens else None
