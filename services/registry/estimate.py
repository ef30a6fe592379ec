"""What a fine-tuning will need, before it runs: memory term by term, steps, tokens, disk, and time.

Pure arithmetic over the recipe, the model's shape and the lengths of the data. Bytes, unless a name says otherwise.
Where a term follows a formula of others, its docstring names the source; `docs/queue.md` compares with measurements.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from tunebus.contracts.recipes import FineTuningRecipe, TrainingArguments

GIB = 1024**3
FLOAT32, HALF = 4, 2
# Optimizer state per trained parameter: Adam (Kingma and Ba 2015, arXiv:1412.6980) keeps two averages in float32;
# Adafactor (Shazeer and Stern 2018, arXiv:1804.04235) one value a row and column.
OPTIMIZER_BYTES = {"adamw_torch": 8.0, "adamw_torch_fused": 8.0, "adafactor": 0.5, "sgd": 0.0}
# Interpreter, torch, transformers and trl: measured with torch 2.13 on Linux. A GPU's context and workspaces: CUDA 12.
LIBRARY_BYTES = 576 * 1024**2
GPU_CONTEXT_BYTES = 900 * 1024**2
SMALL_FILES = 1024**2  # of a checkpoint: tokenizer, configs, state of schedule and random numbers
LOSS_SLICES = 3 * 8 * 1024**2  # the loss on a CPU takes the output head in slices of 8 MiB
_CHECKPOINTS = 10  # as the trainer does when save_steps is left to it
UNKNOWN_LENGTH = 512
FEW_STEPS = 20  # fewer are mostly warm-up
MARGIN = 1.5  # what an estimate of memory may be off by; see docs/queue.md for measurements

Document = dict[str, Any]


@dataclass(frozen=True)
class Lengths:
    """Tokens of a row, over the rows that were counted."""

    mean: float = UNKNOWN_LENGTH
    longest: int = UNKNOWN_LENGTH
    median: int = UNKNOWN_LENGTH
    counted: int = 0
    counted_with: str | None = None

    @classmethod
    def of(cls, found: Mapping[str, Any] | None) -> Lengths:
        if not found or not found["counted"]:
            return cls()
        return cls(found["mean"], found["max"], found["median"], found["counted"], found["counted_with"])


@dataclass(frozen=True)
class Sizes:
    """What a model's files say of it. `linear` sums inputs and outputs of the linear layers of each name."""

    parameters: int
    layers: int
    hidden: int
    intermediate: int
    vocabulary: int
    linear: Mapping[str, int]
    linear_parameters: int
    context_length: int | None = None

    @classmethod
    def of(cls, parameters: int, vocabulary: int | None, context: int | None, shape: Mapping[str, Any]) -> Sizes:
        return cls(
            parameters,
            shape["layers"],
            shape["hidden_size"],
            shape["intermediate_size"],
            vocabulary or 0,
            shape["linear"],
            shape["linear_parameters"],
            context,
        )


@dataclass(frozen=True)
class Speed:
    """How fast an earlier job of the same model was, and how much it trained."""

    tokens_per_second: float
    tokens: float
    steps: int


@dataclass(frozen=True)
class Facts:
    """What is known beside the recipe. `speeds` are those of earlier jobs of the same model, `workers` the trainers
    that are present."""

    lengths: Lengths = Lengths()
    speeds: Sequence[Speed] = ()
    workers: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True)
class Memory:
    """The terms of the fullest moment of a step."""

    weights: int
    adapter: int
    gradients: int
    optimizer: int
    activations: int
    logits: int
    overhead: int
    total: int = field(init=False)

    def __post_init__(self) -> None:
        terms = (self.weights, self.adapter, self.gradients, self.optimizer, self.activations, self.logits)
        object.__setattr__(self, "total", sum(terms) + self.overhead)


@dataclass(frozen=True)
class Training:
    """The settings that memory depends on, to be varied."""

    method: str
    optim: str
    batch: int
    length: int
    rank: int
    targets: Iterable[str] | str
    on_gpu: bool
    half: bool
    checkpointing: bool


