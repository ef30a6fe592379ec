"""What every command shares, and the kinds of text its fields hold."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, StringConstraints
from tunebus.contracts.texts import NO_CONTROLS

Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200, pattern=NO_CONTROLS)]
Reference = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
AdapterName = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100, pattern=r"^[A-Za-z0-9_-]+$")
]
Location = Annotated[str, StringConstraints(min_length=1, max_length=4096)]
Description = Annotated[str, StringConstraints(max_length=10_000)]
Template = Annotated[str, StringConstraints(max_length=20_000)]
HubName = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200, pattern=NO_CONTROLS)]
Revision = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
ConfigReference = Reference | dict[str, Any]


class Command(BaseModel):
    """What every command shares. `contexts` are the places of the subject it may be published under."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    contexts: ClassVar[tuple[str, ...]]
    for_workers: ClassVar[bool] = False

    @classmethod
    def context(cls) -> str:
        return cls.contexts[0]
