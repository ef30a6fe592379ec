"""A worker as a process of its own, with the fake child: `python worker_process.py NAME`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[5]))

from tunebus.services.platform.process import run
from tunebus.services.platform.worker import control
from tunebus.services.platform.worker.attempt import WorkerKind
from tunebus.services.platform.worker.worker import GRACE, serve

from tests.integration.services.platform.worker.fakes import COMMAND, verify

KIND = WorkerKind("trainer", "fine_tuning_job", COMMAND, verify)

if __name__ == "__main__":
    control.SHUTDOWN_SECONDS = 3.0  # tests wait for this
    run(sys.argv[1], lambda service: serve(service, KIND), grace=GRACE)
