"""`train retry`, `resume`, `clone`, `branch`, `extend`, `rerun` and `compare`: what comes after a job's end."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.text import Text
from tunebus.contracts import commands, queries
from tunebus.contracts.errors import Code, fail
from tunebus.ui.cli.call import Call, command
from tunebus.ui.cli.entities import Identity
from tunebus.ui.cli.options import given, options
from tunebus.ui.cli.terminal import cell, record, table
from tunebus.ui.cli.training import train, watch_to_the_end

if TYPE_CHECKING:
    from tunebus.contracts.envelope import Outcome

__all__ = ["train"]

Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="FIELD=VALUE", help="a field of `train start` and its value; null for none", show_default=False
    ),
]
_WATCH = Annotated[bool, typer.Option("--watch", help="follow it until it ends", show_default=False)]
_VERDICTS = {
    "equal": "[green]equal[/]: every number is the same",
    "within_tolerance": "[green]within the tolerance[/]",
    "parts": "[yellow]they part[/]",
    "nothing": "[yellow]nothing to compare[/]",
}


@command(
    train, "retry", fields=options(commands.RetryFineTuningJob, skip=("id", "suggested")),
    epilog="Example: tunebus train retry my-adapter --suggested",
)  # fmt: skip
def retry(
    call: Call,
    id: Identity,
    suggested: Annotated[
        bool, typer.Option("--suggested", help="with the change that its failure suggests", show_default=False)
    ] = False,
    watch: _WATCH = False,
    **fields: Any,
) -> None:
    """Queue a failed or stopped job again, from its newest checkpoint."""
    outcome = call.send("RetryFineTuningJob", id=id, suggested=suggested, **given(fields))
    _again(call, outcome, watch)


@command(
    train, "resume", fields=options(commands.ResumeFineTuningJob, skip=("id",)),
    epilog="Example: tunebus train resume my-adapter --step 40",
)  # fmt: skip
def resume(call: Call, id: Identity, watch: _WATCH = False, **fields: Any) -> None:
    """Let a stopped or failed job go on from a checkpoint: the newest, or that of --step."""
    _again(call, call.send("ResumeFineTuningJob", id=id, **given(fields)), watch)


@command(
    train, "clone", fields=options(commands.CloneFineTuningJob, skip=("id", "changes")),
    epilog="Example: tunebus train clone my-adapter --set learning_rate=1e-4 --set num_epochs=2",
)  # fmt: skip
def clone(call: Call, id: Identity, settings: Settings = None, watch: _WATCH = False, **fields: Any) -> None:
    """Queue a new job that asks for what another asked for, with changes."""
    _new(call, call.send("CloneFineTuningJob", id=id, changes=changes(settings), **given(fields)), watch)


@command(
    train, "branch", fields=options(commands.BranchFineTuningJob, skip=("id", "changes")),
    epilog="Example: tunebus train branch my-adapter --step 40 --set learning_rate=1e-4",
)  # fmt: skip
def branch(call: Call, id: Identity, settings: Settings = None, watch: _WATCH = False, **fields: Any) -> None:
    """Queue a new job that goes on from the weights of another's checkpoint."""
    _new(call, call.send("BranchFineTuningJob", id=id, changes=changes(settings), **given(fields)), watch)


@command(
    train, "extend", fields=options(commands.ExtendFineTuningJob, skip=("id",)),
    epilog="Example: tunebus train extend my-adapter --num-epochs 1",
)  # fmt: skip
def extend(call: Call, id: Identity, watch: _WATCH = False, **fields: Any) -> None:
    """Queue a new job that trains the result of a finished one for longer."""
    _new(call, call.send("ExtendFineTuningJob", id=id, **given(fields)), watch)


@command(
    train, "rerun", fields=options(commands.RerunFineTuningJob, skip=("id",)),
    epilog="Example: tunebus train rerun my-adapter",
)  # fmt: skip
def rerun(
    call: Call,
    id: Identity,
    no_wait: Annotated[bool, typer.Option("--no-wait", help="only queue it", show_default=False)] = False,
    **fields: Any,
) -> None:
    """Repeat a training exactly, and say whether it came to the same."""
    outcome = call.send("RerunFineTuningJob", id=id, **given(fields))
    assert outcome.id is not None
    if no_wait:
        _new(call, outcome, watch=False)
        return
    watch_to_the_end(call, outcome.id)
    _show_comparison(call, call.ask("CompareRuns", job_id=id, other_id=outcome.id))


