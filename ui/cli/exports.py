"""`export`: an adapter, a merged model or a version in MLflow's registry, and whether it answers the same."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer
from rich.console import Group
from rich.text import Text
from tunebus.contracts import commands, queries
from tunebus.ui.cli.call import Call, absolute, command
from tunebus.ui.cli.entities import Identity, remove_job, show_page
from tunebus.ui.cli.options import given, options
from tunebus.ui.cli.terminal import local_time, record
from tunebus.ui.cli.training import add_logs, followed, not_succeeded, with_times

exports = typer.Typer(no_args_is_help=True, help="Export jobs: adapters and models out of the studio, verified.")

LIST_COLUMNS = {
    "adapter": "adapter_name",
    "model": "base_model_name",
    "type": "type",
    "state": "state",
    "same answers": "same",
    "where": "where",
    "added": "added",
    "id": "id",
}


@command(
    exports,
    "start",
    fields=options(
        commands.StartExportJob,
        skip=("destination",),
        values={
            "type": "adapter, merged or registry",
            "model_id": "a model to export as it is, by id or name",
            "adapter_id": "an adapter to export, by id or name",
        },
    ),
    epilog="Example: tunebus export start --adapter my-adapter --type merged --destination ~/models/mine --watch",
)
def start(
    call: Call,
    destination: Annotated[
        str | None,
        typer.Option(metavar="DIR", help="an empty folder, or one to make; chosen when not given", show_default=False),
    ] = None,
    watch: Annotated[bool, typer.Option("--watch", help="follow it until it ends", show_default=False)] = False,
    **fields: Any,
) -> None:
    """Queue an export: the adapter alone, the merged model, or a version in MLflow's model registry.

    It is reloaded and asked the same 20 questions before it counts as done.
    """
    where = {} if destination is None else {"destination": absolute(destination, "destination")}
    outcome = call.send("StartExportJob", **where, **given(fields))
    job_id = str(outcome.id)
    if not watch or not call.machine:
        call.terminal.data(outcome.document(), Text(job_id))
    if watch:
        watch_to_the_end(call, job_id)
    else:
        call.terminal.note(f"[green]queued[/]; follow it: tunebus export watch {job_id}")


@command(
    exports, "list", fields=options(queries.ListExportJobs), epilog="Example: tunebus export list --adapter my-adapter"
)
def list_jobs(call: Call, **fields: Any) -> None:
    """List exports in the order added."""
    page = with_times(call.ask("ListExportJobs", **given(fields)))
    shown = page | {"items": [job if call.machine else {**job, **_summary(job)} for job in page["items"]]}
    show_page(call, shown, LIST_COLUMNS, "there are no exports yet; see `tunebus export start --help`")


@command(exports, "show", fields=options(queries.GetExportJob, skip=("id",)), epilog="Example: tunebus export show ID")
def show(call: Call, id: Identity, **fields: Any) -> None:
    """Show an export: where it went, what was checked, and why it failed if it did."""
    job = call.ask("GetExportJob", id=id, **given(fields))
    call.terminal.data(job, None if call.machine else _job(job))


@command(exports, "watch", epilog="Example: tunebus export watch ID")
def watch_job(call: Call, id: Identity) -> None:
    """Follow an export until it ends. Ctrl-C only stops looking."""
    watch_to_the_end(call, id)


@command(exports, "stop", epilog="Example: tunebus export stop ID --force")
def stop(
    call: Call,
    id: Identity,
    force: Annotated[bool, typer.Option("--force", help="at once", show_default=False)] = False,
) -> None:
    """Stop an export after its present step. Nothing of it stands at its destination."""
    outcome = call.send("StopExportJob", id=id, force=force)
    call.terminal.data(outcome.document(), Text(str(outcome.id)))
    call.terminal.note("the export is asked to stop")


@command(exports, "remove", epilog="Example: tunebus export remove ID")
def remove(
    call: Call,
    id: Identity,
    delete_files: Annotated[
        bool, typer.Option("--delete-files", help="its logs as well; never what it exported", show_default=False)
    ] = False,
) -> None:
    """Take an export that has ended out of the list. What it wrote to its destination stays."""
    remove_job(call, "ExportJob", "export_job", id, delete_files)


add_logs(exports, "export", "ID --grep error --level WARNING", "Print what the exporting process said.")


def watch_to_the_end(call: Call, job_id: str) -> None:
    """Follow an export; ends with an error when it has not succeeded."""
    job = followed(call, "ExportJob", [job_id], _brief, f"the export goes on: tunebus export watch {job_id}")[0]
    if job["state"] != "succeeded":
        raise not_succeeded(job, "export")
    summary = _summary(job)
    call.terminal.note(f"[green]exported[/] to {summary['where']}; the same greedy answers: {summary['same']}")


def _summary(job: Mapping[str, Any]) -> dict[str, Any]:
    checked = job.get("checked")
    return {
        "same": f"{checked['equal']} of {checked['prompts']}" if checked else None,
        "where": job.get("registered_model") or job.get("destination") or "MLflow's registry",
    }


def _brief(job: Mapping[str, Any]) -> dict[str, Any]:
    kept = ("id", "state", "cause", "message", "hint", "progress", "waiting_reason", "destination", "checked",
            "registered_model")  # fmt: skip
    return {name: job.get(name) for name in kept}


def _job(job: Mapping[str, Any]) -> Group:
    head = {**job, **_summary(job)}
    head.update({name: local_time(job.get(name)) for name in ("created_at", "started_at", "finished_at")})
    head["checked"] = ", ".join(f"{name} {value}" for name, value in (job.get("checked") or {}).items())
    keys = [
        "id", "type", "adapter_name", "base_model_name", "state", "cause", "message", "hint", "waiting_reason",
        "where", "checked", "registered_model", "result_sha256", "created_at", "started_at", "finished_at", "labels",
        "notes", "warnings",
    ]  # fmt: skip
    return Group(record(head, keys))
