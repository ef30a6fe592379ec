"""An evaluation from its recipe to its table of rows: every held-out row is scored and answered once, in one pass.

`rows.jsonl` holds one object a row: `index` (the row's number in the dataset, from 0), `features` (the columns asked
for), `prompt`, `reference`, `answer`, `finished`, `loss` and `perplexity` (of the reference's tokens, null where
none is left of it), the row metrics, `prompt_tokens`, `answer_tokens` (of the reference), `tokens` (generated) and
`seconds` (the row's share of its batch's time). A typed prompt has no reference, and nothing that is measured by one.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunebus.contracts.recipes import DatasetSource, EvaluationRecipe
from tunebus.services.evaluator import typed
from tunebus.services.evaluator.adapted import with_adapter
from tunebus.services.evaluator.metrics import CORPUS_METRICS, ROW_METRICS
from tunebus.services.evaluator.metrics.exact_match import majority_exact_match
from tunebus.services.platform.child import models
from tunebus.services.platform.child.attempt import Attempt, Ending
from tunebus.services.platform.child.dataset import encode, load_rows, longest_allowed, make_encoder, split_rows
from tunebus.services.platform.child.failures import ChildFailure
from tunebus.services.platform.child.files import file_sha256, sync_folder
from tunebus.services.platform.rows.encoding import Encoded, Encoder, Question, fit, set_pad_token

if TYPE_CHECKING:
    from tunebus.services.evaluator.generation import Answer

ROWS = "rows.jsonl"
ANSWER_STEP = 1  # of the samples that an evaluation reports: step 0 is a training's base model


def evaluate(attempt: Attempt) -> Ending:
    """Run the evaluation of the attempt's job. Errors: any; see `failures.explain`."""
    recipe = EvaluationRecipe.model_validate(attempt.job.recipe)
    attempt.progress("loading", 0, 1)
    asked = _asked(recipe)
    models.quiet()
    import torch
    from tunebus.services.evaluator.generation import Generator
    from tunebus.services.evaluator.scoring import Scorer

    torch.set_num_threads(attempt.job.threads)
    torch.manual_seed(recipe.seed if recipe.generation.seed is None else recipe.generation.seed)
    device = "cuda" if recipe.num_gpu > 0 and torch.cuda.is_available() else "cpu"
    half = device == "cuda" and torch.cuda.is_bf16_supported()
    tokenizer = models.load_tokenizer(recipe.model)
    config = models.load_config(recipe.model)
    encoder = make_encoder(tokenizer, asked.source, recipe.text_format)
    context = models.context_length(config, tokenizer)
    encoded = encode(encoder, asked.rows, asked.numbers)
    length = longest_allowed(recipe.max_length, context, max(len(row.input_ids) for row in encoded))
    _, counts = fit(encoded, length)
    work, cut_prompts = _work(encoder, asked, encoded, length, context, recipe.generation.max_new_tokens)

    model = models.load_model(recipe.model, "bfloat16" if half else "float32")
    pad = set_pad_token(tokenizer, models.check_vocabulary(tokenizer, model, recipe.model), encoder.stop_ids)
    if recipe.adapter is not None:
        model = with_adapter(model, recipe.adapter, recipe.model, merge=device == "cpu")
    model = model.to(device).eval()
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
        "left_out": asked.left_out,
        "dataset_sha256": recipe.dataset.sha256 if recipe.dataset else None,
        "model_sha256": recipe.model.sha256,
        "adapter_sha256": recipe.adapter.sha256 if recipe.adapter else None,
        "threads": attempt.job.threads,
    }
    attempt.running(len(work), resolved=resolved, versions=models.versions())
    whom = f"with the adapter {recipe.adapter.adapter_id}" if recipe.adapter else "without adapter"
    attempt.say(f"evaluating {len(work)} {'held-out rows' if asked.scored else 'prompts'} {whom}")
    if asked.left_out:
        attempt.say(f"{asked.left_out} held-out rows are left out: a compared adapter was trained on them")

    table: list[dict[str, Any]] = []
    summed = scored = 0.0
    began = time.perf_counter()
    attempt.progress("evaluating", 0, len(work))
    for batch in batches(work, recipe.batch_size):
        if attempt.is_stopping:
            return Ending("stopped", step=len(table))
        started = time.perf_counter()
        losses = scorer.losses([item.row for item in batch]) if asked.scored else [(0.0, 0)] * len(batch)
        answers = generator.answer([item.question.input_ids for item in batch], _shown(attempt, asked, batch))
        seconds = (time.perf_counter() - started) / len(batch)
        for item, (loss, tokens), answer in zip(batch, losses, answers, strict=True):
            summed += loss
            scored += tokens
            table.append(_row(item, asked, answer, loss / tokens if tokens else None, tokens, seconds))
        rate = len(table) / (time.perf_counter() - began)
        attempt.progress("evaluating", len(table), len(work), rate, (len(work) - len(table)) / rate)
        so_far = {"exact_match": _mean(table, "exact_match")} if asked.scored else {}
        attempt.spool.metric(len(table), so_far | ({"loss": summed / scored} if scored else {}))
    elapsed = time.perf_counter() - began

    table.sort(key=lambda row: int(row["index"]))
    write_rows(attempt.folder / ROWS, table)
    metrics = counted(table, elapsed) | {"prompts_truncated": float(cut_prompts)}
    if asked.scored:
        metrics |= summarise(table, summed, scored) | {"rows_truncated": float(counts.truncated)}
        metrics["majority_exact_match"] = majority_exact_match(
            (encoder.reference(asked.rows[number]) for number in asked.trained),
            [str(row["reference"]) for row in table],
        )
    figures = ((name, metrics.get(name)) for name in ("loss", "exact_match", "rouge_l", "tokens_per_second"))
    shown = ", ".join(f"{name} {value:.4f}" for name, value in figures if value is not None)
    attempt.say(f"{len(table)} rows: {shown}")
    return Ending("finished", len(table), ROWS, file_sha256(attempt.folder / ROWS), metrics=metrics)


