"""`train`: starting fine-tuning jobs, following them, and seeing what was asked for, what it resolved to, and why."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

import typer
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text
from tunebus.contracts import commands, queries
from tunebus.contracts.changes import command_for
from tunebus.contracts.errors import Code, TunebusError, fail
from tunebus.ui.cli import estimates
from tunebus.ui.cli.call import Call, command
from tunebus.ui.cli.entities import Identity, remove_job, show_page
from tunebus.ui.cli.options import as_options, given, options
from tunebus.ui.cli.sparkline import sparkline
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
    epilog="Example: tunebus train start --model starter --dataset faq --num-epochs 3 --watch",
)
def start(call: Call, watch: _WATCH = False, **fields: Any) -> None:
    """Queue a fine-tuning. A model and a dataset are enough; everything else has a sensible default."""
    outcome = call.send("StartFineTuningJob", **given(fields))
    assert outcome.id is not None
    if not watch or not call.machine:
        call.terminal.data(outcome.document(), Text(outcome.id))
    if not call.machine:
        with contextlib.suppress(TunebusError):  # it is queued, whatever becomes of this look
            for warning in call.ask("GetFineTuningJob", id=outcome.id)["warnings"]:
                call.terminal.note(f"[yellow]{escape(warning)}[/]")
    if watch:
        watch_to_the_end(call, outcome.id)
    else:
        call.terminal.note(placed("train", outcome.id, [outcome.id] if fields.get("hold") else []))


@command(
    train,
    "estimate",
    fields=options(queries.EstimateFineTuningJob, values={"dataset_fraction": "share of the rows to use"}),
    epilog="Example: tunebus train estimate --model small --dataset faq --batch-size 16",
)
def estimate(call: Call, **fields: Any) -> None:
    """Say what a fine-tuning would need: memory, steps, tokens, disk and time. Takes what `start` takes."""
    found = call.ask("EstimateFineTuningJob", **given(fields))
    call.terminal.data(found, None if call.machine else estimates.rendered(found))


@command(
    train,
    "list",
    fields=options(queries.ListFineTuningJobs),
    epilog="Example: tunebus train list --state running",
)
def list_jobs(call: Call, **fields: Any) -> None:
    """List jobs in the order added."""
    page = call.ask("ListFineTuningJobs", **given(fields))
    show_page(call, with_times(page), LIST_COLUMNS, "there are no jobs yet; see `tunebus train start --help`")
    for job in page["items"]:
        if job.get("waiting_reason"):
            call.terminal.note(f"{escape(job['adapter_name'])} waits: {escape(str(job['waiting_reason']))}")


@command(
    train,
    "show",
    fields=options(queries.GetFineTuningJob, skip=("id",)),
    epilog="Example: tunebus train show my-adapter",
)
def show(call: Call, id: Identity, **fields: Any) -> None:
    """Show a job: its state and why, what was asked, what it resolved to, its checkpoints and its adapter."""
    job = call.ask("GetFineTuningJob", id=id, **given(fields))
    call.terminal.data(job, None if call.machine else described(job))


@command(train, "watch", epilog="Example: tunebus train watch my-adapter")
def watch_job(call: Call, id: Identity) -> None:
    """Follow a job until it ends. Ctrl-C only stops looking; the exit code is 0 when the job has succeeded."""
    watch_to_the_end(call, str(call.ask("GetFineTuningJob", id=id)["id"]))


@command(
    train,
    "stop",
    fields=options(commands.StopFineTuningJob, skip=("id", "force")),
    epilog="Example: tunebus train stop my-adapter",
)
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


@command(train, "remove", epilog="Example: tunebus train remove my-adapter --delete-files")
def remove(
    call: Call,
    id: Identity,
    delete_files: Annotated[
        bool, typer.Option("--delete-files", help="its checkpoints and logs as well", show_default=False)
    ] = False,
) -> None:
    """Take a job that has ended out of the list. Its files stay until --delete-files says otherwise."""
    remove_job(call, "FineTuningJob", "fine_tuning_job", id, delete_files)


@command(
    train,
    "samples",
    fields=options(queries.GetSamples, skip=("job_id",), values={"since_step": "only answers of later steps"}),
    epilog="Example: tunebus train samples my-adapter",
)
def samples(call: Call, id: Identity, **fields: Any) -> None:
    """Show what the model answers to some held-out rows, base against now, at each evaluation."""
    found = call.ask("GetSamples", job_id=id, **given(fields))
    if not found["rows"] and not call.machine:
        call.terminal.note("nothing was answered yet; a job without held-out rows answers nothing")
        return
    call.terminal.data(found, None if call.machine else _samples(found))


@command(
    train,
    "metrics",
    fields=options(
        queries.GetMetrics,
        skip=("job_id",),
        values={
            "names": "only this curve, for example loss; may be repeated",
            "since_step": "only later steps",
            "points": "at most so many of each curve",
        },
    ),
    epilog="Example: tunebus train metrics my-adapter --name loss --name eval_loss",
)
def metrics(call: Call, id: Identity, **fields: Any) -> None:
    """Print what a job measured, step by step."""
    found = call.ask("GetMetrics", job_id=id, **given(fields))
    if call.machine or not found["series"]:
        call.terminal.data(found, None if call.machine else Text("nothing was measured yet"))
        return
    call.terminal.data(found, _curves(found["series"]))


@command(
    train,
    "system",
    fields=options(
        queries.GetSystemMetrics,
        skip=("job_id",),
        values={"names": "only this reading, for example cpu_percent; may be repeated", "since_time": "Unix seconds"},
    ),
    epilog="Example: tunebus train system my-adapter --name gpu0_percent --points 20",
)
def system(call: Call, id: Identity, **fields: Any) -> None:
    """Print how busy the machine was while a job ran; of a job of any kind, by its id."""
    found = call.ask("GetSystemMetrics", job_id=id, **given(fields))
    if call.machine or not found["series"]:
        call.terminal.data(found, None if call.machine else Text("nothing was measured yet"))
        return
    rows = [
        {
            "reading": name,
            "least": min(finite),
            "most": max(finite),
            "last": one["values"][-1],
            "over time": sparkline(finite),
        }
        for name, one in found["series"].items()
        if (finite := [value for value in one["values"] if isinstance(value, float)])
    ]
    call.terminal.data(found, table(rows, {name: name for name in ("reading", "least", "most", "last", "over time")}))


def add_logs(group: typer.Typer, name: str, example: str, what: str) -> None:
    """The command that prints what the process of a job said; the same for every kind of job."""

    @command(group, "logs", help=what, epilog=f"Example: tunebus {name} logs {example}")
    def logs(
        call: Call,
        id: Identity,
        attempt: Annotated[int | None, typer.Option(help="the newest when not given", show_default=False)] = None,
        follow_on: Annotated[bool, typer.Option("--follow", "-f", help="go on until the job ends")] = False,
        tail: Annotated[
            int | None, typer.Option(min=1, max=1_000_000, help="only the last so many bytes", show_default=False)
        ] = None,
        grep: Annotated[str | None, typer.Option(help="only lines that hold this text", show_default=False)] = None,
        level: Annotated[
            str | None,
            typer.Option(help="only lines of this level or a graver one", metavar="LEVEL", show_default=False),
        ] = None,
    ) -> None:
        if grep is None and level is None:
            _print_log(call, id, attempt, follow_on, tail)
        elif follow_on or tail is not None:
            raise fail(Code.INVALID, "cannot stand beside --grep or --level", param="follow" if follow_on else "tail")
        else:
            _print_found(call, id, {"attempt": attempt, "text": grep, "level": level.upper() if level else None})


add_logs(train, "train", "my-adapter --follow", "Print what the training process said.")


def _print_found(call: Call, job_id: str, wanted: dict[str, Any]) -> None:
    """Lines of a log that were searched for, as they are found."""
    after: int | None = 0
    while after is not None:
        answer = call.ask("SearchLog", job_id=job_id, after_offset=after, **given(wanted))
        for one in answer["items"]:
            call.terminal.output(one, one["text"] + "\n")
        after = answer["next"]


def _print_log(call: Call, job_id: str, attempt: int | None, follow_on: bool, tail: int | None = None) -> None:
    """An attempt's output, piece by piece; with `follow_on` until the job has ended."""
    offset = 0
    chosen = given({"attempt": attempt, "tail": tail})
    while True:
        answer = call.ask("GetLog", job_id=job_id, offset=offset, **chosen)
        if answer["text"] or not offset:
            call.terminal.output(answer, answer["text"])
        if answer["text"]:
            offset = answer["next_offset"]
            chosen = {"attempt": answer["attempt"]}
        elif answer.get("ended", True) or not follow_on:
            return
        else:
            time.sleep(0.5)


