"""Torch costs seconds and hundreds of megabytes: only child processes may load it."""

import json
import subprocess
import sys

import pytest

HEAVY = {"torch", "transformers", "trl", "peft", "datasets", "tokenizers"}


@pytest.mark.parametrize(
    "module",
    [
        "tunebus.ui.cli.app",
        "tunebus.ui.web.app",
        "tunebus.services.registry.app",
        "tunebus.services.registry.relay",
        "tunebus.services.projector.app",
        "tunebus.services.trainer.app",
        "tunebus.services.evaluator.app",
        "tunebus.services.launcher.app",
    ],
)
def test_importing_a_process_leaves_torch_out(module: str) -> None:
    code = f"import json, sys, {module}; print(json.dumps(sorted({HEAVY!r} & set(sys.modules))))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == []


@pytest.mark.parametrize("module", ["tunebus.ui.cli.app", "tunebus.contracts.client", "tunebus.services.trainer.app"])
def test_a_client_and_a_worker_need_no_sql(module: str) -> None:
    code = f"import sys, {module}; print('sqlalchemy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "False"
