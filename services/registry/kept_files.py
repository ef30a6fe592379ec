"""Whether what an attempt left is still there: cheaply, without reading weights. Workers verify every hash later."""

from __future__ import annotations

import json
from pathlib import Path

CHECKPOINTS = "checkpoints"
MANIFEST = "manifest.json"


def has_weights(place: Path) -> bool:
    """Whether a folder still holds the weights of a model or an adapter."""
    try:
        return any(place.glob("*.safetensors"))
    except OSError:
        return False


def is_there(place: Path) -> bool:
    """Of a checkpoint (`…/checkpoints/step-…`) only what its manifest calls whole counts."""
    if place.parent.name != CHECKPOINTS:
        return place.exists()
    try:
        files = json.loads((place / MANIFEST).read_bytes())["files"]
        return all((place / name).stat().st_size == facts["size"] for name, facts in files.items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False
