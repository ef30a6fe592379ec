"""Wires the evaluator's messaging process: which jobs it claims, which child it starts. Neither an evaluation nor an
export ever resumes.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Any

from tunebus.services.platform.process import Service
from tunebus.services.platform.settings import Settings
from tunebus.services.platform.worker.attempt import WorkerKind
from tunebus.services.platform.worker.worker import serve


def registry_access(recipe: Mapping[str, Any], settings: Settings) -> dict[str, str]:
    """What a child needs to reach MLflow's registry, and only one that exports to it: where it is, and its own
    variables for signing in. They are in no job, no event and no file.
    """
    if recipe.get("type") != "registry":
        return {}
    given = {name: value for name, value in os.environ.items() if name.startswith("MLFLOW_")}
    return given | {"MLFLOW_TRACKING_URI": settings.mlflow_uri, "MLFLOW_EXPERIMENT_NAME": settings.namespace}


KIND = WorkerKind(
    name="evaluator",
    job_kind="evaluation_job",
    other_kinds=("export_job",),
    command=(sys.executable, "-m", "tunebus.services.evaluator.run"),
    environment=registry_access,
)


async def main(service: Service) -> None:
    await serve(service, KIND)
