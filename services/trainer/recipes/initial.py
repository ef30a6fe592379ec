"""Starting from another job's weights: the checkpoint or result must be what was recorded of it. Imports no torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tunebus.contracts.recipes import InitialWeights
from tunebus.services.platform.child.failures import ChildFailure
from tunebus.services.platform.child.files import folder_sha256
from tunebus.services.trainer import checkpoints


def check(weights: InitialWeights) -> None:
    """Errors: `bad_configuration` where they are gone or changed."""
    folder = Path(weights.location)
    hint = "its retention may have removed it: branch from a newer step, or extend the result"
    where = f"the weights of step {weights.step} of job {weights.job_id}"
    if not folder.is_dir():
        raise ChildFailure("bad_configuration", f"{where} are not there any more", hint)
    if weights.manifest_sha256 is not None:
        try:
            checkpoints.read(folder, weights.manifest_sha256)
        except checkpoints.BrokenCheckpoint as error:
            raise ChildFailure("bad_configuration", f"{where} are not what was recorded: {error}", hint) from None
    elif weights.sha256 is not None and folder_sha256(folder) != weights.sha256:
        raise ChildFailure("bad_configuration", f"{where} have changed since it ended", hint)


def load(trainer: Any, weights: InitialWeights) -> None:
    """Put them in place of the fresh ones; the optimizer starts anew. Errors: `bad_configuration` if they do not fit
    the model."""
    try:
        trainer._load_from_checkpoint(weights.location)
    except (RuntimeError, ValueError, KeyError) as error:
        raise ChildFailure(
            "bad_configuration",
            f"the weights of job {weights.job_id} do not fit: {str(error).splitlines()[0]}",
            "branch with the same model, method and LoRA settings",
        ) from None
