"""Tokens a second of the LoRA recipe on a CPU, against stock trl.

    python tests/benchmarks/recipe.py [--json] [--pairs 5] [--steps 6] [--threads N]

A Llama of width 256, 6 layers, vocabulary 32k, with LoRA r 16 on all linear layers; batches of 4 rows of 128 tokens.
The baseline is trl's `SFTTrainer` with the defaults of `SFTConfig` and the same `LoraConfig`, learning rate, schedule
and seed, on rows that are tokenized already, so that neither side's clock runs while it tokenizes. Ours is the recipe
as the training child resolves it for this machine. Both use the same number of threads and take turns, each pair in the
other order; the first two steps are not counted. The ratio is the median of the pairs'.

Twice: with loss on every token, as stock trl trains on plain text, and on the last quarter alone, as on an answer.
After each run the loss of the trained model on the rows it trained on is computed in float32, the same way for both:
`loss` says how far ours is from theirs (the goal is within 1 %).
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import sys
import tempfile
import time
import warnings
from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

import torch
from datasets import Dataset
from peft import LoraConfig
from transformers import LlamaConfig, LlamaForCausalLM, PrinterCallback, TrainerCallback
from trl import SFTConfig, SFTTrainer
from tunebus.contracts.recipes import FineTuningRecipe
from tunebus.services.evaluator.scoring import Scorer
from tunebus.services.platform.child import models
from tunebus.services.platform.rows.encoding import IGNORED, Encoded, fit
from tunebus.services.trainer.recipes import supervised

from tests.fixtures.tiny_models import make_tokenizer

BATCH, LENGTH, VOCABULARY = 4, 128, 32_000
UNCOUNTED = 2
GOAL = 2.0
LEARNING_RATE = 2e-3


class Clock(TrainerCallback):
    """When each step ended."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    def on_step_end(self, *_: Any, **__: Any) -> None:
        self.ends.append(time.perf_counter())

    def tokens_per_second(self) -> float:
        ends = self.ends[UNCOUNTED - 1 :]
        return BATCH * LENGTH * (len(ends) - 1) / (ends[-1] - ends[0])


def make_model() -> LlamaForCausalLM:
    torch.manual_seed(0)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=VOCABULARY,
            hidden_size=256,
            intermediate_size=688,
            num_hidden_layers=6,
            num_attention_heads=4,
            num_key_value_heads=4,
            max_position_embeddings=2048,
        )
    )


def make_rows(count: int, answer: int) -> list[Encoded]:
    """Rows in which every token follows from the one before, so that there is something to learn; loss on the last
    `answer` tokens.
    """
    generator = random.Random(1)
    following = [generator.randrange(VOCABULARY) for _ in range(VOCABULARY)]
    rows = []
    for _ in range(count):
        ids = [generator.randrange(64)]
        while len(ids) < LENGTH:
            ids.append(following[ids[-1]] % 512 if generator.random() < 0.9 else generator.randrange(512))
        rows.append(Encoded(array("i", ids), array("i", [IGNORED] * (LENGTH - answer) + ids[LENGTH - answer :])))
    return rows


def make_recipe() -> FineTuningRecipe:
    return FineTuningRecipe.model_validate(
        {
            "model": {"model_id": "m", "location": "/model", "sha256": "0" * 64},
            "dataset": {
                "dataset_id": "d", "location": "/rows.jsonl", "type": "jsonl", "sha256": "0" * 64,
                "features": ["prompt", "completion"], "format": "prompt_completion",
            },
            "training_arguments": {
                "per_device_train_batch_size": BATCH, "learning_rate": LEARNING_RATE, "warmup_ratio": 0.0,
                "lr_scheduler_type": "linear",
            },
            "lora": {},
            "adapter_name": "benchmark",
        }
    )  # fmt: skip


def ours(rows: Sequence[Encoded], tokenizer: Any) -> tuple[float, float]:
    """(tokens per second, loss afterwards) of the recipe."""
    recipe = make_recipe()
    model = make_model()
    kept, counts = fit(rows, LENGTH)
    _, none = fit([], LENGTH)
    settled = supervised.settle(recipe, model.config, "cpu", LENGTH, counts, none)
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        trainer, _ = supervised.build(recipe, settled, model, tokenizer, kept, [], output_dir=Path(folder))
        trainer.add_callback(clock)
        trainer.train()
    return clock.tokens_per_second(), loss_of(trainer.model, rows)


