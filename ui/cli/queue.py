"""`queue`: the jobs of every kind that have not ended, their order, and what holds them up."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.text import Text
from tunebus.contracts import commands, queries
from tunebus.ui.cli.call import Call, command
from tunebus.ui.cli.entities import show_page
from tunebus.ui.cli.options import given, options

if TYPE_CHECKING:
    from tunebus.contracts.envelope import Outcome

queue = typer.Typer(no_args_is_help=True, help="Jobs that wait, of every kind: their order and what holds them up.")

_JOB = Annotated[
    str, typer.Argument(metavar="JOB", help="a job's id, or the name of the adapter it makes", show_default=False)
]
_COLUMNS = {
    "place": "queue_position",
    "job": "job",
    "kind": "kind",
    "state": "state",
    "priority": "priority",
    "labels": "labels",
    "model": "base_model_name",
    "dataset": "dataset_name",
    "why it waits": "waiting_reason",
    "id": "id",
}


@command(queue, "list", fields=options(queries.ListQueue), epilog="Example: tunebus queue list --kind fine_tuning_job")
def list_queue(call: Call, **fields: Any) -> None:
    """List the jobs that have not ended: running ones, then those that wait in their order, then held ones."""
    page = call.ask("ListQueue", **given(fields))
    if not call.machine:
        for job in page["items"]:
            job["job"] = job["adapter_name"] if job["kind"] == "fine_tuning_job" else "-"
    show_page(call, page, _COLUMNS, "nothing waits and nothing runs")


@command(
    queue,
    "hold",
    fields=options(commands.HoldJob, skip=("job_id",), values={"reason": "shown beside the job"}),
    epilog="Example: tunebus queue hold my-adapter --reason 'the machine is needed until tonight'",
)
def hold(call: Call, job: _JOB, **fields: Any) -> None:
    """Keep a job that waits from being started, until it is released."""
    _done(call, call.send("HoldJob", job_id=job, **given(fields)), "it is not started until it is released")


@command(queue, "release", epilog="Example: tunebus queue release my-adapter")
def release(call: Call, job: _JOB) -> None:
    """Let a held job be started again."""
    _done(call, call.send("ReleaseJob", job_id=job), "it waits for a worker")


@command(queue, "move", epilog="Example: tunebus queue move my-adapter top")
def move(
    call: Call,
    job: _JOB,
    to: Annotated[str, typer.Argument(metavar="up|down|top|bottom", help="where to", show_default=False)],
) -> None:
    """Change the order among the waiting jobs of the same kind and priority."""
    outcome = call.send("MoveJob", job_id=job, to=to)
    _done(call, outcome, _place(call, outcome))


@command(queue, "priority", epilog="Example: tunebus queue priority my-adapter 10")
def priority(
    call: Call,
    job: _JOB,
    priority: Annotated[int, typer.Argument(metavar="NUMBER", help="higher goes first", show_default=False)],
) -> None:
    """Change the priority of a job that waits. Write a negative one after --: queue priority JOB -- -5"""
    outcome = call.send("PrioritizeJob", job_id=job, priority=priority)
    _done(call, outcome, _place(call, outcome))


@command(queue, "depends", epilog="Example: tunebus queue depends EVALUATION_ID my-adapter")
def depends(
    call: Call,
    job: _JOB,
    others: Annotated[
        list[str] | None, typer.Argument(metavar="[OTHER]...", help="none: it depends on no job any longer")
    ] = None,
) -> None:
    """Let a job that waits start only when others have succeeded, in place of those it depended on."""
    _done(call, call.send("SetJobDependencies", job_id=job, depends_on=others or []), "done")


@command(queue, "label", epilog="Example: tunebus queue label my-adapter baseline faq")
def label(
    call: Call,
    job: _JOB,
    labels: Annotated[list[str] | None, typer.Argument(metavar="[LABEL]...", help="none: it has none")] = None,
) -> None:
    """Give a job of any state labels, in place of those it had. Lists find them: train list --label LABEL"""
    _done(call, call.send("LabelJob", job_id=job, labels=labels or []), "done")


@command(queue, "note", epilog="Example: tunebus queue note my-adapter 'the first one with cleaned questions'")
def note(
    call: Call,
    job: _JOB,
    notes: Annotated[str, typer.Argument(metavar="TEXT", help="what to remember of it", show_default=False)],
) -> None:
    """Write notes on a job of any state, in place of those it had."""
    _done(call, call.send("NoteJob", job_id=job, notes=notes), "done")


def _place(call: Call, outcome: Outcome) -> str:
    """Where the job stands now, in words."""
    if call.machine:
        return ""
    after = None
    while True:
        page = call.ask("ListQueue", limit=1000, **({"after": after} if after else {}))
        found: Mapping[str, Any] | None = next((job for job in page["items"] if job["id"] == outcome.id), None)
        if found is not None:
            return f"place {found['queue_position']}" if found["queue_position"] else str(found["waiting_reason"])
        after = page["next"]
        if after is None:
            return "done"


def _done(call: Call, outcome: Outcome, text: str) -> None:
    call.terminal.data(outcome.document(), Text(outcome.id or ""))
    call.terminal.note(escape(text))
