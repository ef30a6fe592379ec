"""The training child: one attempt of one job, from its `job.json` to its `result.json`. It knows no bus and no SQL.

python -m tunebus.services.trainer.run FOLDER/job.json
"""

from __future__ import annotations

import os
import sys

from tunebus.contracts.errors import Code, fail
from tunebus.services.platform.child import attempt as children
from tunebus.services.platform.child.attempt import Attempt, Ending
from tunebus.services.trainer.recipes import RECIPES


def train(attempt: Attempt) -> Ending:
    """Run the recipe for the job's method."""
    method = attempt.job.recipe.get("method", "lora")
    recipe = RECIPES.get(method)
    if recipe is None:
        raise fail(Code.NOT_SUPPORTED, f"there is no recipe for the method {method!r}", param="method")
    # One GPU a job; more than one visible would make the trainer spread a batch over all of them.
    if attempt.job.recipe.get("num_gpu"):
        os.environ.setdefault("CUDA_VISIBLE_DEVICES", "0")
    return recipe(attempt)


if __name__ == "__main__":
    sys.exit(children.run(sys.argv[1:], "fine_tuning_job", train))