@dataclass(frozen=True)
class _Asked:
    """What is to be answered: rows by number, or prompts that somebody typed. `scored` when there are references,
    `trained` the rows of the training part, `left_out` how many held-out rows a compared adapter has seen.
    """

    rows: Sequence[dict[str, Any]]
    numbers: Sequence[int]
    source: DatasetSource
    scored: bool
    trained: Sequence[int] = ()
    left_out: int = 0
    features: Sequence[str] = ()


def _asked(recipe: EvaluationRecipe) -> _Asked:
    """Errors: `bad_data` where nothing is left to evaluate."""
    if recipe.prompts is not None:
        made = typed.rows(recipe.prompts)
        return _Asked(made, range(len(made)), typed.SOURCE, scored=False)
    if recipe.dataset is None:
        raise ChildFailure("bad_configuration", "the evaluation has neither a dataset nor prompts")
    rows, split = load_rows(recipe.dataset)
    if not split.test:
        raise ChildFailure(
            "bad_data",
            f"no row is held out: all {len(rows)} rows are training rows",
            "evaluate with a train_test_split below 1.0, or on another dataset",
        )
    seen = _seen(recipe, len(rows))
    unseen = sorted(number for number in split.test if number not in seen)
    if not unseen:
        raise ChildFailure(
            "bad_data",
            f"each of the {len(split.test)} held-out rows was among the training rows of a compared adapter",
            "evaluate with leakage 'warn', or compare adapters that were trained with the same split",
        )
    return _Asked(
        rows,
        unseen[: recipe.max_rows],
        recipe.dataset,
        scored=True,
        trained=split.train,
        left_out=len(split.test) - len(unseen),
        features=recipe.selected_features,
    )


def _shown(attempt: Attempt, asked: _Asked, batch: Sequence[Item]) -> Callable[[int, str], None] | None:
    """Somebody who typed a prompt looks on while it is answered; held-out rows are too many to report."""
    if asked.scored:
        return None

    def written(place: int, text: str) -> None:
        item = batch[place]
        attempt.spool.sample(ANSWER_STEP, item.number, item.question.prompt, "", text)

    return written


