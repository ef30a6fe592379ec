"""A nested document as flat names and texts, the way trackers show parameters."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any


def flat(document: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """`{"lora": {"r": 16}}` -> `("lora.r", "16")`. Lists are JSON; what is None is left out."""
    for name, value in document.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{name}.")
        elif value is not None:
            yield f"{prefix}{name}", value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
