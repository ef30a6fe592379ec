"""What goes to the terminal: data to stdout, messages to stderr, JSON where a program reads. It asks nobody."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from rich import box
from rich.console import Console, ConsoleOptions, RenderableType
from rich.markup import escape
from rich.segment import Segment
from rich.table import Table
from rich.text import Text
from tunebus.contracts.errors import Problem
from tunebus.contracts.texts import CONTROLS, plain, visible, visible_json

_WIDE = 240  # columns for a pipe: there is nothing to fit into, and nothing may be cut off

STATE_COLOURS = {
    "succeeded": "green", "ready": "green", "running": "cyan", "starting": "cyan", "queued": "blue", "held": "yellow",
    "stopping": "yellow", "stopped": "yellow", "interrupted": "yellow", "restarting": "yellow", "failed": "red",
    "failing": "red", "accepted": "green", "rejected": "red",
}  # fmt: skip


class _Console(Console):
    """Lets no text command the terminal: what it must not be shown is spelt out, before columns get their widths."""

    def render_str(self, text: str, **options: Any) -> Text:
        return super().render_str(visible(text), **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        return super().render(_shown(renderable) if isinstance(renderable, Text) else renderable, options)


def _shown(text: Text) -> Text:
    places = {place for found in CONTROLS.finditer(text.plain) for place in found.span()}
    made = text.blank_copy()
    for piece in text.divide(sorted(places)):
        made.append(visible(piece.plain)) if CONTROLS.search(piece.plain) else made.append_text(piece)
    return made if places else text


class Terminal:
    """stdout and stderr of one invocation. With `machine`, stdout carries JSON and errors are JSON as well."""

    def __init__(self, *, machine: bool = False) -> None:
        self.machine = machine
        self.out = _Console(highlight=False, width=None if sys.stdout.isatty() else _WIDE)
        self.err = _Console(highlight=False, stderr=True)

    def data(self, document: Any, rendering: RenderableType | None = None) -> None:
        """The answer: as JSON for a program, rendered for a person."""
        if self.machine or rendering is None:
            self.document(document, indent=2 if sys.stdout.isatty() else None)
        else:
            self.out.print(rendering)

    def document(self, document: Any, *, indent: int | None = None) -> None:
        """JSON for a program."""
        print(visible_json(json.dumps(document, indent=indent, ensure_ascii=False)), flush=True)

    def line(self, document: Any, text: str) -> None:
        """One line of a stream: compact JSON, or `text` as it is."""
        if self.machine:
            self.document(document)
        else:
            self.out.print(text, soft_wrap=True)

    def output(self, document: Any, text: str) -> None:
        """What a process printed, piece by piece."""
        if self.machine:
            self.document(document)
        else:
            print(plain(text), end="", flush=True)

    def note(self, text: str) -> None:
        """A message for a person beside the data; a program gets none."""
        if not self.machine:
            self.err.print(text, soft_wrap=True)

    def problem(self, problem: Problem) -> None:
        """An error: its JSON form for a program; else what is wrong in red, field by field, each with its way out."""
        if self.machine:
            print(visible_json(json.dumps(problem.document(), ensure_ascii=False)), file=sys.stderr, flush=True)
            return
        for one in problem.details or [problem]:
            where = f"{one.param}: " if one.param else ""
            self.err.print(f"[red]{escape(where + one.message)}[/]", soft_wrap=True)
            if one.hint:
                self.err.print(f"  hint: {escape(one.hint)}", soft_wrap=True)


def table(
    rows: Sequence[Mapping[str, Any]], columns: Mapping[str, str], *, title: str | None = None
) -> Table:  # fmt: skip
    """A table of chosen columns: `columns` maps a heading to a key of the rows (dots reach inside)."""
    made = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left", pad_edge=False)
    for heading, key in columns.items():
        numeric = any(isinstance(inside(row, key), int | float) for row in rows)
        made.add_column(escape(heading), overflow="fold", justify="right" if numeric else "left")
    for row in rows:
        made.add_row(*(cell(inside(row, key)) for key in columns.values()))
    return made


def record(document: Mapping[str, Any], keys: Sequence[str] | None = None) -> Table:
    """One entity, a field a line; empty fields are left out."""
    made = Table.grid(padding=(0, 2))
    made.add_column(style="dim", no_wrap=True)
    made.add_column(overflow="fold")
    for key in keys or list(document):
        value = document.get(key)
        if value not in (None, "", [], {}):
            made.add_row(key, cell(value))
    return made


def inside(document: Mapping[str, Any], path: str) -> Any:
    """The value at a dotted path, or None."""
    value: Any = document
    for part in path.split("."):
        if not isinstance(value, Mapping):
            return None
        value = value.get(part)
    return value


def cell(value: Any) -> str:
    """A value as a table shows it, with markup escaped and states coloured."""
    if value is None:
        return "[dim]-[/]"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1e4 else f"{value:.4g}"
    if isinstance(value, str):
        colour = STATE_COLOURS.get(value)
        return f"[{colour}]{value}[/]" if colour else escape(value)
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return escape(", ".join(value))
    if isinstance(value, Mapping) and all(isinstance(each, int | float | None) for each in value.values()):
        return escape(", ".join(f"{key} {'-' if each is None else cell(each)}" for key, each in value.items()))
    if isinstance(value, Mapping | list):
        return escape(json.dumps(value, ensure_ascii=False))
    return str(value)


def shortened(value: Any, characters: int = 300) -> str:
    """A value of unknown length as a table shows it."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return cell(value) if len(text) <= characters else escape(text[:characters]) + " [dim]…[/]"


def local_time(text: str | None) -> str | None:
    """An RFC 3339 time as the clock on the wall here shows it."""
    if not text:
        return None
    try:
        return datetime.fromisoformat(text.replace("Z", "+00:00")).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    except ValueError:
        return text


def duration(seconds: float) -> str:
    """`75` as `1:15`, with hours where there are any."""
    whole = max(0, round(seconds))
    hours, minutes, rest = whole // 3600, whole % 3600 // 60, whole % 60
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def byte_size(count: float) -> str:
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} GiB"
