"""Reading old events as if they had been written today: one small function for each step of a type's schema version.

Upcasters run at read time and never write; what the record holds stays as it was written.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Data = Mapping[str, Any]
Upcaster = Callable[[Data], Data]


class Upcasters:
    """Functions by (type, version they read). Each returns the data of the next version."""

    def __init__(self) -> None:
        self._steps: dict[tuple[str, int], Upcaster] = {}

    def register(self, type: str, from_version: int) -> Callable[[Upcaster], Upcaster]:
        """Decorate the function that turns `type` of `from_version` into the version after it."""

        def add(function: Upcaster) -> Upcaster:
            if (type, from_version) in self._steps:
                raise ValueError(f"{type} version {from_version} has an upcaster already")
            self._steps[type, from_version] = function
            return function

        return add

    def upcast(self, type: str, version: int, data: Data) -> tuple[int, Data]:
        """The newest version of an event's data that the registered steps lead to."""
        while step := self._steps.get((type, version)):
            data = step(data)
            version += 1
        return version, data


UPCASTERS = Upcasters()  # those of the published events; there is no older version of any yet
