"""Decides about names: whoever has one may take another that is free. Names are compared trimmed."""

from __future__ import annotations

from typing import Any, Protocol

from tunebus.contracts.events import Event
from tunebus.services.platform.decisions import Accepted, Decision, Rejected
from tunebus.services.registry.decision import happened, missing, name_problem
from tunebus.services.registry.known import Shelf


class Rename(Protocol):
    """A command that gives something another name."""

    @property
    def id(self) -> str: ...

    @property
    def name(self) -> str: ...


class Renamed(Protocol):
    """The event of it."""

    def __call__(self, *, name: str) -> Event: ...


def rename(aggregate: str, shelf: Shelf[Any], command: Rename, event: Renamed) -> Decision:
    """The name it has already changes nothing."""
    entity = shelf.get(command.id)
    if entity is None:
        return Rejected(missing(aggregate, command.id, "id"))
    holder = shelf.named(command.name)
    problem = name_problem(aggregate, command.name, taken=holder is not None and holder.id != entity.id)
    if problem:
        return Rejected(problem)
    if command.name == entity.name:
        return Accepted(id=entity.id)
    return Accepted((happened(aggregate, entity.id, event(name=command.name)),), id=entity.id)