def estimate(recipe: FineTuningRecipe, sizes: Sizes, train_rows: int, held_out: int, facts: Facts) -> Document:
    """Everything at once, ready to be kept and shown. `fits` is None where no trainer is there to be measured against;
    `least_memory` is what a batch of one row needs, `smaller` are changes that need less, as fields of the command."""
    arguments = recipe.training_arguments
    longest = max(1, min(_known(arguments.max_length, sizes.context_length, facts.lengths.longest)))
    training = _training(recipe, longest)
    needed = memory(sizes, training)
    limit = memory_limit(recipe.num_gpu, recipe.num_memory_gb)
    workers = [_against(worker, needed.total, training.on_gpu, limit) for worker in facts.workers]
    fits = any(worker["fits"] for worker in workers) if workers else None
    room = max((worker["memory"] for worker in workers), default=limit)
    per_epoch, steps = steps_of(arguments, train_rows)
    seen = arguments.num_train_epochs * train_rows
    if arguments.max_steps:
        seen = steps * arguments.per_device_train_batch_size * arguments.gradient_accumulation_steps
    tokens = round(seen * min(facts.lengths.mean, longest))
    trainable = trainable_parameters(sizes, training)
    speed, basis = _speed(facts.speeds), "unknown: no earlier job of this model has been measured here"
    if speed:
        basis = f"{_counted_in(facts.speeds)} of this model here"
    return {
        "device": "gpu" if training.on_gpu else "cpu",
        "memory": {name: getattr(needed, name) for name in Memory.__dataclass_fields__},
        "least_memory": memory(sizes, replace(training, batch=1)).total,
        "trainable_parameters": trainable,
        "rows": {"train": train_rows, "held_out": held_out},
        "steps": steps,
        "steps_per_epoch": per_epoch,
        "tokens": tokens,
        "flops": tokens * flops_per_token(sizes, training, facts.lengths.mean),
        "disk": disk(recipe, trainable, steps),
        "time": {
            "seconds": round(tokens / speed, 1) if speed else None,
            "tokens_per_second": round(speed, 1) if speed else None,
            "basis": basis,
        },
        "lengths": {name: getattr(facts.lengths, name) for name in Lengths.__dataclass_fields__},
        "fits": fits,
        "workers": workers,
        "smaller": [] if fits else smaller(recipe, sizes, training, facts.lengths, room),
    }


def memory_limit(num_gpu: int, num_memory: float | None) -> int | None:
    """What the job's num_memory leaves to a training on the processor. A GPU's memory is not what it limits."""
    return int(num_memory * GIB) if num_memory is not None and not num_gpu else None


def enough_memory(recipe: Mapping[str, Any], kept: Mapping[str, Any] | None) -> Document | None:
    """What to give a job that ran out of memory, as a field of the command, by the estimate that was kept of it; None
    where smaller batches may do."""
    limit = memory_limit(recipe.get("num_gpu") or 0, recipe.get("num_memory_gb"))
    least = (kept or {}).get("least_memory")
    if kept is None or limit is None or least is None or limit >= least:
        return None
    return {"num_memory": math.ceil(10 * MARGIN * kept["memory"]["total"] / GIB) / 10}


def memory(sizes: Sizes, training: Training) -> Memory:
    """The terms of one training.

    Weights: a base that LoRA freezes is kept in bfloat16 on a GPU and in float32 on a CPU; weights that are trained are
    kept in float32 (mixed precision, Micikevicius et al. 2018, arXiv:1710.03740). LoRA's own are float32. Gradients and
    optimizer state exist for trained parameters alone.
    """
    full = training.method == "full"
    trainable = trainable_parameters(sizes, training)
    base_bytes = HALF if training.on_gpu and not full else FLOAT32
    return Memory(
        weights=sizes.parameters * base_bytes,
        adapter=0 if full else trainable * FLOAT32,
        gradients=trainable * FLOAT32,
        optimizer=int(trainable * OPTIMIZER_BYTES[training.optim]),
        activations=activations(sizes, training),
        logits=logits(sizes, training),
        overhead=LIBRARY_BYTES if not training.on_gpu else GPU_CONTEXT_BYTES,
    )


