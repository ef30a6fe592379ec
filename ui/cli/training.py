"""`train`: starting fine-tuning jobs, following them, and seeing what was asked for, what it resolved to, and why."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Annotated, Any

import typer
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text
from tunebus.contracts import commands, queries
from tunebus.contracts.errors import Code, TunebusError, fail
from tunebus.ui.cli.call import Call, command
from tunebus.ui.cli.entities import Identity, show_page
from tunebus.ui.cli.options import given, options
from tunebus.ui.cli.terminal import cell, local_time, record, table
from tunebus.ui.cli.watching import follow

train = typer.Typer(no_args_is_help=True, help="Fine-tuning jobs.")

LIST_COLUMNS = {
    "adapter": "adapter_name",
    "state": "state",
    "step": "progress.step",
    "of": "progress.total",
    "model": "base_model_name",
    "dataset": "dataset_name",
    "added": "added",
    "id": "id",
}
_WATCH = Annotated[bool, typer.Option("--watch", help="follow it until it ends", show_default=False)]


@command(
    train,
    "start",
    fields=options(commands.StartFineTuningJob, values={"dataset_fraction": "share of the rows to use"}),
)
def start(call: Call, watch: _WATCH = False, **fields: Any) -> None:
    """Queue a fine-tuning. A model and a dataset are enough; everything else has a sensible default."""
    outcome = call.send("StartFineTuningJob", **given(fields))
    assert outcome.id is not None
    if not watch or not call.machine:
        call.terminal.data(outcome.document(), Text(outcome.id))
    if watch:
        watch_to_the_end(call, outcome.id)
    else:
        call.terminal.note(f"[green]queued[/]; follow it: tunebus train watch {outcome.id}")


@command(train, "list", fields=options(queries.ListFineTuningJobs))
def list_jobs(call: Call, **fields: Any) -> None:
    """List jobs in the order added."""
    page = call.ask("ListFineTuningJobs", **given(fields))
    show_page(call, with_times(page), LIST_COLUMNS, "there are no jobs yet; see `tunebus train start --help`")
    for job in page["items"]:
        if job.get("waiting_reason"):
            call.terminal.note(f"{escape(job['adapter_name'])} waits: {escape(str(job['waiting_reason']))}")


@command(train, "show")
def show(call: Call, id: Identity) -> None:
    """Show a job: its state and why, what was asked, what it resolved to, its checkpoints and its adapter."""
    job = call.ask("GetFineTuningJob", id=id)
    call.terminal.data(job, None if call.machine else _job(job))


@command(train, "watch")
def watch_job(call: Call, id: Identity) -> None:
    """Follow a job until it ends. Ctrl-C only stops looking; the exit code is 0 when the job has succeeded."""
    watch_to_the_end(call, str(call.ask("GetFineTuningJob", id=id)["id"]))


@command(train, "stop", fields=options(commands.StopFineTuningJob, skip=("id", "force")))
def stop(
    call: Call,
    id: Identity,
    force: Annotated[
        bool, typer.Option("--force", help="at once, without a last checkpoint", show_default=False)
    ] = False,
    **fields: Any,
) -> None:
    """Stop a job: after its next checkpoint, or at once with --force."""
    outcome = call.send("StopFineTuningJob", id=id, **({"force": True} if force else {}), **given(fields))
    call.terminal.data(outcome.document(), Text(outcome.id or ""))
    call.terminal.note("the job is asked to stop")


@command(train, "logs")
def logs(
    call: Call,
    id: Identity,
    attempt: Annotated[int | None, typer.Option(help="the newest when not given", show_default=False)] = None,
    follow_on: Annotated[bool, typer.Option("--follow", "-f", help="go on until the job ends")] = False,
) -> None:
    """Print what the training process said."""
    print_log(call, id, attempt, follow_on)


def print_log(call: Call, job_id: str, attempt: int | None, follow_on: bool) -> None:
    """An attempt's output, piece by piece; with `follow_on` until the job has ended."""
    offset = 0
    chosen = {"attempt": attempt} if attempt is not None else {}
    while True:
        answer = call.ask("GetLog", job_id=job_id, offset=offset, **chosen)
        if call.machine:
            if answer["text"] or not offset:
                print(json.dumps(answer, ensure_ascii=False), flush=True)
        else:
            print(answer["text"], end="", flush=True)
        if answer["text"]:
            offset = answer["next_offset"]
            chosen = {"attempt": answer["attempt"]}
        elif answer.get("ended", True) or not follow_on:
            return
        else:
            time.sleep(0.5)


