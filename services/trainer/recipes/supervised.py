"""Supervised fine-tuning by any method: from a recipe to what the method makes, on disk.

Heavy libraries are imported on the way, after the data was found to be good: a bad file fails in a second.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psutil
from tunebus.contracts.recipes import FineTuningRecipe
from tunebus.services.platform.child import models
from tunebus.services.platform.child.attempt import Attempt, Ending
from tunebus.services.platform.child.dataset import encode, load_rows, longest_allowed, make_encoder
from tunebus.services.platform.child.failures import ChildFailure
from tunebus.services.platform.child.files import folder_sha256, sync_folder, sync_tree
from tunebus.services.platform.rows.encoding import Counts, Encoded, fit, set_pad_token
from tunebus.services.trainer import checkpoints
from tunebus.services.trainer.recipes import evaluations, footprint, full, initial, lora
from tunebus.services.trainer.recipes import plan as planning
from tunebus.services.trainer.recipes.footprint import GIB, Sizes
from tunebus.services.trainer.recipes.method import Method, Trained
from tunebus.services.trainer.recipes.plan import Device, Plan

METHODS: dict[str, Method] = {"lora": lora.METHOD, "full": full.METHOD}


def train(attempt: Attempt) -> Ending:
    """Run the recipe of the attempt's job to its end, or to the order to stop. Errors: any; see `failures.explain`."""
    recipe = FineTuningRecipe.model_validate(attempt.job.recipe)
    arguments, method = recipe.training_arguments, METHODS[recipe.method]
    attempt.progress("loading", 0, 1)
    rows, split = load_rows(recipe.dataset)
    if not split.train:
        raise ChildFailure(
            "bad_data",
            f"no row is left to train on: of {len(rows)} rows, {len(split.test)} are held out",
            "add more rows, or train with train_test_split 1.0",
            {"train_test_split": 1.0},
        )
    attempt.say(f"{len(rows)} rows: {len(split.train)} to train on, {len(split.test)} held out")
    resume, resumed_from = _resume(attempt)
    if recipe.initial_weights is not None and resume is None:
        initial.check(recipe.initial_weights)

    models.quiet()
    import torch

    torch.set_num_threads(attempt.job.threads)
    device: Device = "cuda" if recipe.num_gpu > 0 and torch.cuda.is_available() else "cpu"
    tokenizer = models.load_tokenizer(recipe.model)
    config = models.load_config(recipe.model)
    encoder = make_encoder(tokenizer, recipe.dataset, recipe.text_format)
    total = len(split.train) + len(split.test)
    train_rows = encode(encoder, rows, split.train, lambda done: attempt.progress("preparing", done, total))
    test_rows = encode(
        encoder, rows, split.test, lambda done: attempt.progress("preparing", len(split.train) + done, total)
    )
    sampled = {number: rows[number] for number in split.test[: arguments.eval_samples]}  # the split is shuffled already
    del rows
    attempt.progress("preparing", total, total)
    context = models.context_length(config, tokenizer)
    length = longest_allowed(
        arguments.max_length, context, max(len(row.input_ids) for row in [*train_rows, *test_rows])
    )
    train_rows, train_counts = fit(train_rows, length)
    test_rows, test_counts = fit(test_rows, length)
    _say_counts(attempt, train_counts, test_counts, length)

    half = device == "cuda" and torch.cuda.is_bf16_supported()
    model = models.load_model(recipe.model, method.weight_type(half))
    pad_token = set_pad_token(tokenizer, models.check_vocabulary(tokenizer, model, recipe.model), encoder.stop_ids)
    if recipe.method == "full":
        parameters = sum(parameter.numel() for parameter in model.parameters())
        footprint.check_memory(arguments, Sizes(parameters, parameters), *_memory(recipe, device))
    settled = settle(recipe, config, device, length, train_counts, test_counts, context)
    attempt.say(f"{settled.total_steps} steps in {settled.precision} on {settled.device}")
    if attempt.is_stopping:
        return Ending("stopped", step=resumed_from)

    samples = None
    if sampled and settled.eval_steps is not None:
        from tunebus.services.trainer.recipes.samples import Samples

        samples = Samples(attempt, encoder, tokenizer, sampled, context)
    trainer, reporter = build(
        recipe,
        settled,
        model,
        tokenizer,
        train_rows,
        test_rows,
        attempt=attempt,
        resume=resume,
        samples=samples,
        extra={
            "method": recipe.method,
            "pad_token": pad_token,
            "text_format": encoder.text_format,
            "train": asdict(train_counts),
            "held_out": asdict(test_counts),
            "dataset_sha256": recipe.dataset.sha256,
            "model_sha256": recipe.model.sha256,
            "threads": attempt.job.threads,
            "num_memory_gb": recipe.num_memory_gb,
            "gpu": torch.cuda.get_device_name() if device == "cuda" else None,
        },
    )
    assert reporter is not None
    if recipe.initial_weights is not None and resume is None:
        initial.load(trainer, recipe.initial_weights)
        attempt.say(
            f"going on from the weights of step {recipe.initial_weights.step} of {recipe.initial_weights.job_id}"
        )
    trainer.train(resume_from_checkpoint=str(resume) if resume is not None else None)
    step = int(trainer.state.global_step)
    if attempt.is_stopping and step < settled.total_steps and reporter.early_stopping is None:
        attempt.say(f"stopped after step {step}")
        return Ending("stopped", step=step, metrics=_metrics(trainer, reporter, step - resumed_from))
    if settled.eval_steps is not None and step not in reporter.eval_losses:
        trainer.evaluate()
    if reporter.early_stopping is not None:
        attempt.say(f"stopped early: {reporter.early_stopping}")
    kept = _load_best(attempt, trainer, reporter) if arguments.load_best_model_at_end else None
    attempt.progress("saving", step, settled.total_steps)
    trained = Trained(trainer.model, tokenizer, recipe, encoder.stop_ids, getattr(config, "dtype", None))
    metrics = _metrics(trainer, reporter, step - resumed_from, kept)
    folder = save(attempt.folder, method, trained)
    attempt.say(f"{method.result} {recipe.adapter_name} saved")
    return Ending(
        "finished",
        step,
        method.result,
        folder_sha256(folder),
        result_type=method.result,
        early_stopping=reporter.early_stopping,
        metrics=metrics,
    )