def trainable_parameters(sizes: Sizes, training: Training) -> int:
    """LoRA puts r x (inputs + outputs) beside each linear layer that it adapts (Hu et al. 2021, arXiv:2106.09685,
    section 4.1); all-linear leaves the output head out."""
    if training.method == "full":
        return sizes.parameters
    if training.targets == "all-linear":
        return training.rank * sum(sizes.linear.values())
    return training.rank * sum(size for name, size in sizes.linear.items() if name in set(training.targets))


def activations(sizes: Sizes, training: Training) -> int:
    """What the backward pass needs of the forward pass.

    Per token and layer some 20 values of the hidden and 6 of the intermediate width, after Korthikanti et al. 2022,
    arXiv:2205.05198, without the attention matrix, which the fused kernels never write down. With checkpointing (Chen
    et al. 2016, arXiv:1604.06174) one value of the hidden width a layer, and one layer in full.
    """
    tokens = training.batch * training.length
    value = HALF if training.half else FLOAT32
    layer = 20 * sizes.hidden + 6 * sizes.intermediate
    if training.checkpointing:
        return tokens * value * (sizes.layers * sizes.hidden + layer)
    return tokens * value * sizes.layers * layer


def logits(sizes: Sizes, training: Training) -> int:
    """The output head's results in float32 and their gradient: tokens x vocabulary, twice. With a frozen head on a CPU
    they are taken in slices (see the trainer's loss)."""
    whole = training.batch * training.length * sizes.vocabulary * 2 * FLOAT32
    frozen_on_cpu = not training.on_gpu and training.method != "full"
    return min(whole, LOSS_SLICES) if frozen_on_cpu else whole


def steps_of(arguments: TrainingArguments, rows: int) -> tuple[int, int]:
    """(optimizer steps of an epoch, of the whole training), as the trainer counts them."""
    batches = math.ceil(rows / arguments.per_device_train_batch_size)
    per_epoch = max(1, math.ceil(batches / arguments.gradient_accumulation_steps))
    return per_epoch, arguments.max_steps or max(1, math.ceil(arguments.num_train_epochs * per_epoch))


def flops_per_token(sizes: Sizes, training: Training, length: float) -> int:
    """Floating-point operations of a training step for one token: forward 2N and backward 4N for N parameters in
    products (Kaplan et al. 2020, arXiv:2001.08361, section 2.1), causal attention 2 x layers x width x length forward
    and twice that backward. LoRA saves the gradients of the frozen weights: 4N, and 6 for each of its own."""
    products = sizes.linear_parameters + sizes.vocabulary * sizes.hidden
    attention = round(2 * sizes.layers * sizes.hidden * length)
    if training.method == "full":
        return 6 * products + 3 * attention
    return 4 * products + 3 * attention + 6 * trainable_parameters(sizes, training)


def disk(recipe: FineTuningRecipe, trainable: int, steps: int) -> Document:
    """Checkpoints hold the trained weights in float32 and the optimizer's state.
    There at once are those kept, the best, and the one being written.
    """
    arguments = recipe.training_arguments
    checkpoint = int(trainable * (FLOAT32 + OPTIMIZER_BYTES[arguments.optim])) + SMALL_FILES
    every = arguments.save_steps or math.ceil(steps / _CHECKPOINTS)
    count = min(arguments.save_total_limit + 2, math.ceil(steps / every) + 1)
    result = trainable * FLOAT32 + SMALL_FILES
    return {
        "checkpoint": checkpoint,
        "checkpoints": count,
        "result": result,
        "total": count * checkpoint + result,
    }


