"""HTML fragments of the pages, as text. Everything that comes from data is escaped here and nowhere else."""

from __future__ import annotations

import html
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Any
from urllib.parse import quote

from tunebus.contracts.errors import Problem
from tunebus.contracts.identifiers import short
from tunebus.ui.web.icons import LINES

VOID = frozenset({"br", "hr", "img", "input", "meta"})


class Markup(str):
    """Text that is HTML already; everything else is escaped on its way into a fragment."""

    __slots__ = ()


def text(value: object) -> Markup:
    """A value as people read it: escaped, a dash for nothing, few digits."""
    if isinstance(value, Markup):
        return value
    if value is None:
        return Markup("–")
    if isinstance(value, bool):
        return Markup("yes" if value else "no")
    if isinstance(value, float):
        return Markup(number(value))
    return Markup(html.escape(str(value)))


def number(value: float, digits: int = 4) -> str:
    """A figure in few digits, thousands set apart; with an exponent where it would be longer than people read."""
    if 1000 <= abs(value) < 1e12:
        return f"{value:,.0f}"
    return f"{value:.{digits}g}"


def tag(name: str, /, *children: object, kind: str = "", **attributes: str) -> Markup:
    """`<name class=kind …>children</name>`; children and attributes are escaped, and a void element has no end."""
    if kind:
        attributes = {"class": kind, **attributes}
    written = "".join(f' {key.replace("_", "-")}="{html.escape(value)}"' for key, value in attributes.items())
    if name in VOID:
        return Markup(f"<{name}{written}>")
    return Markup(f"<{name}{written}>{''.join(text(child) for child in children)}</{name}>")


def join(parts: Iterable[object], between: str = "") -> Markup:
    return Markup(between.join(text(part) for part in parts))


def link(words: object, path: str, **arguments: str) -> Markup:
    query = "&".join(f"{key}={quote(value)}" for key, value in arguments.items())
    return tag("a", words, href=f"{path}?{query}" if query else path)


def act(
    words: object,
    name: str,
    values: Mapping[str, Any],
    *,
    kind: str = "",
    done: str = "",
    confirm: str = "",
    goto: str = "",
    **attributes: str,
) -> Markup:
    """A button that asks for the command or action `name` with `values`; `confirm` asks a person first, `done` is said
    once it is accepted, `goto` is where to go then, with `{id}` for the id of what was made."""
    given = {"data_act": name, "data_values": json.dumps(values)}
    given |= {f"data_{key}": value for key, value in (("done", done), ("confirm", confirm), ("goto", goto)) if value}
    return tag("button", words, kind=f"tb-button {kind}".strip(), type="button", **given, **attributes)


def icon(name: str) -> Markup:
    """A small picture beside words that say the same: of a page, a state or an action; nothing where there is none."""
    if name not in LINES:
        return Markup("")
    path = tag("path", d=LINES[name])
    return tag("svg", path, kind=f"tb-icon tb-icon-{name}", viewBox="0 0 16 16", aria_hidden="true", focusable="false")


def cut(words: str, letters: int) -> str:
    """Words in at most so many letters. What is too long loses its middle: names that are alike differ at their end."""
    if len(words) <= letters:
        return words
    end = (letters - 1) // 2
    return f"{words[: letters - 1 - end]}…{words[-end:]}"


def short_id(entity_id: str) -> Markup:
    """The end of an id, which tells it from others of the same moment, with all of it as tooltip."""
    return tag("span", short(entity_id), title=entity_id)


def moment(stamp: str | None) -> Markup:
    """An RFC 3339 time to the second, in UTC."""
    return text(stamp[:19].replace("T", " ") + " UTC" if stamp else None)


def duration(seconds: float | None) -> str:
    """Seconds as people say them: `45 s`, `3 min 20 s`, `2 h 5 min`."""
    if seconds is None:
        return "–"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def table(heads: Sequence[str], rows: Iterable[Sequence[object]], *, kind: str = "") -> Markup:
    """A table that scrolls by itself where the screen is narrow."""
    head = tag("thead", tag("tr", *(tag("th", name, scope="col") if name else tag("td") for name in heads)))
    body = tag("tbody", *(tag("tr", *(tag("td", cell) for cell in row)) for row in rows))
    return tag("div", tag("table", head, body), kind=f"tb-table {kind}".strip())


def pairs(items: Iterable[tuple[str, object]]) -> Markup:
    """Names and values side by side."""
    return tag("dl", *(join([tag("dt", name), tag("dd", value)]) for name, value in items), kind="tb-pairs")


def section(title: str, *children: object) -> Markup:
    return tag("section", tag("h2", title), *children, kind="tb-section")


def empty(words: str) -> Markup:
    return tag("p", words, kind="tb-empty")


def banner(words: object, kind: str = "warning") -> Markup:
    return tag("div", words, kind=f"tb-banner tb-banner-{kind}", role="status")


def problem_box(problem: Problem, names: Mapping[str, str] = MappingProxyType({})) -> Markup:
    """A refused request in words: each wrong field, its message and the way out. `names` is what the page calls
    fields that are spelled otherwise in the request."""
    found = problem.details or [problem]
    lines = []
    for item in found:
        lines.append(
            tag(
                "li",
                join([tag("strong", names.get(item.param, item.param)), Markup(": ")]) if item.param else Markup(""),
                item.message,
                tag("div", item.hint, kind="tb-small") if item.hint else Markup(""),
            )
        )
    return tag("div", tag("ul", *lines), kind="tb-banner tb-banner-error", role="alert")


def ago(stamp: str | None, now: datetime) -> Markup:
    """How long ago an RFC 3339 time was, with the time itself as tooltip. Only as fine as pages are re-read calmly."""
    if not stamp:
        return text(None)
    seconds = (now - datetime.fromisoformat(stamp)).total_seconds()
    words = "just now"
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            words = f"{int(seconds // size)} {unit} ago"
            break
    return tag("time", words, datetime=stamp, title=str(moment(stamp)), data_ago="")


def memory_text(size: int | None) -> str:
    """A size in the units of memory, in which workers and commands count it: `1.2 GiB`."""
    if size is None:
        return "–"
    unit, amount = ("GiB", size / 1024**3) if size >= 1024**3 else ("MiB", size / 1024**2)
    return f"{amount:.0f} {unit}" if amount >= 100 else f"{amount:.1f} {unit}"


def bytes_text(size: int | None) -> str:
    """A size in the units of disks: `374 kB`."""
    if size is None:
        return "–"
    amount = float(size)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 1000 or unit == "GB":
            return f"{amount:.0f} {unit}" if unit == "B" or amount >= 100 else f"{amount:.1f} {unit}"
        amount /= 1000
    raise AssertionError
