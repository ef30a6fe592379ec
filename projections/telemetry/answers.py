"""What models answered to held-out rows while they were trained."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, select
from tunebus.projections.telemetry.tables import samples


def sample_answers(connection: Connection, job_id: str, since_step: int = -1) -> dict[str, Any]:
    """What a job's model answered to held-out rows, step by step, beside the base model:

    `{"job_id", "steps": [...], "rows": [{"row", "prompt", "reference", "base", "answers": [{"step", "answer"}, …]}]}`.
    A step that was done twice is there once, as the highest attempt answered; `base` is null until it has answered.
    """
    question = (
        select(samples).where(samples.c.job_id == job_id).order_by(samples.c.step, samples.c.attempt, samples.c.n)
    )
    found: dict[int, dict[str, Any]] = {}
    answers: dict[int, dict[int, str]] = {}
    for row in connection.execute(question).mappings():
        shown = {"row": row["row"], "prompt": row["prompt"], "reference": row["reference"], "base": None}
        known = found.setdefault(row["row"], shown)
        if row["step"] == 0:
            known["base"] = row["answer"]
        elif row["step"] > since_step:
            answers.setdefault(row["row"], {})[row["step"]] = row["answer"]
    return {
        "job_id": job_id,
        "steps": sorted({step for steps in answers.values() for step in steps}),
        "rows": [
            known | {"answers": [{"step": step, "answer": text} for step, text in answers.get(number, {}).items()]}
            for number, known in found.items()
        ],
    }