def followed(
    call: Call, kind: str, job_ids: Sequence[str], brief: Callable[[Mapping[str, Any]], dict[str, Any]], later: str
) -> list[dict[str, Any]]:
    """Jobs of one kind as they ended, watched meanwhile; a program gets a line of `brief` for each change. Who stops
    looking is told how to look again (`later`)."""
    try:
        return follow(
            call.ask,
            kind,
            job_ids,
            console=call.terminal.err,
            machine=call.machine,
            on_change=(lambda found: call.terminal.line(brief(found), "")) if call.machine else None,
        )
    except KeyboardInterrupt:
        call.terminal.note(f"\nno longer looking; {later}")
        raise


def watch_to_the_end(call: Call, job_id: str) -> None:
    """Follow a job; ends with an error when it has not succeeded."""
    job = followed(call, "FineTuningJob", [job_id], _brief, f"the job goes on: tunebus train watch {job_id}")[0]
    if job["state"] != "succeeded":
        raise not_succeeded(job)
    metrics = "  ".join(f"{name} {cell(value)}" for name, value in sorted((job.get("metrics") or {}).items()))
    call.terminal.note(f"[green]succeeded[/]  {metrics}")
    if job.get("adapter_id"):
        call.terminal.note(
            f"adapter {escape(job['adapter_name'])} is ready: tunebus eval start --adapter {job['adapter_name']}"
        )
    elif job.get("model_id"):
        name = call.ask("GetModel", id=job["model_id"])["name"]
        call.terminal.note(f"model {escape(name)} is ready: tunebus eval start --model {escape(name)}")
    else:
        call.terminal.note(f"not registered, as asked; the result is {escape(str(job.get('result_uri')))}")


