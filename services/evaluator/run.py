"""The evaluation child: one attempt of one job, from its `job.json` to its `result.json`. It knows no bus and no SQL.

python -m tunebus.services.evaluator.run FOLDER/job.json
"""

from __future__ import annotations

import os
import sys

from tunebus.services.evaluator.evaluation import evaluate
from tunebus.services.platform.child import attempt as children
from tunebus.services.platform.child.attempt import Attempt, Ending


def run(attempt: Attempt) -> Ending:
    """Evaluate, on one GPU at most."""
    if attempt.job.recipe.get("num_gpu"):
        os.environ.setdefault("CUDA_VISIBLE_DEVICES", "0")
    return evaluate(attempt)


if __name__ == "__main__":
    sys.exit(children.run(sys.argv[1:], "evaluation_job", run))