def stock(rows: Sequence[Encoded], tokenizer: Any) -> tuple[float, float]:
    """(tokens per second, loss afterwards) of trl with its defaults."""
    clock = Clock()
    dataset = Dataset.from_dict(
        {"input_ids": [row.input_ids.tolist() for row in rows], "labels": [row.labels.tolist() for row in rows]}
    )
    with tempfile.TemporaryDirectory() as folder:
        trainer = SFTTrainer(
            model=make_model(),
            args=SFTConfig(
                output_dir=folder,
                per_device_train_batch_size=BATCH,
                learning_rate=LEARNING_RATE,
                num_train_epochs=1,
                use_cpu=True,  # without it the defaults are refused on a CPU
                seed=42,
                save_strategy="no",
                disable_tqdm=True,
            ),
            train_dataset=dataset,
            processing_class=tokenizer,
            peft_config=LoraConfig(r=16, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM"),
            callbacks=[clock],
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train()
    return clock.tokens_per_second(), loss_of(trainer.model, rows)


def loss_of(model: Any, rows: Sequence[Encoded]) -> float:
    """Mean loss per token in float32, by one and the same code for both sides."""
    base = model.eval().merge_and_unload().float()
    base.forward = type(base).forward.__get__(base)  # without the wrappers of either trainer
    scorer = Scorer(base, 0)
    pairs = [pair for at in range(0, len(rows), BATCH) for pair in scorer.losses(rows[at : at + BATCH])]
    return sum(loss for loss, _ in pairs) / sum(count for _, count in pairs)


def measure(what: str, answer: int, pairs: int, steps: int) -> dict[str, Any]:
    rows = make_rows(BATCH * (steps + UNCOUNTED), answer)
    tokenizer = make_tokenizer()
    taken: list[tuple[tuple[float, float], tuple[float, float]]] = []
    for number in range(pairs):
        if number % 2:
            mine = ours(rows, tokenizer)
            theirs = stock(rows, tokenizer)
        else:
            theirs = stock(rows, tokenizer)
            mine = ours(rows, tokenizer)
        taken.append((theirs, mine))
        print(f"{what}: pair {number + 1} of {pairs}: {mine[0] / theirs[0]:.2f}x", file=sys.stderr)
    losses = [abs(mine[1] / theirs[1] - 1) for theirs, mine in taken]
    return {
        "what": what,
        "baseline": round(statistics.median(theirs[0] for theirs, _ in taken)),
        "ours": round(statistics.median(mine[0] for _, mine in taken)),
        "ratio": round(statistics.median(mine[0] / theirs[0] for theirs, mine in taken), 2),
        "goal": f">= {GOAL}",
        "loss": f"{taken[0][0][1]:.4f} and {taken[0][1][1]:.4f}, at most {max(losses):.2%} apart",
        "pairs": [round(mine[0] / theirs[0], 2) for theirs, mine in taken],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--json", action="store_true", help="print rows as JSON")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--steps", type=int, default=6, help="counted steps a run")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    os.environ["HF_HUB_OFFLINE"] = "1"
    models.quiet()
    warnings.filterwarnings("ignore")
    rows = [
        measure("recipe, tokens/s, loss on every token", LENGTH - 1, given.pairs, given.steps),
        measure("recipe, tokens/s, loss on an answer of 32 tokens", 32, given.pairs, given.steps),
    ]
    if given.json:
        print(json.dumps({"rows": rows}))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("what", "stock SFTTrainer", "ours", "ratio", "goal", "loss after training, theirs and ours", "pairs")
    for row in rows:
        pairs = " ".join(str(ratio) for ratio in row["pairs"])
        table.add_row(
            row["what"], f"{row['baseline']:,}", f"{row['ours']:,}", f"{row['ratio']}x", row["goal"], row["loss"], pairs
        )
    Console().print(table)


if __name__ == "__main__":
    main()