def placed(group: str, watched: str, held: Sequence[str]) -> str:
    """What became of what was just sent: it waits for a worker, or, with the ids of jobs that are held, for somebody
    to release them."""
    if held:
        return "\n".join(f"[yellow]held[/] until it is released: tunebus queue release {job_id}" for job_id in held)
    return f"[green]queued[/]; follow it: tunebus {group} watch {watched}"


def not_succeeded(job: Mapping[str, Any], group: str = "train") -> TunebusError:
    """The error that a job's end means to who waited for it."""
    cause = f" ({job['cause']})" if job.get("cause") else ""
    if job["state"] == "stopped":
        return fail(Code.WRONG_STATE, f"the job was stopped at step {job['step']}{cause}")
    message = f": {job['message']}" if job.get("message") else ""
    return fail(
        Code.INTERNAL if job.get("cause") in (None, "crashed") else Code.INVALID,
        f"the job failed{cause}{message}",
        hint=job.get("hint") or f"see tunebus {group} logs {job['id']}",
    )


def with_times(page: dict[str, Any]) -> dict[str, Any]:
    """The page with the local time of adding beside each job, for the table alone."""
    for job in page["items"]:
        job.setdefault("added", local_time(job.get("created_at")))
    return page


def _brief(job: Mapping[str, Any]) -> dict[str, Any]:
    kept = ("id", "state", "cause", "message", "hint", "attempt", "progress", "waiting_reason", "adapter_id", "metrics")
    return {name: job.get(name) for name in kept}


def described(job: Mapping[str, Any]) -> Group:
    """All there is to say of a job, for a person."""
    head = dict(job)
    head.update({name: local_time(job.get(name)) for name in ("created_at", "started_at", "finished_at")})
    head["step"] = f"{job['step']}/{job['total_steps'] or '?'}"
    suggested = job.get("suggestion")
    ready = command_for(job["adapter_name"], suggested) if suggested else None
    head["suggestion"] = f"{as_options(suggested)}: {ready}" if suggested else None
    head["made_from"] = _origin(job.get("origin"))
    run = job.get("imported")
    head["imported_from"] = f"{run['source']}: {run['points']:,} points of {len(run['curves'])} curves" if run else None
    keys = [
        "adapter_name", "id", "state", "cause", "message", "hint", "suggestion", "waiting_reason",
        "queue_position", "priority", "labels", "notes", "step", "attempt",
        "host", "base_model_name", "dataset_name", "prompt_name", "method", "metrics", "created_at", "started_at",
        "finished_at", "adapter_id", "model_id", "made_from", "imported_from", "user_script", "out_dir", "warnings",
    ]  # fmt: skip
    parts: list[RenderableType] = [record(head, keys)]
    if not run:
        parts += [Text(), resolved(job)]
    if (measured := estimates.against_measured(job)) is not None:
        parts += [Text(), measured]
    if job.get("attempts_made"):
        shown = [{**one, "started": local_time(one.get("started_at"))} for one in job["attempts_made"]]
        columns = {"attempt": "attempt", "state": "state", "cause": "cause", "started": "started",
                   "host": "host", "from step": "resumed_from_step", "message": "message"}  # fmt: skip
        parts.append(table(shown, columns, title="attempts"))
    if job.get("checkpoints"):
        columns = {"step": "step", "attempt": "attempt", "loss": "loss", "held-out loss": "eval_loss",
                   "best so far": "best", "where": "uri"}  # fmt: skip
        parts.append(table(job["checkpoints"], columns, title="checkpoints"))
    return Group(*parts)


