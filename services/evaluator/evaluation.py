"""An evaluation from its recipe to its table of rows: every held-out row is scored and answered once, in one pass.

`rows.jsonl` holds one object a row: `index` (the row's number in the dataset, from 0), `prompt`, `reference`,
`answer`, `finished`, `loss` (mean of the reference's tokens, null where none is left of it), the row metrics, `tokens`
(generated) and `seconds` (the row's share of its batch's time).
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tunebus.contracts.recipes import EvaluationRecipe
from tunebus.services.evaluator.metrics import CORPUS_METRICS, ROW_METRICS
from tunebus.services.evaluator.metrics.exact_match import majority_exact_match
from tunebus.services.platform.child import models
from tunebus.services.platform.child.attempt import Attempt, Ending
from tunebus.services.platform.child.dataset import encode, load_rows, longest_allowed, make_encoder
from tunebus.services.platform.child.failures import ChildFailure
from tunebus.services.platform.child.files import file_sha256, sync_folder
from tunebus.services.platform.rows.encoding import Encoded, Encoder, Question, fit, set_pad_token

ROWS = "rows.jsonl"


def evaluate(attempt: Attempt) -> Ending:
    """Run the evaluation of the attempt's job. Errors: any; see `failures.explain`."""
    recipe = EvaluationRecipe.model_validate(attempt.job.recipe)
    attempt.progress("loading", 0, 1)
    rows, split = load_rows(recipe.dataset)
    numbers = sorted(split.test[: recipe.max_rows])
    if not numbers:
        raise ChildFailure(
            "bad_data",
            f"no row is held out: all {len(rows)} rows are training rows",
            "evaluate with a train_test_split below 1.0, or on another dataset",
        )
    models.quiet()
    import torch
    from tunebus.services.evaluator.generation import Generator
    from tunebus.services.evaluator.scoring import Scorer

    torch.set_num_threads(attempt.job.threads)
    torch.manual_seed(recipe.seed)
    device = "cuda" if recipe.num_gpu > 0 and torch.cuda.is_available() else "cpu"
    half = device == "cuda" and torch.cuda.is_bf16_supported()
    tokenizer = models.load_tokenizer(recipe.model)
    config = models.load_config(recipe.model)
    encoder = make_encoder(tokenizer, recipe.dataset, recipe.text_format)
    context = models.context_length(config, tokenizer)
    encoded = encode(encoder, rows, numbers)
    length = longest_allowed(recipe.max_length, context, max(len(row.input_ids) for row in encoded))
    _, counts = fit(encoded, length)
    work, cut_prompts = _work(encoder, rows, numbers, encoded, length, context, recipe.generation.max_new_tokens)

    model = models.load_model(recipe.model, "bfloat16" if half else "float32")
    pad = set_pad_token(tokenizer, models.check_vocabulary(tokenizer, model, recipe.model), encoder.stop_ids)
    model = _with_adapter(model, recipe, merge=device == "cpu").to(device).eval()
    generator = Generator(model, tokenizer, recipe.generation, encoder.stop_ids)
    scorer = Scorer(model, tokenizer.pad_token_id)
    resolved = {
        "device": device,
        "precision": "bfloat16" if half else "float32",
        "max_length": length,
        "text_format": encoder.text_format,
        "pad_token": pad,
        "batch_size": recipe.batch_size,
        "generation": recipe.generation.model_dump(),
        "held_out": asdict(counts),
        "dataset_sha256": recipe.dataset.sha256,
        "model_sha256": recipe.model.sha256,
        "adapter_sha256": recipe.adapter.sha256 if recipe.adapter else None,
        "threads": attempt.job.threads,
    }
    attempt.running(len(work), resolved=resolved, versions=models.versions())
    whom = f"with the adapter {recipe.adapter.adapter_id}" if recipe.adapter else "without adapter"
    attempt.say(f"evaluating {len(work)} held-out rows {whom}")

    table: list[dict[str, Any]] = []
    summed = scored = 0.0
    began = time.perf_counter()
    attempt.progress("evaluating", 0, len(work))
    for batch in _batches(work, recipe.batch_size):
        if attempt.is_stopping:
            return Ending("stopped", step=len(table))
        started = time.perf_counter()
        losses = scorer.losses([item.row for item in batch])
        answers = generator.answer([item.question.input_ids for item in batch])
        seconds = (time.perf_counter() - started) / len(batch)
        for item, (loss, tokens), answer in zip(batch, losses, answers, strict=True):
            summed += loss
            scored += tokens
            table.append(
                {
                    "index": item.number,
                    "prompt": item.question.prompt,
                    "reference": item.question.reference,
                    "answer": answer.text,
                    "finished": answer.finished,
                    "loss": loss / tokens if tokens and math.isfinite(loss) else None,
                    **{name: score(answer.text, item.question.reference) for name, score in ROW_METRICS.items()},
                    "tokens": answer.tokens,
                    "seconds": round(seconds, 6),
                }
            )
        rate = len(table) / (time.perf_counter() - began)
        attempt.progress("evaluating", len(table), len(work), rate, (len(work) - len(table)) / rate)
        so_far = {"exact_match": _mean(table, "exact_match")}
        attempt.spool.metric(len(table), so_far | ({"loss": summed / scored} if scored else {}))
    elapsed = time.perf_counter() - began

    table.sort(key=lambda row: int(row["index"]))
    write_rows(attempt.folder / ROWS, table)
    metrics = summarise(table, summed, scored)
    metrics["majority_exact_match"] = majority_exact_match(
        (encoder.reference(rows[number]) for number in split.train), [str(row["reference"]) for row in table]
    )
    metrics |= {
        "rows_truncated": float(counts.truncated),
        "prompts_truncated": float(cut_prompts),
        "seconds": elapsed,
        "seconds_per_row": elapsed / len(table),
        "tokens_per_second": (metrics["generated_tokens"] or 0.0) / elapsed,
    }
    figures = ((name, metrics[name]) for name in ("loss", "exact_match", "rouge_l"))
    shown = ", ".join(f"{name} {value:.4f}" for name, value in figures if value is not None)
    attempt.say(f"{len(table)} rows: {shown}")
    return Ending("finished", len(table), ROWS, file_sha256(attempt.folder / ROWS), metrics)


