"""A few held-out rows that the model answers at every evaluation, so that people see what the loss means.

Greedy, in one batch, and short: answers are cut where the longest right one would have ended long ago.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from transformers import GenerationConfig
from tunebus.services.platform.child.attempt import Attempt
from tunebus.services.platform.rows.encoding import Encoder

MOST_TOKENS = 64
SPARE_TOKENS = 8
MOST_SECONDS = 20.0  # for one round; a machine on which it takes longer gets shorter answers


class Samples:
    """`take` has the rows answered and reported. `rows` are the dataset's rows by number."""

    def __init__(
        self,
        attempt: Attempt,
        encoder: Encoder,
        tokenizer: Any,
        rows: Mapping[int, Mapping[str, Any]],
        context: int | None,
    ) -> None:
        self._attempt = attempt
        self._tokenizer = tokenizer
        questions = [(number, encoder.question(row)) for number, row in rows.items()]
        longest = max(len(tokenizer(question.reference)["input_ids"]) for _, question in questions)
        self._new_tokens = min(MOST_TOKENS, longest + SPARE_TOKENS)
        room = None if context is None else max(1, context - self._new_tokens)
        self._questions = [
            (number, question, question.input_ids if room is None else question.input_ids[-room:])
            for number, question in questions
        ]
        self._stop_ids = set(encoder.stop_ids)

    def take(self, model: Any, step: int) -> None:
        """Answer every row with the model as it is now. It has to be in evaluation mode."""
        answers = self._answers(model, [ids for _, _, ids in self._questions])
        for (number, question, _), answer in zip(self._questions, answers, strict=True):
            self._attempt.spool.sample(step, number, question.prompt, question.reference, answer)

    def _answers(self, model: Any, prompts: Sequence[Sequence[int]]) -> list[str]:
        base = model.get_base_model() if hasattr(model, "get_base_model") else model
        own = base.generation_config
        # What is not set here would be taken from the model's own, which may sample.
        base.generation_config = GenerationConfig(
            max_new_tokens=self._new_tokens,
            max_time=MOST_SECONDS,
            do_sample=False,
            eos_token_id=sorted(self._stop_ids),
            pad_token_id=self._tokenizer.pad_token_id,
            bos_token_id=self._tokenizer.bos_token_id,
            use_cache=True,
        )
        width = max(len(prompt) for prompt in prompts)
        pad = self._tokenizer.pad_token_id
        ids = torch.tensor([[pad] * (width - len(prompt)) + list(prompt) for prompt in prompts])
        mask = torch.tensor([[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts])
        try:
            output = base.generate(input_ids=ids.to(base.device), attention_mask=mask.to(base.device))
        finally:
            base.generation_config = own
        return [self._text(tokens) for tokens in output[:, width:].tolist()]

    def _text(self, tokens: list[int]) -> str:
        end = next((at for at, token in enumerate(tokens) if token in self._stop_ids), len(tokens))
        return str(self._tokenizer.decode(tokens[:end], skip_special_tokens=True))


def chosen(rows: Sequence[Mapping[str, Any]], held_out: Sequence[int], count: int) -> dict[int, Mapping[str, Any]]:
    """The rows to answer, by number: the first of the held-out ones, which the split has shuffled by seed."""
    return {number: rows[number] for number in held_out[:count]}
