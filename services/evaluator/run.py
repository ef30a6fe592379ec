"""The child of evaluations and exports: one attempt of one job, from its `job.json` to its `result.json`. It knows no
bus and no SQL.

python -m tunebus.services.evaluator.run FOLDER/job.json
"""

from __future__ import annotations

import sys

from tunebus.services.platform.child import attempt as children
from tunebus.services.platform.child.attempt import Attempt, Ending


def evaluate(attempt: Attempt) -> Ending:
    from tunebus.services.evaluator.evaluation import evaluate

    return evaluate(attempt)


def export(attempt: Attempt) -> Ending:
    from tunebus.services.evaluator.export import export

    return export(attempt)


WORKS = {"evaluation_job": evaluate, "export_job": export}

if __name__ == "__main__":
    sys.exit(children.run(sys.argv[1:], WORKS))
