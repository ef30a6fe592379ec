"""`job`: the jobs of every kind in one list, chosen and sorted by the studio."""

from __future__ import annotations

import math
from typing import Any

import typer
from tunebus.contracts import queries
from tunebus.ui.cli.call import Call, command
from tunebus.ui.cli.entities import show_page
from tunebus.ui.cli.options import given, options
from tunebus.ui.cli.sparkline import sparkline
from tunebus.ui.cli.terminal import local_time

jobs = typer.Typer(no_args_is_help=True, help="Jobs of every kind.")

_COLUMNS = {
    "job": "job",
    "kind": "kind",
    "state": "state",
    "step": "progress.step",
    "of": "progress.total",
    "loss": "curve",
    "model": "base_model_name",
    "dataset": "dataset_name",
    "added": "added",
    "why it waits": "waiting_reason",
    "id": "id",
}


@command(
    jobs,
    "list",
    fields=options(
        queries.ListAllJobs,
        values={
            "after": "leave out so many",
            "kinds": "only this kind; may be repeated",
            "states": "only jobs in this state; may be repeated",
        },
    ),
    epilog="Example: tunebus job list --state failed --search faq --sort updated",
)
def list_jobs(call: Call, **fields: Any) -> None:
    """List jobs of every kind, the newest first."""
    page = call.ask("ListAllJobs", **given(fields))
    if not call.machine:
        for job in page["items"]:
            job["job"] = job["adapter_name"] or "-"
            job["added"] = local_time(job.get("created_at"))
            job["curve"] = sparkline([value for value in job.get("losses", ()) if _finite(value)], width=16)
    show_page(call, page, _COLUMNS, "no such job")
    if not call.machine and page["items"]:
        call.terminal.note(f"{len(page['items'])} of {page['total']}")


def _finite(value: float | str) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
