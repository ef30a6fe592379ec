"""Training steps a second in the child, against the same resolved settings run bare.

    python tests/benchmarks/bare_training.py [--json] [--pairs 5] [--steps 40] [--threads N]

Ours is the training child as its supervisor starts it, with everything on: spool, log records, samples of the machine,
a memory limit, progress and metrics at every step. The baseline is a process that builds the very same trainer (model,
rows, order, loss, precision, schedule) in the same environment (threads, and how they wait) and runs nothing but its
steps. Neither evaluates or saves while the clock runs: it runs from the end of the fifth step to the end of the last
but one. Steps take 50 ms and more. Both take turns, each round in the other order; the ratio is the median of the
rounds'.

The second row shows what the child's setting for waiting threads costs on a machine that does nothing else: there the
baseline is left OpenMP's own. `ENVIRONMENT` in services/platform/child/attempt.py says what the setting is good for.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from tunebus.services.platform.child.attempt import ENVIRONMENT

from tests.fixtures.children import Child, write_job
from tests.fixtures.tiny_models import WORDS, make_tokenizer

UNCOUNTED = 5
GOAL = 0.97


def make_model(folder: Path) -> None:
    """A Llama of width 192 and 6 layers: about the starter model's size."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = make_tokenizer()
    torch.manual_seed(0)
    LlamaForCausalLM(
        LlamaConfig(
            vocab_size=4096,
            hidden_size=192,
            intermediate_size=512,
            num_hidden_layers=6,
            num_attention_heads=4,
            num_key_value_heads=4,
            max_position_embeddings=512,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
        )
    ).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def make_recipe(folder: Path, steps: int) -> dict[str, Any]:
    generator = random.Random(1)
    rows = folder / "rows.jsonl"
    with rows.open("w") as file:
        for _ in range(64):
            row = {
                "prompt": " ".join(generator.choices(WORDS, k=40)),
                "completion": " ".join(generator.choices(WORDS, k=40)),
            }
            file.write(json.dumps(row) + "\n")
    return {
        "model": {"model_id": "m", "location": str(folder / "model"), "sha256": "0" * 64},
        "dataset": {
            "dataset_id": "d",
            "location": str(rows),
            "type": "jsonl",
            "sha256": hashlib.sha256(rows.read_bytes()).hexdigest(),
            "features": ["prompt", "completion"],
            "format": "prompt_completion",
            "train_test_split": 1.0,
        },
        "training_arguments": {"max_steps": steps, "save_steps": steps + 1, "per_device_train_batch_size": 8},
        "lora": {},
        "adapter_name": "benchmark",
        "num_memory_gb": 16.0,
    }


def rate(ends: list[float]) -> float:
    counted = ends[UNCOUNTED - 1 : -1]
    return (len(counted) - 1) / (counted[-1] - counted[0])


def ours(folder: Path, recipe: dict[str, Any], threads: int) -> float:
    """Steps per second by the times of the metric records."""
    write_job(folder, recipe, threads=threads)
    child = Child(folder, threads=threads)
    try:
        if child.wait(600):
            raise SystemExit(child.output())
        return rate([record["t"] for record in child.records("metric")])
    finally:
        child.kill()


def baseline(folder: Path, recipe: dict[str, Any], threads: int, **settings: str) -> float:
    """Steps per second of a bare process, by its own clock."""
    folder.mkdir(parents=True)
    path = folder / "recipe.json"
    path.write_text(json.dumps(recipe))
    done = subprocess.run(
        [sys.executable, __file__, "--bare", str(path), "--threads", str(threads)],
        capture_output=True,
        text=True,
        env={**os.environ, **settings, "OMP_NUM_THREADS": str(threads)},
        timeout=600,
    )
    if done.returncode:
        raise SystemExit(done.stderr)
    return float(done.stdout.split()[-1])


def bare(path: Path, threads: int) -> None:
    """The baseline's process: the trainer, its steps, and a list of times."""
    from tunebus.contracts.recipes import FineTuningRecipe
    from tunebus.services.platform.child import models
    from tunebus.services.platform.child.dataset import encode, load_rows, make_encoder
    from tunebus.services.platform.rows.encoding import fit, set_pad_token
    from tunebus.services.trainer.recipes import supervised

    recipe = FineTuningRecipe.model_validate_json(path.read_bytes())
    rows, split = load_rows(recipe.dataset)
    models.quiet()
    import torch
    from transformers import TrainerCallback

    torch.set_num_threads(threads)
    ends: list[float] = []

    class Clock(TrainerCallback):
        def on_step_end(self, *_: Any, **__: Any) -> None:
            ends.append(time.time())

    tokenizer = models.load_tokenizer(recipe.model)
    encoder = make_encoder(tokenizer, recipe.dataset, None)
    encoded = encode(encoder, rows, split.train)
    length = max(len(row.input_ids) for row in encoded)
    kept, counts = fit(encoded, length)
    model = models.load_model(recipe.model, "float32")
    set_pad_token(tokenizer, 4096, encoder.stop_ids)
    settled = supervised.settle(recipe, model.config, "cpu", length, counts, fit([], length)[1])
    trainer, _ = supervised.build(recipe, settled, model, tokenizer, kept, [], output_dir=path.parent / "bare")
    trainer.add_callback(Clock())
    trainer.train()
    print(rate(ends))


def compared(what: str, rounds: Sequence[dict[str, float]], side: str, goal: str | None) -> dict[str, Any]:
    """A row of the table: ours beside one of the baselines."""
    ratios = [found["ours"] / found[side] for found in rounds]
    return {
        "what": what,
        "baseline": round(statistics.median(found[side] for found in rounds), 2),
        "ours": round(statistics.median(found["ours"] for found in rounds), 2),
        "ratio": round(statistics.median(ratios), 3),
        "goal": goal,
        "pairs": [round(ratio, 3) for ratio in ratios],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--json", action="store_true", help="print rows as JSON")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--bare", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.bare is not None:
        bare(given.bare, given.threads)
        return
    own_waiting = {name: value for name, value in ENVIRONMENT.items() if name != "GOMP_SPINCOUNT"}
    sides: dict[str, Callable[[Path, dict[str, Any], int], float]] = {
        "baseline": partial(baseline, **ENVIRONMENT),
        "ours": ours,
        "own waiting": partial(baseline, **own_waiting),
    }
    rounds: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_model(folder / "model")
        recipe = make_recipe(folder, given.steps)
        for number in range(given.pairs):
            order = list(sides)[:: -1 if number % 2 else 1]
            found = {side: sides[side](folder / f"{side}-{number}", recipe, given.threads) for side in order}
            rounds.append(found)
            print(f"pair {number + 1} of {given.pairs}: {found['ours'] / found['baseline']:.3f}x", file=sys.stderr)
    rows = [
        compared("training in the child, steps/s", rounds, "baseline", f">= {GOAL}"),
        compared("the same, the baseline's threads waiting as OpenMP has it", rounds, "own waiting", None),
    ]
    if given.json:
        print(json.dumps({"rows": rows}))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("what", "bare", "ours", "ratio", "goal", "pairs")
    for row in rows:
        ratios = " ".join(str(ratio) for ratio in row["pairs"])
        table.add_row(
            row["what"], str(row["baseline"]), str(row["ours"]), f"{row['ratio']}x", row["goal"] or "–", ratios
        )
    Console().print(table)


if __name__ == "__main__":
    main()