def watch_to_the_end(call: Call, job_id: str) -> None:
    """Follow a job; ends with an error when it has not succeeded."""
    try:
        job = follow(
            call.ask,
            "FineTuningJob",
            [job_id],
            console=call.terminal.err,
            machine=call.machine,
            on_change=(lambda found: call.terminal.line(_brief(found), "")) if call.machine else None,
        )[0]
    except KeyboardInterrupt:
        call.terminal.note(f"\nno longer looking; the job goes on: tunebus train watch {job_id}")
        raise
    if job["state"] != "succeeded":
        raise not_succeeded(job)
    metrics = "  ".join(f"{name} {cell(value)}" for name, value in sorted((job.get("metrics") or {}).items()))
    call.terminal.note(f"[green]succeeded[/]  {metrics}")
    if job.get("adapter_id"):
        call.terminal.note(
            f"adapter {escape(job['adapter_name'])} is ready: tunebus eval start --adapter {job['adapter_name']}"
        )


def not_succeeded(job: Mapping[str, Any]) -> TunebusError:
    """The error that a job's end means to who waited for it."""
    cause = f" ({job['cause']})" if job.get("cause") else ""
    if job["state"] == "stopped":
        return fail(Code.WRONG_STATE, f"the job was stopped at step {job['step']}{cause}")
    message = f": {job['message']}" if job.get("message") else ""
    return fail(
        Code.INTERNAL if job.get("cause") in (None, "crashed") else Code.INVALID,
        f"the job failed{cause}{message}",
        hint=job.get("hint") or f"see tunebus train logs {job['id']}",
    )


def with_times(page: dict[str, Any]) -> dict[str, Any]:
    """The page with the local time of adding beside each job, for the table alone."""
    for job in page["items"]:
        job.setdefault("added", local_time(job.get("created_at")))
    return page


def _brief(job: Mapping[str, Any]) -> dict[str, Any]:
    kept = ("id", "state", "cause", "message", "hint", "attempt", "progress", "waiting_reason", "adapter_id", "metrics")
    return {name: job.get(name) for name in kept}


def _job(job: Mapping[str, Any]) -> Group:
    head = dict(job)
    head.update({name: local_time(job.get(name)) for name in ("created_at", "started_at", "finished_at")})
    head["step"] = f"{job['step']}/{job['total_steps'] or '?'}"
    keys = [
        "adapter_name", "id", "state", "cause", "message", "hint", "waiting_reason", "step", "attempt", "host",
        "base_model_name", "dataset_name", "prompt_name", "method", "metrics", "created_at", "started_at",
        "finished_at", "adapter_id", "out_dir", "warnings",
    ]  # fmt: skip
    parts: list[RenderableType] = [record(head, keys), Text(), resolved(job)]
    if job.get("attempts_made"):
        shown = [{**one, "started": local_time(one.get("started_at"))} for one in job["attempts_made"]]
        columns = {"attempt": "attempt", "state": "state", "cause": "cause", "started": "started",
                   "host": "host", "from step": "resumed_from_step", "message": "message"}  # fmt: skip
        parts.append(table(shown, columns, title="attempts"))
    if job.get("checkpoints"):
        columns = {"step": "step", "attempt": "attempt", "loss": "loss", "held-out loss": "eval_loss", "where": "uri"}
        parts.append(table(job["checkpoints"], columns, title="checkpoints"))
    return Group(*parts)


def resolved(job: Mapping[str, Any]) -> Table:
    """Each setting with what was asked, what it came to, and which of command, config or default said so."""
    recipe, asked = job.get("recipe") or {}, job.get("asked") or {}
    sources = recipe.get("sources") or {}
    ran: Mapping[str, Any] = next(
        (one["resolved"] for one in reversed(job.get("attempts_made") or []) if one.get("resolved")), {}
    )
    made = Table(title="settings", title_justify="left", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for heading in ("setting", "asked", "resolved", "because of"):
        made.add_column(heading, overflow="fold", header_style="dim")
    for part in ("training_arguments", "lora"):
        for name, value in (recipe.get(part) or {}).items():
            came_to = ran.get(name, value) if value is None else value
            why = sources.get(name) or sources.get(f"{part}.{name}") or "default"
            if value is None and came_to is not None:
                why = "the data and the machine"
            made.add_row(name, _asked(asked, part, name), cell(came_to), why)
    return made


_ASKED_AS = {
    "num_train_epochs": "num_epochs",
    "per_device_train_batch_size": "batch_size",
}


def _asked(asked: Mapping[str, Any], part: str, name: str) -> str:
    value = asked.get(_ASKED_AS.get(name, name))
    if value is None and isinstance(asked.get(part), Mapping):
        value = asked[part].get(name)
    return cell(value) if value is not None else ""
