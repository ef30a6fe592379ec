"""trl's SFTTrainer with four things replaced: the loss on a CPU, the order of rows, evaluation, and checkpoints.

Everything else (optimizer, schedule, clipping, accumulation, mixed precision, resume) is transformers' own.
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from transformers import get_scheduler
from trl import SFTTrainer
from tunebus.services.platform.child.attempt import Attempt
from tunebus.services.platform.rows.encoding import IGNORED
from tunebus.services.trainer import checkpoints
from tunebus.services.trainer.recipes import evaluations
from tunebus.services.trainer.recipes.loss import frozen_head_loss
from tunebus.services.trainer.recipes.order import Order
from tunebus.services.trainer.recipes.padding import Padding
from tunebus.services.trainer.recipes.reporting import Reporter, nan_loss
from tunebus.services.trainer.recipes.samples import Samples

_ONE_FILE = "100TB"


class RecipeTrainer(SFTTrainer):  # type: ignore[misc]  # trl ships no types that mypy follows here
    """Trains on rows that are encoded already, of at most `longest` tokens. `attempt` and `reporter` may be left out to
    run it bare.
    """

    def __init__(
        self,
        *,
        order: Order,
        held_out: Sequence[dict[str, Any]] = (),
        attempt: Attempt | None = None,
        reporter: Reporter | None = None,
        samples: Samples | None = None,
        longest: int,
        save_last: int = 2,
        first_rate: float | None = None,
        **options: Any,
    ) -> None:
        self._first_rate = first_rate
        self._order = order
        self._held_out = sorted(held_out, key=lambda row: len(row["input_ids"]), reverse=True)
        self._attempt = attempt
        self._reporter = reporter
        self._samples = samples
        self._save_last = save_last
        super().__init__(callbacks=[reporter] if reporter is not None else None, **options)
        if self.args.device.type == "cpu":
            self.data_collator: Any = Padding(self.data_collator, self.processing_class.pad_token_id, longest)
        self._base = self.model.get_base_model() if hasattr(self.model, "get_base_model") else self.model
        self._picks_positions = "logits_to_keep" in inspect.signature(self._base.forward).parameters
        self._fused: bool | None = None

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """Mean cross-entropy of the tokens that carry loss.

        trl's fused head has no CPU kernel: it runs the head for every position, computes it again for the gradient, and
        measures entropy and accuracy on the way. On a CPU ours takes half the time or less.
        """
        if self.args.device.type != "cpu" or return_outputs or self.aux_loss_enabled:
            found = super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
            self.state.num_input_tokens_seen += int(self._total_train_tokens)  # which counts this batch alone
            self._total_train_tokens = 0
            return found
        if self.model.training:
            self.state.num_input_tokens_seen += int(inputs["attention_mask"].sum())
        if self._fused is None:
            self._fused = self._can_fuse(model, inputs)
        total, tokens, correct = self._fused_loss(inputs) if self._fused else self._plain_loss(model, inputs)
        self._metrics["train"]["mean_token_accuracy"].append(float(correct) / max(1.0, float(tokens)))  # as trl does
        count = num_items_in_batch if num_items_in_batch is not None else tokens
        return total / torch.as_tensor(count).clamp(min=1)

    def _can_fuse(self, model: Any, inputs: dict[str, Any]) -> bool:
        """Whether the head is a frozen linear layer and nothing else: found out by comparing one batch, since a model
        may scale or cap its logits in ways that no attribute tells.
        """
        head = self._base.get_output_embeddings()
        if type(head) is not torch.nn.Linear or any(part.requires_grad for part in head.parameters()):
            return False
        training, state = self.model.training, torch.get_rng_state()
        self.model.eval()
        try:
            with torch.no_grad():
                fused, count, _ = self._fused_loss(inputs)
                plain, _, _ = self._plain_loss(model, inputs)
        except (AttributeError, TypeError):  # a body that is called in another way
            return False
        finally:
            self.model.train(training)
            torch.set_rng_state(state)
        return bool(count) and bool(torch.isclose(fused / count, plain / count, rtol=2e-3, atol=2e-3))

    def _fused_loss(self, inputs: dict[str, Any]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """(summed loss, tokens, tokens that were predicted); the head sees only the positions whose next token carries
        loss.
        """
        targets = inputs["labels"][:, 1:]
        scored = targets != IGNORED
        with self.accelerator.autocast():
            hidden = self._base.get_decoder()(
                input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"], use_cache=False
            ).last_hidden_state
        head = self._base.get_output_embeddings()
        dtype = torch.bfloat16 if self.args.bf16 else head.weight.dtype
        total, correct = frozen_head_loss(hidden[:, :-1][scored], head.weight, head.bias, targets[scored], dtype)
        return total, scored.sum(), correct

    def _plain_loss(self, model: Any, inputs: dict[str, Any]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        logits, targets = self._scored(model, inputs)
        total = F.cross_entropy(logits, targets, ignore_index=IGNORED, reduction="sum")
        correct = (logits.detach().argmax(dim=-1) == targets).sum()
        return total, (targets != IGNORED).sum(), correct

    def _scored(self, model: Any, inputs: dict[str, Any]) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits (tokens x vocabulary, float32) and targets of every position where some row of the batch carries
        loss; the head is not run for the others.
        """
        targets = F.pad(inputs["labels"][:, 1:], (0, 1), value=IGNORED)
        options: dict[str, Any] = {}
        if self._picks_positions:
            positions = (targets != IGNORED).any(dim=0).nonzero().squeeze(1)
            targets = targets[:, positions]
            options["logits_to_keep"] = positions
        output = model(
            input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"], use_cache=False, **options
        )
        return output.logits.flatten(0, 1).float(), targets.flatten()

    def _get_train_sampler(self, train_dataset: Any = None) -> Order:
        return self._order

    lr_scheduler: Any
    _total_train_tokens: int

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
        """transformers' schedule; one that goes on from other weights warms up from the rate that was reached there, so
        that the learning rate makes no jump.
        """
        if self.lr_scheduler is not None or self._first_rate is None:
            return super().create_scheduler(num_training_steps, optimizer)
        target = optimizer if optimizer is not None else self.optimizer
        warmup = int(self.args.warmup_steps)
        usual = get_scheduler(self.args.lr_scheduler_type, target, warmup, num_training_steps).lr_lambdas[0]
        begin = self._first_rate / self.args.learning_rate

        def factor(step: int) -> float:
            return begin + (1.0 - begin) * step / warmup if step < warmup else float(usual(step))

        self.lr_scheduler = torch.optim.lr_scheduler.LambdaLR(target, factor)
        return self.lr_scheduler

    def floating_point_ops(self, inputs: dict[str, Any]) -> int:
        return 0  # walks all parameters at every step for a number that nobody reads

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        logs["tokens"] = float(self.state.num_input_tokens_seen)
        super().log(logs, start_time)
        self.state.log_history.clear()  # telemetry keeps it; a checkpoint need not carry the whole curve

    def evaluate(self, *_: Any, **__: Any) -> dict[str, float]:
        """Loss and accuracy of the next token over all held-out tokens that carry loss, each token counting alike."""
        was_training = self.model.training
        self.model.eval()
        began = time.perf_counter()
        loss = correct = count = 0.0
        size = self.args.per_device_eval_batch_size
        device = self.args.device
        with torch.no_grad():
            for start in range(0, len(self._held_out), size):
                if self._attempt is not None:
                    if self._attempt.is_stopping:
                        break
                    self._attempt.progress("evaluating", self.state.global_step, self.state.max_steps)
                batch = self.data_collator(self._held_out[start : start + size])
                logits, targets = self._scored(self.model, {name: part.to(device) for name, part in batch.items()})
                scored = targets != IGNORED
                loss += float(F.cross_entropy(logits, targets, ignore_index=IGNORED, reduction="sum"))
                correct += float((logits.argmax(dim=-1) == targets)[scored].sum())
                count += float(scored.sum())
            if self._samples is not None and not (self._attempt is not None and self._attempt.is_stopping):
                with self.accelerator.autocast():
                    self._samples.take(self.model, self.state.global_step)
        self.model.train(was_training)
        if self._attempt is not None and self._attempt.is_stopping:
            return {}
        metrics = {"eval_loss": loss / max(count, 1.0), "eval_token_accuracy": correct / max(count, 1.0)}
        metrics["eval_seconds"] = time.perf_counter() - began
        if self._reporter is not None:
            self._reporter.evaluated(self.state, self.control, metrics)
        self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        step = self.state.global_step
        for parameter in self.model.parameters():
            if parameter.requires_grad and not bool(torch.isfinite(parameter).all()):
                raise nan_loss(step, "weights", float("nan"))
        root = Path(self.args.output_dir)
        reporter, attempt = self._reporter, self._attempt
        metrics = {
            "loss": reporter.last.get("loss") if reporter else None,
            "eval_loss": reporter.eval_losses.get(step) if reporter else None,
        }
        sync: Callable[[], None] = attempt.spool.sync if attempt is not None else (lambda: None)
        best = reporter is not None and evaluations.best_step(reporter.eval_losses) == step
        checkpoints.write(root, step, self._write_state, metrics, before_manifest=sync, best=best)
        checkpoints.retain(root, self._save_last, attempt.recorded_step() if attempt is not None else None)

    def _write_state(self, folder: Path) -> None:
        """All that resuming needs, under the names that transformers looks for."""
        if self._base is self.model:
            self.model.save_pretrained(folder, max_shard_size=_ONE_FILE)
        else:
            self.model.save_pretrained(folder, save_embedding_layers=False)
        if self._reporter is not None:
            evaluations.write(folder, self._reporter.eval_losses)
        self._save_optimizer_and_scheduler(str(folder))
        self._save_scaler(str(folder))
        self._save_rng_state(str(folder))
        self.state.save_to_json(str(folder / "trainer_state.json"))