def settle(
    recipe: FineTuningRecipe,
    config: Any,
    device: Device,
    length: int,
    train: Counts,
    held_out: Counts,
    context: int | None = None,
) -> Plan:
    """The plan of this run on this machine. Errors: `bad_data`, `bad_configuration`."""
    import torch

    arguments = recipe.training_arguments
    if not train.kept:
        enough = min(train.longest, context or train.longest)  # what is over the context would be refused
        longer = arguments.max_length is not None and enough > arguments.max_length
        raise ChildFailure(
            "bad_data",
            f"none of the {train.rows} training rows has an answer within {length} tokens",
            "raise max_length, or shorten the prompts",
            {"max_length": enough} if longer else None,
        )
    precision = planning.precision(
        arguments.precision, device, gpu_has_bf16=device == "cuda" and torch.cuda.is_bf16_supported()
    )
    checkpointing = arguments.gradient_checkpointing
    if checkpointing is None:
        free = torch.cuda.mem_get_info()[0] if device == "cuda" else psutil.virtual_memory().available
        limit = recipe.num_memory_gb
        if device == "cpu" and limit is not None:
            free = min(free, int(limit * GIB) - psutil.Process().memory_info().rss)
        estimate = planning.activation_bytes(
            tokens=arguments.per_device_train_batch_size * length,
            layers=int(getattr(config, "num_hidden_layers", 1)),
            hidden=int(getattr(config, "hidden_size", 1)),
            intermediate=int(getattr(config, "intermediate_size", None) or 4 * getattr(config, "hidden_size", 1)),
            vocabulary=int(config.vocab_size),
            bytes_per_value=4 if precision == "float32" else 2,
        )
        checkpointing = planning.needs_gradient_checkpointing(estimate, free)
    return planning.plan(
        arguments,
        rows=train.kept,
        held_out=held_out.kept,
        length=length,
        device=device,
        precision=precision,
        gradient_checkpointing=checkpointing,
        goes_on=recipe.initial_weights is not None,
    )


