"""The names on the bus: streams, consumers, buckets and subjects of one namespace. One namespace is one studio."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, get_args

from tunebus.contracts.errors import Code, fail

DATASET = "dataset"
MODEL = "model"
ADAPTER = "adapter"
PROMPT = "prompt"
CONFIG = "config"
FINE_TUNING_JOB = "fine_tuning_job"
EVALUATION_JOB = "evaluation_job"
EXPORT_JOB = "export_job"
DATABASE = "database"
Aggregate = Literal[
    "dataset", "model", "adapter", "prompt", "config", "fine_tuning_job", "evaluation_job", "export_job", "database"
]
AGGREGATES: tuple[str, ...] = get_args(Aggregate)
JOB_KINDS = (FINE_TUNING_JOB, EVALUATION_JOB, EXPORT_JOB)

_NAMESPACE = re.compile(r"[a-z][a-z0-9_-]{0,30}")


@dataclass(frozen=True)
class Subjects:
    """Every name that depends on the namespace. Raises `invalid` for a namespace that no stream can be named after."""

    namespace: str = "tunebus"

    def __post_init__(self) -> None:
        if not _NAMESPACE.fullmatch(self.namespace):
            raise fail(
                Code.INVALID,
                f"{self.namespace!r} cannot name a studio on the bus",
                param="TUNEBUS_NAMESPACE",
                hint="use 1-31 of a-z, 0-9, _ and -, starting with a letter",
            )

    @property
    def prefix(self) -> str:
        """Stream and consumer prefix, for example `TUNEBUS`."""
        return self.namespace.upper()

    @property
    def commands_stream(self) -> str:
        return f"{self.prefix}_COMMANDS"

    @property
    def events_stream(self) -> str:
        return f"{self.prefix}_EVENTS"

    @property
    def telemetry_stream(self) -> str:
        return f"{self.prefix}_TELEMETRY"

    @property
    def advisories_stream(self) -> str:
        return f"{self.prefix}_ADVISORIES"

    @property
    def files_bucket(self) -> str:
        return f"{self.prefix}_FILES"

    @property
    def all_commands(self) -> str:
        return f"{self.namespace}.cmd.>"

    @property
    def all_events(self) -> str:
        return f"{self.namespace}.evt.>"

    @property
    def all_telemetry(self) -> str:
        return f"{self.namespace}.tel.>"

    def command(self, context: str, name: str) -> str:
        return f"{self.namespace}.cmd.{context}.{name}"

    def event(self, aggregate: str, entity_id: str, name: str) -> str:
        return f"{self.namespace}.evt.{aggregate}.{entity_id}.{name}"

    def events_of(self, aggregate: str, entity_id: str = "*") -> str:
        return f"{self.namespace}.evt.{aggregate}.{entity_id}.>"

    def queued(self, job_kind: str) -> str:
        """The doorbell of workers: a job of this kind entered the queue."""
        return f"{self.namespace}.evt.{job_kind}.*.JobQueued"

    def telemetry(self, job_id: str, attempt: int | str = "*") -> str:
        return f"{self.namespace}.tel.{job_id}.{attempt}"

    def query(self, name: str) -> str:
        return f"{self.namespace}.query.{name}"

    def rpc(self, name: str) -> str:
        return f"{self.namespace}.rpc.{name}"

    @property
    def relay_nudge(self) -> str:
        """A core message with no body: events were committed; the relay need not wait for its poll."""
        return f"{self.namespace}.relay.nudge"
