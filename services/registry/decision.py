"""The words every decision is made of: what happened, what was refused and why."""

from __future__ import annotations

from collections.abc import Iterable

from tunebus.contracts.errors import Code, Problem, combine
from tunebus.contracts.events import Event
from tunebus.contracts.identifiers import is_id
from tunebus.services.platform.decisions import NewEvent, Rejected


def happened(aggregate: str, entity_id: str, event: Event) -> NewEvent:
    """The event as the ledger appends it."""
    kind = type(event)
    return NewEvent(aggregate, entity_id, kind.__name__, kind.schema_version, event.model_dump(mode="json"))


def refused(code: Code, message: str, *, param: str | None = None, hint: str | None = None) -> Rejected:
    return Rejected(Problem(code=code, message=message, param=param, hint=hint))


def refused_all(problems: Iterable[Problem]) -> Rejected:
    """All that is wrong at once."""
    return Rejected(combine(problems))


def missing(what: str, reference: str, param: str, hint: str | None = None) -> Problem:
    return Problem(code=Code.NOT_FOUND, message=f"there is no {what} {reference!r}", param=param, hint=hint)


def name_problem(what: str, name: str, *, taken: bool) -> Problem | None:
    """Why an entity cannot have this name, or None."""
    if taken:
        return Problem(
            code=Code.DUPLICATE_NAME, message=f"a {what} named {name!r} is there already", param="name",
            hint="choose another name",
        )  # fmt: skip
    if is_id(name):
        return Problem(
            code=Code.INVALID, message=f"{name!r} reads as an id", param="name", hint="choose a name that is no UUID"
        )
    return None