def build(
    recipe: FineTuningRecipe,
    settled: Plan,
    model: Any,
    tokenizer: Any,
    train_rows: Sequence[Encoded],
    test_rows: Sequence[Encoded],
    *,
    attempt: Attempt | None = None,
    output_dir: Path | None = None,
    resume: Path | None = None,
    samples: Any = None,
    extra: Mapping[str, Any] | None = None,
) -> tuple[Any, Any]:
    """The trainer, ready to run, and its reporter (None without an attempt).
    Errors: `bad_configuration`; `disk_full` where its checkpoints would not fit.
    """
    from transformers import PrinterCallback
    from transformers.trainer_utils import SaveStrategy
    from trl import SFTConfig
    from tunebus.services.trainer.recipes.loop import RecipeTrainer
    from tunebus.services.trainer.recipes.order import Order
    from tunebus.services.trainer.recipes.reporting import Reporter

    arguments = recipe.training_arguments
    lengths = [len(row.input_ids) for row in train_rows]
    order = Order(lengths, arguments.per_device_train_batch_size, arguments.seed, grouped=arguments.group_by_length)
    reporter = None
    if attempt is not None:
        known = arguments.model_dump() | planning.describe(settled, dict(extra or {}), lengths)
        resolved = {name: value for name, value in known.items() if value is not None}
        if recipe.lora is not None:
            resolved["lora"] = recipe.lora.model_dump()
        reporter = Reporter(attempt, settled, order, arguments, resolved, models.versions())
        if resume is not None:
            reporter.eval_losses.update(evaluations.read(resume))
    folder = attempt.folder / "checkpoints" if attempt is not None else output_dir
    assert folder is not None
    checkpoints.remove_drafts(folder)
    options = SFTConfig(
        output_dir=str(folder),
        max_steps=settled.total_steps,
        per_device_train_batch_size=arguments.per_device_train_batch_size,
        per_device_eval_batch_size=settled.eval_batch_size,
        gradient_accumulation_steps=arguments.gradient_accumulation_steps,
        learning_rate=arguments.learning_rate,
        lr_scheduler_type=arguments.lr_scheduler_type,
        warmup_steps=settled.warmup_steps,
        weight_decay=arguments.weight_decay,
        max_grad_norm=arguments.max_grad_norm,
        optim=arguments.optim,
        seed=arguments.seed,
        bf16=settled.precision == "bfloat16",
        fp16=settled.precision == "float16",
        use_cpu=settled.device == "cpu",
        gradient_checkpointing=settled.gradient_checkpointing,
        logging_steps=arguments.logging_steps,
        logging_nan_inf_filter=False,  # a loss that is no number ends the job; it is not averaged away
        eval_strategy="steps" if settled.eval_steps else "no",
        eval_steps=settled.eval_steps,
        eval_on_start=settled.eval_steps is not None and resume is None,
        save_strategy=SaveStrategy.STEPS if attempt is not None else SaveStrategy.NO,
        save_steps=settled.save_steps,
        max_length=None,  # rows are cut already, and counted
        dataset_kwargs={"skip_prepare_dataset": True},
        report_to="none",
        disable_tqdm=True,
        dataloader_pin_memory=settled.device == "cuda",
        push_to_hub=False,
    )
    try:
        trainer = RecipeTrainer(
            order=order,
            held_out=[_example(row) for row in test_rows],
            attempt=attempt,
            reporter=reporter,
            samples=samples,
            longest=settled.max_length,
            save_last=arguments.save_total_limit,
            first_rate=recipe.initial_weights.learning_rate if recipe.initial_weights else None,
            model=model,
            args=options,
            train_dataset=_dataset(train_rows),
            eval_dataset=_dataset(test_rows) if settled.eval_steps else None,
            processing_class=tokenizer,
            peft_config=METHODS[recipe.method].peft_config(recipe),
        )
    except ValueError as error:
        raise ChildFailure("bad_configuration", str(error).split("\n", 1)[0]) from None
    trainer.remove_callback(PrinterCallback)  # the reporter says it better
    if recipe.method == "lora":
        # The path of this machine would say nothing elsewhere, and a studio's home can move.
        trainer.model.peft_config["default"].base_model_name_or_path = Path(recipe.model.location).name
    if attempt is not None:
        assert reporter is not None
        sizes = _sizes(trainer.model)
        footprint.check_disk(attempt.folder, arguments, settled, sizes)
        reporter.resolved |= {"parameters": sizes.parameters, "trainable_parameters": sizes.trainable}
        layers = getattr(model.config.get_text_config(), "num_hidden_layers", None)
        reporter.resolved |= {"layers": layers} if layers else {}
    return trainer, reporter


