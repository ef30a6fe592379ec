"""What a user's own training script is given, and how it reports. Imports no torch: the script brings its own training.

    from tunebus.services.trainer import script

    run = script.current()
    run.begin(total_steps=run.config["steps"])
    for step in range(1, run.config["steps"] + 1):
        loss = …                                   # one step on run.rows()
        run.log(step, loss=loss, learning_rate=1e-3)
        if run.should_stop or step % 50 == 0:
            run.save_checkpoint(folder, step, loss=loss)
        if run.should_stop:
            raise SystemExit                       # saved: the job goes on from there, or stays stopped
    run.finish(folder)                             # the adapter (method lora) or the whole model (method full)

The script runs in the job's child process under the job's limits, without the network of the Hub. It must look at
`should_stop` between steps: that is how a graceful stop reaches it. `resume_from` is the newest checkpoint it saved.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from tunebus.contracts.errors import Code, TunebusError, fail
from tunebus.contracts.recipes import FineTuningRecipe
from tunebus.services.platform.child import models
from tunebus.services.platform.child.attempt import Attempt, Ending
from tunebus.services.platform.child.dataset import load_rows
from tunebus.services.platform.child.files import folder_sha256, sync_folder, sync_tree
from tunebus.services.trainer import checkpoints

NEEDED = {
    "adapter": ("adapter_config.json", "adapter_model.safetensors"),
    "model": ("config.json", "*.safetensors"),
}
PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle")

_running: Run | None = None


def current() -> Run:
    """The run that the script is part of. Errors: `wrong_state` outside of a job."""
    if _running is None:
        raise fail(Code.WRONG_STATE, "no job runs in this process", hint="start the script by StartFineTuningJob")
    return _running


class Run:
    """One attempt, as its script sees it. Steps count from 1; folders that are handed over are copied."""

    def __init__(self, attempt: Attempt) -> None:
        self._attempt = attempt
        self._total = self._step = 0
        self._begun = False
        self._losses: dict[int, float] = {}
        self.recipe = FineTuningRecipe.model_validate(attempt.job.recipe)
        self.ending: Ending | None = None

    @property
    def config(self) -> Mapping[str, Any]:
        """The job's `user_config`."""
        assert self.recipe.user_script is not None
        return self.recipe.user_script.config

    @property
    def model_folder(self) -> Path:
        """The base model: config, safetensors and tokenizer."""
        return Path(self.recipe.model.location)

    @property
    def work_folder(self) -> Path:
        """The attempt's own folder, where the script may write what it likes."""
        return self._attempt.folder

    @property
    def threads(self) -> int:
        return self._attempt.job.threads

    @property
    def should_stop(self) -> bool:
        """Whether a graceful stop was asked for: save a checkpoint and end."""
        return self._attempt.is_stopping

    @property
    def resume_from(self) -> Path | None:
        """The checkpoint to go on from, whole as its manifest says; None for a fresh start."""
        if self._attempt.job.resume_from is None:
            return None
        folder = Path(self._attempt.job.resume_from)
        checkpoints.read(folder, self._attempt.job.resume_manifest_sha256)
        return folder

    @property
    def resumed_step(self) -> int:
        """The step of `resume_from`; 0 for a fresh start."""
        folder = self.resume_from
        return checkpoints.read(folder).step if folder is not None else 0

    def rows(self) -> list[dict[str, Any]]:
        """The training rows, by the job's split."""
        rows, split = self._data
        return [rows[number] for number in split.train]

    def held_out_rows(self) -> list[dict[str, Any]]:
        rows, split = self._data
        return [rows[number] for number in split.test]

    def begin(self, total_steps: int, **resolved: Any) -> None:
        """Everything is loaded and the first step follows. `resolved` are settings worth keeping with the attempt."""
        self._total, self._begun = total_steps, True
        script = self.recipe.user_script
        assert script is not None
        known: dict[str, Any] = {"user_script": script.name, "user_script_sha256": script.sha256}
        known |= {"user_config": dict(script.config), "method": self.recipe.method, "threads": self.threads, **resolved}
        json.dumps(known, allow_nan=False)
        self._attempt.running(
            total_steps, resumed_from_step=self.resumed_step, resolved=known, versions=models.versions()
        )
        self._attempt.progress("training", self.resumed_step, total_steps)

    def log(self, step: int, **values: float) -> None:
        """Metrics of a step, by the names that curves are known by: loss, learning_rate, eval_loss, …"""
        if not self._begun:
            self.begin(max(step, self._total))
        self._step = step
        numbers = {name: float(value) for name, value in values.items()}
        self._attempt.spool.metric(step, numbers)
        if "eval_loss" in numbers:
            self._losses[step] = numbers["eval_loss"]
        self._attempt.progress("training", step, max(step, self._total))

    def say(self, text: str) -> None:
        """A line of the job's log; what is printed is kept as well."""
        self._attempt.say(text)

    def save_checkpoint(
        self, folder: Path | str, step: int, *, loss: float | None = None, eval_loss: float | None = None
    ) -> None:
        """Keep a copy of the folder as the checkpoint of a step, whole or not at all."""
        root = self._attempt.folder / "checkpoints"
        if eval_loss is not None:
            self._losses[step] = eval_loss
        best = eval_loss is not None and eval_loss <= min(self._losses.values())
        checkpoints.write(
            root,
            step,
            lambda draft: _copy(Path(folder), draft),
            {"loss": loss, "eval_loss": eval_loss},
            before_manifest=self._attempt.spool.sync,
            best=best,
        )
        checkpoints.retain(root, self.recipe.training_arguments.save_total_limit, self._attempt.recorded_step())

    def finish(self, folder: Path | str, step: int | None = None, **metrics: float) -> None:
        """Hand over what was trained: an adapter as peft writes it, or with the method full a model as transformers
        does. Errors: `invalid` for a folder that is neither.
        """
        kind = "model" if self.recipe.method == "full" else "adapter"
        source = Path(folder)
        _check(source, kind)
        draft, target = self._attempt.folder / f".tmp-{kind}", self._attempt.folder / kind
        shutil.rmtree(draft, ignore_errors=True)
        _copy(source, draft)
        if kind == "adapter":
            _forget_path(draft / "adapter_config.json", self.model_folder.name)
        sync_tree(draft)
        shutil.rmtree(target, ignore_errors=True)
        draft.rename(target)
        sync_folder(self._attempt.folder)
        self.ending = Ending(
            "finished",
            self._step if step is None else step,
            kind,
            folder_sha256(target),
            result_type="model" if kind == "model" else "adapter",
            metrics={name: float(value) for name, value in metrics.items()},
        )

    def stopped(self) -> Ending:
        return Ending("stopped", step=self._step)

    @cached_property
    def _data(self) -> Any:
        return load_rows(self.recipe.dataset)