def summarise(table: Sequence[dict[str, Any]], summed_loss: float, scored_tokens: float) -> dict[str, float | None]:
    """The figures of the whole table. `loss` is the mean over tokens, not over rows."""
    loss = summed_loss / scored_tokens if scored_tokens else None
    answers = [str(row["answer"]) for row in table]
    references = [str(row["reference"]) for row in table]
    return {
        "loss": loss if loss is not None and math.isfinite(loss) else None,
        "perplexity": math.exp(loss) if loss is not None and loss < 700 else None,
        **{name: _mean(table, name) for name in ROW_METRICS},
        **{name: score(answers, references) for name, score in CORPUS_METRICS.items()},
        "finished": _mean(table, "finished"),
        "rows": float(len(table)),
        "answer_tokens": float(scored_tokens),
        "generated_tokens": float(sum(int(row["tokens"]) for row in table)),
    }


def write_rows(path: Path, table: Sequence[dict[str, Any]]) -> None:
    """Write the table, whole or not at all."""
    draft = path.with_name(f".{path.name}.new")
    with draft.open("wb") as file:
        for row in table:
            file.write(json.dumps(row, ensure_ascii=False, allow_nan=False).encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    sync_folder(path.parent)


class _Item:
    """A held-out row on its way: its number in the dataset, its tokens, its question."""

    def __init__(self, number: int, row: Encoded, question: Question) -> None:
        self.number = number
        self.row = row
        self.question = question


def _work(
    encoder: Encoder,
    rows: Sequence[dict[str, Any]],
    numbers: Sequence[int],
    encoded: Sequence[Encoded],
    length: int,
    context: int | None,
    new_tokens: int,
) -> tuple[list[_Item], int]:
    """The rows to evaluate, and how many prompts had to lose their beginning so that an answer has room."""
    room = None if context is None else context - new_tokens
    if room is not None and room < 1:
        raise ChildFailure(
            "bad_configuration",
            f"max_new_tokens {new_tokens} fills the model's context of {context} tokens",
            "take fewer new tokens",
        )
    items = []
    cut = 0
    for number, row in zip(numbers, encoded, strict=True):
        question = encoder.question(rows[number])
        if room is not None and len(question.input_ids) > room:
            cut += 1
            question = Question(question.input_ids[-room:], question.prompt, question.reference)
        items.append(_Item(number, Encoded(row.input_ids[:length], row.labels[:length]), question))
    return items, cut


def _batches(work: Sequence[_Item], size: int) -> Iterator[list[_Item]]:
    """Batches of prompts of similar length, the longest first: what does not fit fails at once."""
    ordered = sorted(work, key=lambda item: (-len(item.question.input_ids), item.number))
    for start in range(0, len(ordered), size):
        yield ordered[start : start + size]


def _with_adapter(model: Any, recipe: EvaluationRecipe, *, merge: bool) -> Any:
    """The model with the recipe's adapter on it; merged into its weights where those are float32. Errors:
    `bad_configuration`.
    """
    if recipe.adapter is None:
        return model
    from peft import PeftModel
    from safetensors import SafetensorError

    folder = Path(recipe.adapter.location)
    if not (folder / "adapter_config.json").is_file() or not (folder / "adapter_model.safetensors").is_file():
        raise ChildFailure(
            "bad_configuration",
            f"{folder} holds no adapter: adapter_config.json and adapter_model.safetensors are needed",
            "evaluate an adapter that is still on disk",
        )
    try:
        adapted = PeftModel.from_pretrained(model, str(folder), is_trainable=False, local_files_only=True)
    except (RuntimeError, ValueError, OSError, KeyError, SafetensorError) as error:
        reason = str(error).strip().split("\n", 1)[0]
        raise ChildFailure(
            "bad_configuration",
            f"the adapter in {folder} does not fit the model in {recipe.model.location}: {reason}",
            "evaluate an adapter with the base model that it was trained on",
        ) from None
    return adapted.merge_and_unload() if merge else adapted


def _mean(table: Sequence[dict[str, Any]], name: str) -> float:
    return sum(float(row[name]) for row in table) / len(table)
