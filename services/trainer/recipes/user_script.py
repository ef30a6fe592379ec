"""Runs a user's own training script in place of a recipe, in this child process and under the same rules.

What the script is given and how it reports is in `tunebus.services.trainer.script`.
"""

from __future__ import annotations

import runpy
import sys

from tunebus.services.platform.child.attempt import Attempt, Ending
from tunebus.services.platform.child.failures import ChildFailure
from tunebus.services.trainer import script


def train(attempt: Attempt) -> Ending:
    """Run the script to its end. Errors: `crashed` where it raises, or ends without a result and was not told to."""
    path, folder = attempt.job.script, attempt.job.script_folder
    run = script.enter(attempt)
    assert run.recipe.user_script is not None
    name = run.recipe.user_script.name
    if path is None:
        raise ChildFailure("bad_configuration", f"the job names the script {name}, but no file of it was given")
    attempt.say(f"running {name} (SHA-256 {run.recipe.user_script.sha256[:12]}…)")
    attempt.progress("loading", 0, 1)
    arguments, sys.argv = sys.argv, [path]
    if folder is not None:
        sys.path.insert(0, folder)
    try:
        runpy.run_path(path, run_name="__main__")
    except SystemExit as end:
        if end.code not in (None, 0):
            raise ChildFailure("crashed", f"{name} ended itself with {end.code!r}", "see the job's log") from None
    finally:
        script.leave()
        sys.argv = arguments
        if folder is not None and folder in sys.path:
            sys.path.remove(folder)
    if run.ending is not None:
        attempt.say(f"{name} has finished")
        return run.ending
    if attempt.is_stopping:
        return run.stopped()
    raise ChildFailure(
        "crashed", f"{name} ended without run.finish(…), so there is no result", "hand over what was trained at the end"
    )
