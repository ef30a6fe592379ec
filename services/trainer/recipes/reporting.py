"""Between the trainer's loop and the attempt: metrics and progress out, the order to stop and the time to save in."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Mapping
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from tunebus.contracts.recipes import TrainingArguments as Arguments
from tunebus.services.platform.child.attempt import Attempt
from tunebus.services.platform.child.failures import ChildFailure
from tunebus.services.trainer.recipes import evaluations
from tunebus.services.trainer.recipes.order import Order
from tunebus.services.trainer.recipes.plan import Plan

_SAY_SECONDS = 5.0
_WINDOW_STEPS = 50
_LOGGED = {
    "loss": "loss",
    "learning_rate": "learning_rate",
    "grad_norm": "grad_norm",
    "epoch": "epoch",
    "tokens": "tokens",
    "mean_token_accuracy": "token_accuracy",
}
"""What the loop logs at a step, by its names, and the names of the curves."""


class Reporter(TrainerCallback):  # type: ignore[misc]  # transformers ships no types that mypy follows here
    """Reports every logging step; a loss that is no number ends the job before it is saved."""

    def __init__(
        self,
        attempt: Attempt,
        plan: Plan,
        order: Order,
        arguments: Arguments,
        resolved: Mapping[str, Any],
        versions: Mapping[str, str],
    ) -> None:
        self._attempt = attempt
        self._plan = plan
        self._order = order
        self._arguments = arguments
        self.resolved = dict(resolved)
        self._versions = versions
        self._ends: deque[tuple[int, float]] = deque(maxlen=_WINDOW_STEPS)
        self._last_save = self._last_said = time.monotonic()
        self._began = 0.0
        self.last: dict[str, float] = {}
        self.eval_losses: dict[int, float] = {}
        self.early_stopping: str | None = None
        self.step_seconds = 0.0
        self.eval_seconds: list[float] = []
        self.tokens = self._tokens_before = self._tokens_said = 0.0
        self._seconds_said = 0.0

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self._attempt.running(
            state.max_steps,
            resumed_from_step=state.global_step,
            resolved=self.resolved,
            versions=self._versions,
        )
        self._attempt.progress("training", state.global_step, state.max_steps)
        self._tokens_before = self._tokens_said = self.tokens = float(state.num_input_tokens_seen)
        self._last_save = time.monotonic()

    def on_epoch_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self._order.epoch = state.global_step // self._plan.steps_per_epoch

    def on_step_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self._began = time.perf_counter()

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> TrainerControl:
        now = time.perf_counter()
        self.step_seconds += now - self._began
        self._ends.append((state.global_step, self.step_seconds))
        if self._attempt.is_stopping:
            control.should_save = True
            control.should_evaluate = False
            control.should_training_stop = True
        elif self._plan.save_seconds is not None and time.monotonic() - self._last_save > self._plan.save_seconds:
            control.should_save = True
        elif state.global_step >= state.max_steps and self._plan.eval_steps is not None:
            control.should_evaluate = True  # so that the last checkpoint knows its loss
        rate = self._rate()
        eta = (state.max_steps - state.global_step) / rate if rate else None
        self._attempt.progress("training", state.global_step, state.max_steps, rate, eta)
        return control

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: Mapping[str, float] | None = None,
        **_: Any,
    ) -> None:
        if not logs or "loss" not in logs:
            return
        values = {ours: float(logs[name]) for name, ours in _LOGGED.items() if name in logs}
        self.tokens = values.get("tokens", 0.0)
        if self.step_seconds > self._seconds_said:
            seconds, tokens = self.step_seconds - self._seconds_said, self.tokens - self._tokens_said
            values["tokens_per_second"] = tokens / seconds
            self._seconds_said, self._tokens_said = self.step_seconds, self.tokens
        self._attempt.spool.metric(state.global_step, values)
        for name in ("loss", "grad_norm"):
            if not math.isfinite(values.get(name, 0.0)):
                raise nan_loss(state.global_step, name, values[name])
        self.last = values
        now = time.monotonic()
        if now - self._last_said > _SAY_SECONDS or state.global_step in (1, state.max_steps):
            self._last_said = now
            rate = self._rate()
            left = f", {(state.max_steps - state.global_step) / rate:.0f} s left" if rate else ""
            self._attempt.say(
                f"step {state.global_step}/{state.max_steps}: loss {values['loss']:.4f}, "
                f"learning rate {values['learning_rate']:.2e}{left}"
            )

    def evaluated(self, state: TrainerState, control: TrainerControl, metrics: Mapping[str, float]) -> None:
        """The trainer's own evaluation is done: keep what is best, and stop where nothing gets better."""
        step = state.global_step
        self._attempt.spool.metric(step, dict(metrics))
        self._attempt.say(f"step {step}: held-out loss {metrics['eval_loss']:.4f}")
        if not math.isfinite(metrics["eval_loss"]):
            raise nan_loss(step, "held-out loss", metrics["eval_loss"])
        self.eval_losses[step] = metrics["eval_loss"]
        self.eval_seconds.append(metrics["eval_seconds"])
        patience = self._arguments.early_stopping_patience
        if (patience or self._arguments.load_best_model_at_end) and evaluations.best_step(self.eval_losses) == step:
            control.should_save = True
        if patience and step < state.max_steps:
            self.early_stopping = evaluations.why_stop(
                self.eval_losses, patience, self._arguments.early_stopping_threshold
            )
            if self.early_stopping is not None:
                control.should_save = control.should_training_stop = True

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self._last_save = time.monotonic()

    def speeds(self) -> dict[str, float]:
        """Means over all steps and evaluations of this attempt, and the tokens of all attempts."""
        found = {"tokens": self.tokens}
        if self.step_seconds > 0:
            found["tokens_per_second"] = (self.tokens - self._tokens_before) / self.step_seconds
        if self.eval_seconds:
            found["eval_seconds"] = sum(self.eval_seconds) / len(self.eval_seconds)
        return found

    def _rate(self) -> float | None:
        """Steps per second over the last 50, evaluations and checkpoints not counted."""
        if len(self._ends) < 2:
            return None
        (first, began), (last, ended) = self._ends[0], self._ends[-1]
        return (last - first) / (ended - began) if ended > began else None


def nan_loss(step: int, name: str, value: float) -> ChildFailure:
    return ChildFailure(
        "nan_loss",
        f"the {name.replace('_', ' ')} became {value} at step {step}",
        "lower the learning rate, raise the warm-up, or train in float32",
    )
