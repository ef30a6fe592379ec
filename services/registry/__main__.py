"""The registry's process: `python -m tunebus.services.registry`."""

from tunebus.services.platform.process import run
from tunebus.services.registry.app import NAME, main

if __name__ == "__main__":
    run(NAME, main)
