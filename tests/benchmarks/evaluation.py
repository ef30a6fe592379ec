"""Tokens a second of the evaluator on a CPU, against plain `model.generate`.

    python tests/benchmarks/evaluation.py [--json] [--pairs 5] [--rows 48] [--threads N]

A Llama of width 256, 6 layers, vocabulary 32k, and prompts of 8 to 120 tokens; 32 new tokens each, greedy, in batches
of 8. The baseline pads each batch of the rows as they come and calls `model.generate`, then decodes; ours is the
evaluator's own loop: batches of similar length, the same call, the same decoding. Both write the same number of tokens,
use the same threads and take turns, each pair in the other order. The ratio is the median of the pairs'.

The second line adds what an evaluation does besides, scoring the rows' answers and computing the metrics of each; plain
generation does none of that, so it has no goal.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import sys
import time
import warnings
from array import array
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

import torch
from transformers import LlamaConfig, LlamaForCausalLM
from tunebus.contracts.recipes import GenerationSettings
from tunebus.services.evaluator.evaluation import Item, batches
from tunebus.services.evaluator.generation import Generator
from tunebus.services.evaluator.metrics import ROW_METRICS
from tunebus.services.evaluator.scoring import Scorer
from tunebus.services.platform.child import models
from tunebus.services.platform.rows.encoding import IGNORED, Encoded, Question

from tests.fixtures.tiny_models import make_tokenizer

BATCH, VOCABULARY, NEW_TOKENS = 8, 32_000, 32
SHORTEST, LONGEST = 8, 120
ANSWER = 16
GOAL = 0.97


def make_model(tokenizer: Any) -> LlamaForCausalLM:
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
            pad_token_id=tokenizer.pad_token_id,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=None,  # no answer ends early, so that both sides write the same number of tokens
        )
    ).eval()


def make_items(count: int, tokenizer: Any) -> list[Item]:
    generator = random.Random(1)
    items = []
    for number in range(count):
        length = generator.randint(SHORTEST, LONGEST)
        prompt = [generator.randrange(10, len(tokenizer)) for _ in range(length)]
        answer = [generator.randrange(10, len(tokenizer)) for _ in range(ANSWER)]
        row = Encoded(array("i", prompt + answer), array("i", [IGNORED] * length + answer))
        items.append(Item(number, row, Question(prompt, "", tokenizer.decode(answer))))
    return items


def plain(model: Any, tokenizer: Any, items: Sequence[Item]) -> tuple[float, list[str]]:
    """(tokens per second, answers in the order of the rows) of `model.generate`."""
    started = time.perf_counter()
    said: list[str] = []
    for begin in range(0, len(items), BATCH):
        prompts = [{"input_ids": item.question.input_ids} for item in items[begin : begin + BATCH]]
        inputs = tokenizer.pad(prompts, padding_side="left", return_tensors="pt")
        with torch.inference_mode():
            output = model.generate(
                **inputs, max_new_tokens=NEW_TOKENS, do_sample=False, pad_token_id=tokenizer.pad_token_id
            )
        said += tokenizer.batch_decode(output[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
    return len(items) * NEW_TOKENS / (time.perf_counter() - started), said


def ours(model: Any, tokenizer: Any, items: Sequence[Item], *, scored: bool) -> tuple[float, list[str]]:
    """The same of the evaluator."""
    started = time.perf_counter()
    generator = Generator(model, tokenizer, GenerationSettings(max_new_tokens=NEW_TOKENS), [])
    scorer = Scorer(model, tokenizer.pad_token_id)
    said: dict[int, str] = {}
    for batch in batches(items, BATCH):
        if scored:
            scorer.losses([item.row for item in batch])
        for item, answer in zip(batch, generator.answer([item.question.input_ids for item in batch]), strict=True):
            if scored:
                for score in ROW_METRICS.values():
                    score(answer.text, item.question.reference)
            said[item.number] = answer.text
    return len(items) * NEW_TOKENS / (time.perf_counter() - started), [said[number] for number in sorted(said)]


def measure(what: str, theirs: Callable[[], Any], mine: Callable[[], Any], pairs: int, goal: str) -> dict[str, Any]:
    taken = []
    for number in range(pairs):
        sides = (theirs, mine) if number % 2 == 0 else (mine, theirs)
        found = [side() for side in sides]
        first, second = found if number % 2 == 0 else found[::-1]
        same = sum(one == other for one, other in zip(first[1], second[1], strict=True))
        taken.append((first[0], second[0]))
        ratio = f"{second[0] / first[0]:.2f}x, {same} of {len(first[1])} answers equal"
        print(f"{what}: pair {number + 1} of {pairs}: {ratio}", file=sys.stderr)
    return {
        "what": what,
        "baseline": round(statistics.median(one for one, _ in taken)),
        "ours": round(statistics.median(other for _, other in taken)),
        "ratio": round(statistics.median(other / one for one, other in taken), 2),
        "goal": goal,
        "pairs": [round(other / one, 2) for one, other in taken],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--json", action="store_true", help="print rows as JSON")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--rows", type=int, default=48)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    models.quiet()
    warnings.filterwarnings("ignore")
    tokenizer = make_tokenizer()
    model, items = make_model(tokenizer), make_items(given.rows, tokenizer)
    plain(model, tokenizer, items[:BATCH])  # whatever a first call sets up, neither side pays for

    def theirs() -> Any:
        return plain(model, tokenizer, items)

    rows = [
        measure(
            "evaluation, tokens/s, generation alone",
            theirs,
            lambda: ours(model, tokenizer, items, scored=False),
            given.pairs,
            f">= {GOAL}",
        ),
        measure(
            "evaluation, tokens/s, with loss and metrics of each row",
            theirs,
            lambda: ours(model, tokenizer, items, scored=True),
            given.pairs,
            "–",
        ),
    ]
    if given.json:
        print(json.dumps({"rows": rows}))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("what", "plain generate", "ours", "ratio", "goal", "pairs")
    for row in rows:
        pairs = " ".join(str(ratio) for ratio in row["pairs"])
        table.add_row(row["what"], f"{row['baseline']:,}", f"{row['ours']:,}", f"{row['ratio']}x", row["goal"], pairs)
    Console().print(table)


if __name__ == "__main__":
    main()