def save(folder: Path, method: Method, trained: Trained) -> Path:
    """Write what the method makes, whole or not at all; returns its folder."""
    draft, target = folder / f".tmp-{method.result}", folder / method.result
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir()
    method.save(draft, trained)
    sync_tree(draft)
    shutil.rmtree(target, ignore_errors=True)
    draft.rename(target)
    sync_folder(folder)
    return target


def _resume(attempt: Attempt) -> tuple[Path | None, int]:
    if attempt.job.resume_from is None:
        return None, 0
    folder = Path(attempt.job.resume_from)
    manifest = checkpoints.read(folder, attempt.job.resume_manifest_sha256)
    attempt.say(f"resuming after step {manifest.step}")
    return folder, manifest.step


def _load_best(attempt: Attempt, trainer: Any, reporter: Any) -> int | None:
    """Take back the weights with the least held-out loss; returns their step, or None where no row is held out.

    A best step of an earlier attempt is looked for in that attempt's folder.
    """
    best = evaluations.best_step(reporter.eval_losses)
    if best is None or best == trainer.state.global_step:
        return best
    for folder in checkpoints.of_step(attempt.folder, best):
        if checkpoints.verify(folder):
            trainer._load_from_checkpoint(str(folder))
            attempt.say(f"the weights of step {best} are kept, where the held-out loss was least")
            return best
    raise ChildFailure(
        "crashed",
        f"the checkpoint of step {best}, which has the least held-out loss, is not there any more",
        "resume the job without load_best_model_at_end",
    )


def _memory(recipe: FineTuningRecipe, device: Device) -> tuple[int, str]:
    """The most memory there can be for the job, and whose it is, in words."""
    import torch

    if device == "cuda":
        return int(torch.cuda.get_device_properties(0).total_memory), "the GPU has"
    if recipe.num_memory_gb is not None:
        return int(recipe.num_memory_gb * GIB), "the job may use, by its num_memory,"
    return int(psutil.virtual_memory().total), "the machine has"


def _sizes(model: Any) -> Sizes:
    parameters = list(model.parameters())
    trainable = sum(parameter.numel() for parameter in parameters if parameter.requires_grad)
    return Sizes(sum(parameter.numel() for parameter in parameters), trainable)


def _dataset(rows: Sequence[Encoded]) -> Any:
    import numpy
    from datasets import Dataset

    return Dataset.from_dict(
        {
            "input_ids": [numpy.asarray(row.input_ids, dtype=numpy.int32) for row in rows],
            "labels": [numpy.asarray(row.labels, dtype=numpy.int32) for row in rows],
        }
    )


def _example(row: Encoded) -> dict[str, list[int]]:
    return {"input_ids": row.input_ids.tolist(), "labels": row.labels.tolist()}


def _metrics(trainer: Any, reporter: Any, steps: int, kept: int | None = None) -> dict[str, float | None]:
    """The figures of the end; the held-out loss is that of the step whose weights are `kept`, else of the last."""
    losses = reporter.eval_losses
    metrics: dict[str, float | None] = {"loss": reporter.last.get("loss")}
    if losses:
        last = losses[max(losses) if kept is None else kept]
        metrics |= {
            "eval_loss": last,
            "eval_perplexity": math.exp(last) if last < 700 else None,
        }
        if 0 in losses:
            metrics["eval_loss_before"] = losses[0]
        if (best := evaluations.best_step(losses)) is not None:
            metrics |= {"best_eval_loss": losses[best], "best_step": float(best)}
    if steps > 0 and reporter.step_seconds > 0:
        metrics["steps_per_second"] = steps / reporter.step_seconds
        metrics |= reporter.speeds()
    sizes = _sizes(trainer.model)
    return metrics | {"trainable_parameters": float(sizes.trainable), "parameters": float(sizes.parameters)}


def _say_counts(attempt: Attempt, train: Counts, held_out: Counts, length: int) -> None:
    for name, counts in (("training", train), ("held-out", held_out)):
        if counts.truncated or counts.without_answer:
            attempt.say(
                f"of {counts.rows} {name} rows, {counts.truncated} are cut at {length} tokens and "
                f"{counts.without_answer} left out, since no answer is left of them"
            )