def _seen(recipe: EvaluationRecipe, rows: int) -> set[int]:
    """Rows that a training by one of the other recorded splits has seen."""
    assert recipe.dataset is not None
    seen: set[int] = set()
    for other in recipe.unseen_by:
        seen.update(split_rows(recipe.dataset.model_copy(update=other.model_dump()), rows).train)
    return seen


def _row(item: Item, asked: _Asked, answer: Answer, loss: float | None, tokens: int, seconds: float) -> dict[str, Any]:
    """One line of the table."""
    row: dict[str, Any] = {"index": item.number}
    if asked.features:
        row["features"] = {name: asked.rows[item.number].get(name) for name in asked.features}
    row["prompt"] = item.question.prompt
    if asked.scored:
        row["reference"] = item.question.reference
    row |= {"answer": answer.text, "finished": answer.finished}
    if asked.scored:
        finite = loss if loss is not None and math.isfinite(loss) else None
        row |= {"loss": finite, "perplexity": _perplexity(finite)}
        row |= {name: score(answer.text, item.question.reference) for name, score in ROW_METRICS.items()}
        row["answer_tokens"] = tokens
    return row | {
        "prompt_tokens": len(item.question.input_ids),
        "tokens": answer.tokens,
        "seconds": round(seconds, 6),
    }


def _perplexity(loss: float | None) -> float | None:
    return math.exp(loss) if loss is not None and loss < 700 else None


def counted(table: Sequence[dict[str, Any]], elapsed: float) -> dict[str, float | None]:
    """What any answers cost: tokens and time. `seconds_p95` is what 95 % of the rows stayed below."""
    generated = float(sum(int(row["tokens"]) for row in table))
    times = sorted(float(row["seconds"]) for row in table)
    return {
        "rows": float(len(table)),
        "finished": _mean(table, "finished"),
        "prompt_tokens": float(sum(int(row["prompt_tokens"]) for row in table)),
        "generated_tokens": generated,
        "seconds": elapsed,
        "seconds_per_row": elapsed / len(table),
        "seconds_p95": times[min(len(times) - 1, math.ceil(0.95 * len(times)) - 1)],
        "tokens_per_second": generated / elapsed,
    }


def summarise(table: Sequence[dict[str, Any]], summed_loss: float, scored_tokens: float) -> dict[str, float | None]:
    """How good the answers of the whole table are. `loss` is the mean over tokens, not over rows."""
    loss = summed_loss / scored_tokens if scored_tokens else None
    loss = loss if loss is not None and math.isfinite(loss) else None
    answers = [str(row["answer"]) for row in table]
    references = [str(row["reference"]) for row in table]
    return {
        "loss": loss,
        "perplexity": _perplexity(loss),
        **{name: _mean(table, name) for name in ROW_METRICS},
        **{name: score(answers, references) for name, score in CORPUS_METRICS.items()},
        "answer_tokens": float(scored_tokens),
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


class Item:
    """A held-out row on its way: its number in the dataset, its tokens, its question."""

    def __init__(self, number: int, row: Encoded, question: Question) -> None:
        self.number = number
        self.row = row
        self.question = question


def _work(
    encoder: Encoder,
    asked: _Asked,
    encoded: Sequence[Encoded],
    length: int,
    context: int | None,
    new_tokens: int,
) -> tuple[list[Item], int]:
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
    for number, row in zip(asked.numbers, encoded, strict=True):
        question = encoder.question(asked.rows[number])
        if room is not None and len(question.input_ids) > room:
            cut += 1
            question = Question(question.input_ids[-room:], question.prompt, question.reference)
        items.append(Item(number, Encoded(row.input_ids[:length], row.labels[:length]), question))
    return items, cut


def batches(work: Sequence[Item], size: int) -> Iterator[list[Item]]:
    """Batches of prompts of similar length, the longest first: what does not fit fails at once."""
    ordered = sorted(work, key=lambda item: (-len(item.question.input_ids), item.number))
    for start in range(0, len(ordered), size):
        yield ordered[start : start + size]


def _mean(table: Sequence[dict[str, Any]], name: str) -> float:
    return sum(float(row[name]) for row in table) / len(table)