def smaller(
    recipe: FineTuningRecipe, sizes: Sizes, training: Training, lengths: Lengths, room: int | None
) -> list[Document]:
    """Up to three ways to need less, those that save most first: `change` in the command's fields, `memory` with it."""
    arguments = recipe.training_arguments
    ways: list[tuple[str, Document, Training]] = []
    if training.batch > 1:
        batch = max(1, training.batch // 4)
        accumulation = arguments.gradient_accumulation_steps * math.ceil(training.batch / batch)
        words = "smaller batches, as many of them gathered before each step"
        change: Document = {"batch_size": batch, "gradient_accumulation_steps": accumulation}
        ways.append((words, change, replace(training, batch=batch)))
    if not training.checkpointing:
        words = "compute activations again instead of keeping them: a third more time"
        ways.append((words, {"gradient_checkpointing": True}, replace(training, checkpointing=True)))
    shorter = max(1, min(training.length // 2, lengths.median))
    if shorter < training.length:
        ways.append(("cut long rows", {"max_length": shorter}, replace(training, length=shorter)))
    if training.method == "full":
        adapter = replace(training, method="lora", rank=16, targets="all-linear")
        ways.append(("train an adapter instead of every weight", {"method": "lora"}, adapter))
    elif training.rank > 1:
        rank = max(1, training.rank // 4)
        ways.append(("a narrower adapter", {"lora": {"r": rank}}, replace(training, rank=rank)))
    if OPTIMIZER_BYTES[training.optim] > OPTIMIZER_BYTES["adafactor"]:
        change = {"training_arguments": {"optim": "adafactor"}}
        ways.append(("an optimizer that keeps less", change, replace(training, optim="adafactor")))
    now = memory(sizes, training).total
    found = [(memory(sizes, varied).total, words, change) for words, change, varied in ways]
    found.sort(key=lambda way: way[0])
    return [
        {"change": change, "words": words, "memory": total, "fits": total <= room if room is not None else None}
        for total, words, change in found[:3]
        if total < now
    ]


def _training(recipe: FineTuningRecipe, length: int) -> Training:
    arguments, lora = recipe.training_arguments, recipe.lora
    on_gpu = recipe.num_gpu > 0
    return Training(
        method=recipe.method,
        optim=arguments.optim,
        batch=arguments.per_device_train_batch_size,
        length=length,
        rank=lora.r if lora else 0,
        targets=lora.target_modules if lora else (),
        on_gpu=on_gpu,
        half=arguments.precision in ("bfloat16", "float16") or (on_gpu and arguments.precision == "auto"),
        checkpointing=bool(arguments.gradient_checkpointing),
    )


def _worth(speeds: Sequence[Speed]) -> Sequence[Speed]:
    """Those worth going by: the first steps are the slow ones, so a job of a few says little where there are longer."""
    return [speed for speed in speeds if speed.steps >= FEW_STEPS] or speeds


def _speed(speeds: Sequence[Speed]) -> float | None:
    """All their tokens by all their seconds: a long job counts for more than a short one."""
    counted = _worth(speeds)
    seconds = sum(speed.tokens / speed.tokens_per_second for speed in counted)
    return sum(speed.tokens for speed in counted) / seconds if seconds else None


def _counted_in(speeds: Sequence[Speed]) -> str:
    count = len(_worth(speeds))
    return "1 earlier job" if count == 1 else f"{count} earlier jobs, the longer counting for more,"


def _against(worker: Mapping[str, Any], total: int, on_gpu: bool, limit: int | None) -> Document:
    """Whether a worker has the memory, within the job's own limit. A GPU that does not say how much it has is not
    counted on."""
    capabilities = worker["capabilities"]
    has = capabilities.get("memory_gb", 0.0)
    if on_gpu:
        has = max((device.get("memory_gb") or 0.0 for device in capabilities.get("devices") or ()), default=0.0)
    room = int(has * GIB) if limit is None else min(int(has * GIB), limit)
    return {"worker_id": worker["worker_id"], "host": worker["host"], "memory": room, "fits": total <= room}


def _known(*values: int | None) -> list[int]:
    return [value for value in values if value is not None]
