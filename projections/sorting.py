"""Orders that a list can be had in, each with its cursor: what a page ends with says where the next one begins."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, RowMapping, Table, and_, or_
from tunebus.contracts.errors import Code, TunebusError, fail


@dataclass(frozen=True)
class Sorting:
    """`after` raises `invalid` for a text that is no cursor of this order."""

    columns: tuple[ColumnElement[Any], ...]
    after: Callable[[str], ColumnElement[bool]]
    cursor: Callable[[RowMapping], str]


def ascending(column: ColumnElement[Any]) -> Sorting:
    """By a column of whole numbers that no two rows share."""
    return Sorting((column,), lambda text: column > number(text), lambda row: str(row[column.key]))  # type: ignore[index]


def descending(column: ColumnElement[Any]) -> Sorting:
    return Sorting(
        (column.desc(),),
        lambda text: column < number(text),
        lambda row: str(row[column.key]),  # type: ignore[index]
    )


def as_queued(table: Table) -> Sorting:
    """As the jobs of a kind are given out: by priority, then rank; ended ones stay where they were."""
    priority, rank, job_id = table.c.priority, table.c.rank, table.c.id

    def after(text: str) -> ColumnElement[bool]:
        parts = text.split("/")
        if len(parts) != 3 or not parts[0].removeprefix("-").isdecimal() or len(parts[0]) > 6:
            raise no_cursor(text)
        at, after_rank, after_id = int(parts[0]), parts[1], parts[2]
        same = priority == at
        return or_(
            priority < at,
            and_(same, rank > after_rank),
            and_(same, rank == after_rank, job_id > after_id),
        )

    return Sorting((priority.desc(), rank, job_id), after, lambda row: f"{row['priority']}/{row['rank']}/{row['id']}")


def number(cursor: str | None) -> int:
    """A cursor that is a whole number; 0 for none. Errors: `invalid`."""
    if cursor is None:
        return 0
    if not cursor.isascii() or not cursor.isdigit() or len(cursor) > 18:
        raise no_cursor(cursor)
    return int(cursor)


def no_cursor(text: str) -> TunebusError:
    return fail(Code.INVALID, f"{text[:40]!r} is no cursor", param="after", hint="use the `next` of the page before")
