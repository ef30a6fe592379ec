"""The tracking process: `python -m tunebus.services.tracking`."""

from tunebus.services.platform.process import run
from tunebus.services.tracking.app import NAME, main

if __name__ == "__main__":
    run(NAME, main)
