"""Whether an export answers as what it was made of: the same greedy answers to the same questions, before and after.

Runs in the child alone. Both sides are computed in float32 on the same device, so that only the weights can make a
difference.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from tunebus.contracts.recipes import Checked, ExportRecipe, GenerationSettings
from tunebus.services.evaluator import typed
from tunebus.services.evaluator.generation import Generator
from tunebus.services.platform.child.dataset import load_rows, make_encoder
from tunebus.services.platform.child.failures import ChildFailure

QUESTIONS = 20
NEW_TOKENS = 32
LIKELIEST = 50  # logits kept of each token: of a large vocabulary all would fill the memory

SHIPPED = (
    "What is the capital of France?",
    "How many days are there in a week?",
    "Name a colour of the rainbow.",
    "What is 12 plus 30?",
    "Write a short sentence about the sea.",
    "Who wrote Hamlet?",
    "What do bees make?",
    "Translate to French: good morning.",
    "What is the opposite of hot?",
    "Finish the sentence: Once upon a time",
    "What is the boiling point of water?",
    "List three fruits.",
    "Why is the sky blue?",
    "How do you make tea?",
    "What is a prime number?",
    "Which planet is the largest?",
    "Say hello in Spanish.",
    "What is the plural of mouse?",
    "Describe snow in one word.",
    "What comes after Wednesday?",
)


@dataclass(frozen=True)
class Answered:
    """One question's greedy answer: its tokens, and the likeliest logits (values, tokens) that led to each."""

    question: tuple[int, ...]
    tokens: tuple[int, ...]
    values: torch.Tensor
    likeliest: torch.Tensor


@dataclass(frozen=True)
class Questions:
    """What is asked, `stop_ids` what ends an answer, `words` what the questions are."""

    prompts: list[list[int]]
    stop_ids: Sequence[int]
    words: str


def questions(recipe: ExportRecipe, tokenizer: Any) -> Questions:
    """Held-out rows of the training where its file is still what it was, filled up with the shipped ones."""
    prompts = _held_out(recipe, tokenizer)
    words = [f"{len(prompts)} held-out rows"] if prompts else []
    encoder = make_encoder(tokenizer, typed.SOURCE, recipe.text_format)
    shipped = [encoder.question(row).input_ids for row in typed.rows(SHIPPED[: QUESTIONS - len(prompts)])]
    words += [f"{len(shipped)} shipped questions"] if shipped else []
    return Questions([*prompts, *shipped], encoder.stop_ids, " and ".join(words))


def _held_out(recipe: ExportRecipe, tokenizer: Any) -> list[list[int]]:
    if recipe.questions is None:
        return []
    try:
        found, split = load_rows(recipe.questions)
        encoder = make_encoder(tokenizer, recipe.questions, recipe.text_format)
        return [encoder.question(found[number]).input_ids for number in sorted(split.test)[:QUESTIONS]]
    except ChildFailure:
        return []  # the file is gone or has changed since: the shipped questions serve as well


def answers(model: Any, tokenizer: Any, asked: Questions, context: int | None) -> list[Answered]:
    """Greedy answers, with what led to them."""
    model = model.eval()
    settings = GenerationSettings(max_new_tokens=NEW_TOKENS)
    generator = Generator(model, tokenizer, settings, asked.stop_ids)
    room = None if context is None else max(1, context - NEW_TOKENS)
    prompts = [prompt if room is None else prompt[-room:] for prompt in asked.prompts]
    found = []
    for prompt, written in zip(prompts, generator.generate(prompts), strict=True):
        end = next((at + 1 for at, token in enumerate(written) if token in generator.stop_ids), len(written))
        tokens = written[:end]
        logits = _logits(model, prompt, tokens)
        likeliest = logits.topk(min(LIKELIEST, logits.shape[-1]), dim=-1)
        found.append(Answered(tuple(prompt), tuple(tokens), likeliest.values, likeliest.indices))
    return found


def compare(before: Sequence[Answered], model: Any, tokenizer: Any, asked: Questions) -> Checked:
    """What a reloaded model makes of the same questions."""
    model = model.eval()
    generator = Generator(model, tokenizer, GenerationSettings(max_new_tokens=NEW_TOKENS), asked.stop_ids)
    written = generator.generate([answered.question for answered in before])
    equal, largest = 0, 0.0
    for answered, tokens in zip(before, written, strict=True):
        equal += tuple(tokens[: len(answered.tokens)]) == answered.tokens
        logits = _logits(model, answered.question, answered.tokens).gather(-1, answered.likeliest)
        largest = max(largest, float((logits - answered.values).abs().max()))
    return Checked(prompts=len(before), equal=equal, max_difference=largest if math.isfinite(largest) else None)


def _logits(model: Any, prompt: Sequence[int], tokens: Sequence[int]) -> torch.Tensor:
    """The logits that predict each token of an answer."""
    ids = torch.tensor([[*prompt, *tokens]], device=model.device)
    with torch.inference_mode():
        found: torch.Tensor = model(input_ids=ids, use_cache=False).logits[0]
    return found[len(prompt) - 1 : -1].float().cpu()