def enter(attempt: Attempt) -> Run:
    """Make the attempt the one that `current` returns."""
    global _running
    _running = Run(attempt)
    return _running


def leave() -> None:
    global _running
    _running = None


def _copy(source: Path, target: Path) -> None:
    if not source.is_dir():
        raise _invalid(f"{source} is no folder")
    shutil.copytree(source, target, dirs_exist_ok=True)


def _check(folder: Path, kind: str) -> None:
    if not folder.is_dir():
        raise _invalid(f"{folder} is no folder")
    missing = [pattern for pattern in NEEDED[kind] if not any(folder.glob(pattern))]
    if missing:
        raise _invalid(f"{folder} holds no {kind}: {' and '.join(missing)} is missing")
    pickles = sorted(path.name for path in folder.rglob("*") if path.suffix in PICKLES)
    if pickles:
        raise _invalid(f"{folder} holds pickles ({', '.join(pickles[:3])}): weights are safetensors only")


def _forget_path(config: Path, name: str) -> None:
    """The path of this machine would say nothing elsewhere."""
    document = json.loads(config.read_text())
    config.write_text(json.dumps({**document, "base_model_name_or_path": name}, indent=2))


def _invalid(message: str) -> TunebusError:
    return fail(Code.INVALID, message, param="user_script")
