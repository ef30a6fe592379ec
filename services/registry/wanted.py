"""What a batch of commands refers to, so that it can be read with one look-up a table before anything is decided."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tunebus.services.platform.decisions import Decision
from tunebus.services.registry.known import Known


@dataclass
class Wanted:
    """Ids and names that a batch's commands refer to, by aggregate."""

    datasets: set[str] = field(default_factory=set)
    models: set[str] = field(default_factory=set)
    adapters: set[str] = field(default_factory=set)
    prompts: set[str] = field(default_factory=set)
    configs: set[str] = field(default_factory=set)
    jobs: set[str] = field(default_factory=set)
    job_names: set[str] = field(default_factory=set)
    hub_names: dict[str, set[str]] = field(default_factory=dict)
    """By aggregate, names on the Hub: whatever came from there is loaded as well."""
    runs: set[str] = field(default_factory=set)
    """Hashes of runs from elsewhere: those that were imported before are known."""
    with_results: bool = False
    """Whoever has the names of what the jobs referred to make is loaded as well."""
    with_adapters_jobs: bool = False
    with_datasets_prompts: bool = False
    with_queues: bool = False
    with_dependencies: bool = False
    with_made: bool = False
    """What the fine-tunings referred to have made is loaded as well."""
    with_lineage: bool = False
    """The trainings are loaded as well whose weights those referred to began with, and so on."""
    with_jobs_parts: bool = False
    """The model, dataset and prompt of the jobs referred to are loaded as well, or the names of those removed."""
    leaving: dict[str, set[str]] = field(default_factory=dict)
    """By aggregate, what a command wants to remove: whatever uses it is loaded as well."""

    giving_up: set[str] = field(default_factory=set)
    """Datasets whose uploaded copies are to go: whoever else reads those is loaded as well."""

    def from_hub(self, aggregate: str, name: str | None) -> None:
        if name:
            self.hub_names.setdefault(aggregate, set()).add(name)

    def leaves(self, aggregate: str, reference: str) -> None:
        self.leaving.setdefault(aggregate, set()).add(reference)


Refer = Callable[[Wanted, Any, Any], None]
Decide = Callable[[Known, Any, Any], Decision]


@dataclass(frozen=True)
class Handler:
    """`decide(known, facts, command)`, and `refer(wanted, facts, command)` that says what it will ask `known` for."""

    decide: Decide
    refer: Refer


def given(*values: object) -> list[str]:
    """Those that are ids or names, not objects or nothing."""
    return [value for value in values if isinstance(value, str)]
