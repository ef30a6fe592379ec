"""`python -m tunebus.services.projector`: the projector's process."""

from __future__ import annotations

from tunebus.services.platform.process import run
from tunebus.services.projector.app import NAME, main

if __name__ == "__main__":
    run(NAME, main)
