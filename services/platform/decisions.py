"""What the ledger and a domain say to each other: commands to decide, events to append, rows to change.

The ledger knows no aggregate and no table of a projection; a domain knows no transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from sqlalchemy import Connection
from sqlalchemy.sql import Executable
from tunebus.contracts.envelope import CommandEnvelope
from tunebus.contracts.errors import Problem
from tunebus.contracts.events import RecordedEvent


@dataclass(frozen=True)
class PreparedCommand:
    """A command ready to be decided. `command` is the validated contract object (None when `rejection` is set).

    `facts` is what the prepare step found out; `meta` is what the server knows of the sender. A `rejection` found
    before the transaction (validation, prepare) is only recorded, so that a retry gets the same outcome. One with
    `bulk` gets a transaction of its own, in which that is written before it is decided.
    """

    envelope: CommandEnvelope
    command: Any = None
    facts: Any = None
    rejection: Problem | None = None
    meta: Mapping[str, Any] = field(default_factory=dict)
    bulk: Bulk | None = None


Restore = Callable[[Sequence[RecordedEvent]], Sequence[RecordedEvent]]


class Bulk(Protocol):
    """What is too much for a decision: events that were recorded elsewhere, by the thousand."""

    def write(self, connection: Connection, restore: Restore) -> Any:
        """Write within the open transaction; returns the facts that the command is then decided on.

        `restore` appends events as they are but for their positions, and returns them with their new ones; inline
        projections are the bulk's own affair. A `TunebusError` undoes all of it and becomes the command's rejection.
        """
        ...

    def close(self) -> None:
        """The command has its outcome."""
        ...


@dataclass(frozen=True)
class NewEvent:
    """An event a decision wants appended. `data` is JSON-ready."""

    aggregate: str
    entity_id: str
    type: str
    schema_version: int
    data: Mapping[str, Any]


@dataclass(frozen=True)
class Accepted:
    """The command is done: `events` (possibly none) are appended; `id` (and `ids`) name what it is about."""

    events: Sequence[NewEvent] = ()
    id: str | None = None
    ids: Sequence[str] | None = None
    changes: Sequence[Change] = ()  # rows of the ledger's own tables that go with the events, for example a lease


@dataclass(frozen=True)
class Rejected:
    """The command is refused; nothing is written but this outcome."""

    problem: Problem


Decision = Accepted | Rejected


class Change(Protocol):
    """One row change. Changes with equal `key` run as one `executemany` of the first's statement.

    What was asked for earlier is done earlier to the same row, and to tables tied by foreign keys; changes to different
    rows of a table may change places.
    """

    @property
    def key(self) -> Hashable: ...

    @property
    def row_key(self) -> Hashable:
        """Which row of its table it touches."""
        ...

    @property
    def statement(self) -> Executable: ...

    @property
    def parameters(self) -> Mapping[str, Any]: ...


class Batch(Protocol):
    """One transaction's view of the domain. `decide` and `record` alternate, so later commands see earlier ones."""

    def stream_of(self, command: PreparedCommand) -> tuple[str, str] | None:
        """(aggregate, entity id) whose version `expectedversion` speaks of, or None for a command that creates."""
        ...

    def decide(self, command: PreparedCommand) -> Decision:
        """Decide in memory from what `open` loaded; never writes."""
        ...

    def record(self, events: Sequence[RecordedEvent]) -> Sequence[Change]:
        """Fold appended events into the view and return the inline projections' changes."""
        ...


class Domain(Protocol):
    """What the ledger asks of the registry's domain."""

    def open(self, connection: Connection, commands: Sequence[PreparedCommand]) -> Batch:
        """Load, with `IN` look-ups, what the commands of one batch refer to."""
        ...
