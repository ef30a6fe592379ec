"""`python -m tunebus.services.evaluator [--name evaluator-2]`: one evaluator; its name tells it from its neighbours."""

from __future__ import annotations

from tunebus.services.evaluator.app import KIND, main
from tunebus.services.platform.process import run
from tunebus.services.platform.worker.command_line import service_name
from tunebus.services.platform.worker.worker import GRACE

if __name__ == "__main__":
    run(service_name(KIND.name), main, grace=GRACE)
