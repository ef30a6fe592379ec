"""What the held-out losses of a training say: which step was best so far, and whether it still gets better.

Pure. The losses travel with every checkpoint, so that a resumed run judges by all of them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

FILE = "evaluations.json"


def best_step(losses: Mapping[int, float]) -> int | None:
    """The first step with the least loss. Step 0 is the base model: it counts for comparison, but is no training."""
    trained = [step for step in sorted(losses) if step > 0]
    return min(trained, key=losses.__getitem__, default=None)


def waited(losses: Mapping[int, float], threshold: float) -> int:
    """How many evaluations in a row did not better the best before them by more than `threshold`."""
    best: float | None = None
    count = 0
    for step in sorted(losses):
        if best is None or losses[step] < best - threshold:
            best, count = losses[step], 0
        else:
            count += 1
    return count


def why_stop(losses: Mapping[int, float], patience: int, threshold: float) -> str | None:
    """Why training on is pointless, in words, or None while it is not."""
    if waited(losses, threshold) < patience:
        return None
    step = best_step(losses)
    assert step is not None
    times = "one evaluation" if patience == 1 else f"{patience} evaluations in a row"
    by = f" by more than {threshold:g}" if threshold else ""
    return f"the held-out loss did not improve{by} in {times}; the best was {losses[step]:.4f} at step {step}"


def write(folder: Path, losses: Mapping[int, float]) -> None:
    (folder / FILE).write_text(json.dumps({"losses": {str(step): loss for step, loss in sorted(losses.items())}}))


def read(folder: Path) -> dict[int, float]:
    """The losses kept with a checkpoint; none with one of a version that kept none."""
    path = folder / FILE
    if not path.exists():
        return {}
    return {int(step): float(loss) for step, loss in json.loads(path.read_text())["losses"].items()}