def _origin(origin: Mapping[str, Any] | None) -> str | None:
    """What a job was made from, and what is different from that."""
    if not origin:
        return None
    where = f", step {origin['step']}" if origin.get("step") is not None else ""
    changes = ", ".join(f"{name} {old} -> {new}" for name, (old, new) in (origin.get("difference") or {}).items())
    return f"{origin['kind']} of {origin['job_id']}{where}" + (f": {changes}" if changes else "")


def _curves(series: Mapping[str, Any]) -> Table:
    """A line a step, a column a name."""
    measured = {name: dict(zip(one["steps"], one["values"], strict=True)) for name, one in series.items()}
    steps = sorted({step for values in measured.values() for step in values})
    rows = [{"step": step, **{name: values.get(step) for name, values in measured.items()}} for step in steps]
    return table(rows, {"step": "step", **{name: name for name in measured}})


def _samples(found: Mapping[str, Any]) -> Group:
    """Each row with its right answer, the base model's, and the model's at each evaluation."""
    parts: list[RenderableType] = []
    for one in found["rows"]:
        made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False)
        made.add_column(style="dim")
        made.add_column(overflow="fold")
        made.add_row("asked", escape(one["prompt"]))
        made.add_row("right", escape(one["reference"]), style="green")
        made.add_row("base", cell(one["base"]))
        for answer in one["answers"]:
            made.add_row(f"step {answer['step']}", escape(answer["answer"]))
        parts += [made, Text()]
    return Group(*parts)


def _cause(why: str, reason: str | None) -> str:
    return f"{why}: {reason}" if reason else why


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
    reasons = recipe.get("reasons") or {}
    for name in ("method", "text_format", "num_cpu", "num_gpu", "num_memory_gb"):
        value = recipe.get(name)
        came_to = ran.get("threads" if name == "num_cpu" else name, value)
        why = _cause(sources.get(name) or "default", reasons.get(name))
        if value is None and name == "num_cpu" and came_to is not None:
            why = "the worker's share of the machine"
        made.add_row(name, _asked(asked, "", name), cell(came_to), why)
    source = recipe.get("dataset") or {}
    for name, value in (
        ("prompt", job.get("prompt_name") or ("generated" if source.get("prompt") else source.get("format"))),
        ("dataset_fraction", source.get("dataset_fraction")),
        ("train_test_split", source.get("train_test_split")),
    ):
        why = _cause(sources.get(name) or "default", reasons.get(name))
        made.add_row(name, _asked(asked, "", name), cell(value), why)
    for part in ("training_arguments", "lora"):
        for name, value in (recipe.get(part) or {}).items():
            came_to = ran.get(name, value) if value is None else value
            why = _cause(sources.get(name) or sources.get(f"{part}.{name}") or "default", reasons.get(name))
            if value is None and came_to is not None:
                why = "the data and the machine"
            made.add_row(name, _asked(asked, part, name), cell(came_to), why)
    return made


_ASKED_AS = {
    "num_train_epochs": "num_epochs",
    "per_device_train_batch_size": "batch_size",
    "num_memory_gb": "num_memory",
    "prompt": "prompt_id",
}


def _asked(asked: Mapping[str, Any], part: str, name: str) -> str:
    value = asked.get(_ASKED_AS.get(name, name))
    if value is None and isinstance(asked.get(part), Mapping):
        value = asked[part].get(name)
    return cell(value) if value is not None else ""
