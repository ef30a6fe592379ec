"""`python -m tunebus.services.trainer [--name trainer-2]`: one trainer; its name tells it from its neighbours."""

from __future__ import annotations

from tunebus.services.platform.process import run
from tunebus.services.platform.worker.command_line import service_name
from tunebus.services.platform.worker.worker import GRACE
from tunebus.services.trainer.app import KIND, main

if __name__ == "__main__":
    run(service_name(KIND.name), main, grace=GRACE)
