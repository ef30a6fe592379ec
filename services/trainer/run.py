"""The training child: one attempt of one job, from its `job.json` to its `result.json`. It knows no bus and no SQL.

python -m tunebus.services.trainer.run FOLDER/job.json
"""

from __future__ import annotations

import os
import sys

from tunebus.contracts.errors import Code, fail
from tunebus.services.platform.child import attempt as children
from tunebus.services.platform.child.attempt import Attempt, Ending
from tunebus.services.trainer.recipes import supervised, user_script


def train(attempt: Attempt) -> Ending:
    """Run the user's script where the job has one, else the recipe for its method."""
    recipe = attempt.job.recipe
    if recipe.get("user_script"):
        return user_script.train(attempt)
    method = recipe.get("method", "lora")
    if method not in supervised.METHODS:
        raise fail(Code.NOT_SUPPORTED, f"there is no recipe for the method {method!r}", param="method")
    # One GPU a job; more than one visible would make the trainer spread a batch over all of them. A supervisor has
    # named the job's own already.
    if recipe.get("num_gpu"):
        os.environ.setdefault("CUDA_VISIBLE_DEVICES", "0")
    return supervised.train(attempt)


if __name__ == "__main__":
    sys.exit(children.run(sys.argv[1:], {"fine_tuning_job": train}))
