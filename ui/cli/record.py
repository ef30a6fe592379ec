"""`events` and `deadletter`: the record itself, and the messages that nobody could handle."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer
from rich.console import Group
from rich.markup import escape
from rich.table import Table
from tunebus.contracts import queries
from tunebus.contracts.rpc import RESEND_DEAD_LETTER
from tunebus.ui.cli.call import Call, command
from tunebus.ui.cli.entities import show_page
from tunebus.ui.cli.options import given, options
from tunebus.ui.cli.terminal import local_time, record, shortened

events = typer.Typer(no_args_is_help=True, help="What happened, in order.")
dead_letters = typer.Typer(no_args_is_help=True, help="Messages that nobody could handle, kept with the reason.")

_Number = Annotated[int, typer.Argument(metavar="ID", help="its number in the list", show_default=False)]
_EVENT_COLUMNS = {
    "position": "position",
    "recorded": "recorded",
    "entity": "entity",
    "event": "type",
    "by": "actor",
    "data": "data",
}


@command(
    events,
    "list",
    fields=options(queries.ListEvents),
    epilog="Example: tunebus events list --newest --aggregate dataset --limit 20",
)
def list_events(call: Call, **fields: Any) -> None:
    """List events in the order of their positions."""
    page = call.ask("ListEvents", **given(fields))
    if not call.machine:
        for event in page["items"]:
            event["recorded"] = local_time(event["recorded_at"])
            event["entity"] = f"{event['aggregate']}/{event['entity_id']}"
    show_page(call, page, _EVENT_COLUMNS, "nothing has happened yet")


@command(
    events,
    "tail",
    fields=options(queries.ListEvents, skip=tuple(set(queries.ListEvents.model_fields) - {"aggregate", "entity_id"})),
    epilog="Example: tunebus events tail --from 1 --aggregate fine_tuning_job",
)
def tail(
    call: Call,
    start: Annotated[
        int | None, typer.Option("--from", metavar="INTEGER", help="the first position; only new ones when not given")
    ] = None,
    **fields: Any,
) -> None:
    """Print events as they happen, until Ctrl-C."""
    for event in call.bus.events("live" if start is None else start, **given(fields)):
        text = f"{event.position:>6}  {local_time(event.time)}  {event.subject}  [bold]{event.type}[/]"
        call.terminal.line(event.model_dump(mode="json"), f"{text}  {escape(str(event.data))[:400]}")


@command(
    events,
    "diff",
    fields=options(queries.ListChanges),
    epilog="Example: tunebus events diff --from 120 --to 2026-01-31T09:30",
)
def diff(call: Call, **fields: Any) -> None:
    """Show what differs between the state after one moment and the state after a later one, field by field."""
    page = call.ask("ListChanges", **given(fields))
    if not call.machine and not page["items"]:
        call.terminal.note(f"nothing happened between positions {page['from']} and {page['to']}")
        return
    call.terminal.data(page, None if call.machine else Group(*map(_change, page["items"])))
    if page.get("next"):
        call.terminal.note(f"there is more: --after {page['next']}")


@command(events, "outcome", epilog="Example: tunebus events outcome 0197a3f2-7c00-7000-8000-00000000c001")
def outcome(
    call: Call,
    command_id: Annotated[str, typer.Argument(metavar="ID", help="the command's id", show_default=False)],
) -> None:
    """Say what became of a command that was not confirmed when it was sent: accepted, or why it was rejected."""
    found = call.ask("GetCommandOutcome", command_id=command_id)
    call.terminal.data(found, record(found))


def _change(item: Mapping[str, Any]) -> Table:
    """One entity: what happened to it, and each field before and after."""
    happened = ", ".join(f"{type} x{count}" if count > 1 else type for type, count in item["events"].items())
    name = f" {item['name']}" if item["name"] else ""
    title = f"{item['change']} {item['aggregate'].replace('_', ' ')}{name} ({item['id']}): {happened}"
    made = Table(box=None, title=escape(title), title_justify="left", pad_edge=False, show_header=False)
    made.add_column(style="dim", no_wrap=True)
    made.add_column(overflow="fold")
    made.add_column(overflow="fold")
    for field, values in item["fields"].items():
        if item["change"] == "changed":
            made.add_row(field, shortened(values["before"]), "-> " + shortened(values["after"]))
        elif item["change"] == "added" and values["after"] not in (None, "", [], {}):
            made.add_row(field, "", shortened(values["after"]))
    return made


@command(
    dead_letters,
    "list",
    fields=options(queries.ListDeadLetters),
    epilog="Example: tunebus deadletter list --limit 20",
)
def list_dead_letters(call: Call, **fields: Any) -> None:
    """List messages that nobody could handle."""
    page = call.ask("ListDeadLetters", **given(fields))
    if not call.machine:
        for letter in page["items"]:
            letter["seen"] = local_time(letter["seen_at"])
            letter["resent"] = local_time(letter.get("resent_at"))
    columns = {
        "id": "id",
        "seen": "seen",
        "subject": "subject",
        "bytes": "bytes",
        "reason": "reason",
        "resent": "resent",
    }
    show_page(call, page, columns, "there are no dead letters")


@command(dead_letters, "show", epilog="Example: tunebus deadletter show 3")
def show_dead_letter(call: Call, id: _Number) -> None:
    """Show one message with its headers, its bytes and why it ended here."""
    letter: Mapping[str, Any] = call.ask("GetDeadLetter", id=id)
    call.terminal.data(letter, record(letter))


@command(dead_letters, "resend", epilog="Example: tunebus deadletter resend 3")
def resend(call: Call, id: _Number) -> None:
    """Put one message on the bus again, as it was; its reason should be gone by now."""
    reply = call.call(RESEND_DEAD_LETTER, id=id)
    call.terminal.data(reply, record(reply))
