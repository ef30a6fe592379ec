"""What came from the Hub, and what its page says. Plain values, for prepare children and decisions alike."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class HubSource:
    """Where on the Hub something came from, pinned to a commit; equal ones are the same thing."""

    name: str
    revision: str
    config_name: str | None = None
    split: str | None = None


@dataclass(frozen=True)
class Fetched:
    """What the Hub child left. `code` are the Python files of the repository, fetched or not."""

    source: HubSource
    location: str
    description: str = ""
    licence: str | None = None
    gated: bool = False
    code: tuple[str, ...] = ()