@command(
    train, "compare", fields=options(queries.CompareRuns, skip=("job_id", "other_id")),
    epilog="Example: tunebus train compare my-adapter my-adapter-again",
)  # fmt: skip
def compare(
    call: Call,
    id: Identity,
    other: Annotated[str, typer.Argument(metavar="OTHER", help="an id or a name", show_default=False)],
    **fields: Any,
) -> None:
    """Say whether two trainings measured the same, where they part, and which settings differ."""
    found = call.ask("CompareRuns", job_id=id, other_id=other, **given(fields))
    settings = differences(call.ask("GetFineTuningJob", id=id), call.ask("GetFineTuningJob", id=other))
    _show_comparison(call, {**found, "settings": settings})


def changes(settings: list[str] | None) -> dict[str, Any]:
    """`FIELD=VALUE` pairs; a value is JSON where it reads as such, else a text. Errors: `invalid`."""
    found = {}
    for pair in settings or ():
        name, equals, text = pair.partition("=")
        if not (name and equals):
            raise fail(
                Code.INVALID, f"{pair!r} is no FIELD=VALUE", param="changes", hint="for example --set num_epochs=2"
            )
        try:
            found[name.strip().replace("-", "_")] = json.loads(text)
        except ValueError:
            found[name.strip().replace("-", "_")] = text
    return found


def differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, list[Any]]:
    """The settings of two jobs' recipes that are not the same, by dotted name: [one's, the other's]."""
    before, after = dict(_flat(one.get("recipe") or {})), dict(_flat(other.get("recipe") or {}))
    names = sorted(before.keys() | after.keys())
    own = {"adapter_name"}
    return {
        name: [before.get(name), after.get(name)]
        for name in names
        if before.get(name) != after.get(name) and name.split(".")[0] not in {"sources", "reasons"} | own
    }


def _flat(document: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    items: list[tuple[str, Any]] = []
    for name, value in document.items():
        if isinstance(value, dict):
            items += _flat(value, f"{prefix}{name}.")
        else:
            items.append((f"{prefix}{name}", value))
    return items


def _again(call: Call, outcome: Outcome, watch: bool) -> None:
    assert outcome.id is not None
    if not watch or not call.machine:
        call.terminal.data(outcome.document(), Text(outcome.id))
    job = call.ask("GetFineTuningJob", id=outcome.id)
    if job.get("changes") and not call.machine:
        call.terminal.note(_changed(job["changes"]))
    if watch:
        watch_to_the_end(call, outcome.id)
    else:
        call.terminal.note(f"[green]queued again[/]; follow it: tunebus train watch {outcome.id}")


def _new(call: Call, outcome: Outcome, watch: bool) -> None:
    assert outcome.id is not None
    if not watch or not call.machine:
        call.terminal.data(outcome.document(), Text(outcome.id))
    if not call.machine:
        job = call.ask("GetFineTuningJob", id=outcome.id)
        call.terminal.note(f"[green]{escape(job['adapter_name'])} is queued[/]")
        difference = (job.get("origin") or {}).get("difference")
        if difference:
            call.terminal.note(_changed(difference))
    if watch:
        watch_to_the_end(call, outcome.id)


def _changed(difference: Mapping[str, Any]) -> str:
    pairs = (f"{escape(name)} {cell(before)} -> {cell(after)}" for name, (before, after) in difference.items())
    return "; ".join(pairs)


def _show_comparison(call: Call, found: Mapping[str, Any]) -> None:
    if call.machine:
        call.terminal.data(found, None)
        return
    where = f" at step {found['step']}, in {found['name']}" if found["step"] is not None else ""
    parts: list[RenderableType] = [
        Text.from_markup(_VERDICTS[found["verdict"]] + where),
        record(
            {
                "largest relative difference": found["max_difference"],
                "points": found["points"],
                "of": ", ".join(found["compared"]),
                "points of one alone": found["missing"],
            }
        ),
    ]
    for title in ("versions", "settings"):
        rows = [{"name": name, "first": one, "second": two} for name, (one, two) in (found.get(title) or {}).items()]
        if rows:
            parts.append(
                table(rows, {"name": "name", "first": "first", "second": "second"}, title=f"{title} that differ")
            )
    call.terminal.data(found, Group(*parts))
