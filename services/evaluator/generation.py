"""Answers of a model, in batches with padding on the left: greedy by default, so that the same model says the same."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import GenerationConfig, StoppingCriteria, StoppingCriteriaList
from tunebus.contracts.recipes import GenerationSettings


@dataclass(frozen=True)
class Answer:
    """A generated answer; `finished` when the model ended it itself and was not cut off."""

    text: str
    tokens: int
    finished: bool


REPORT_SECONDS = 0.5

Written = Callable[[int, str], None]
"""Told the place of a prompt among those asked, and what of its answer is written so far."""


class Generator:
    """Answers prompts given as token ids. Of the model's own generation settings only the tokens that end a text count:
    a sampling temperature that some model ships with would make two evaluations differ.
    """

    def __init__(self, model: Any, tokenizer: Any, settings: GenerationSettings, stop_ids: Sequence[int]) -> None:
        self._model = model
        self._tokenizer = tokenizer
        own = getattr(model, "generation_config", None)
        ends = getattr(own, "eos_token_id", None)
        ends = [ends] if isinstance(ends, int) else list(ends or [])
        self.stop_ids = sorted({*stop_ids, *ends})
        sampling: dict[str, Any] = {"do_sample": False}
        if settings.temperature > 0:
            sampling = {
                "do_sample": True,
                "temperature": settings.temperature,
                "top_p": settings.top_p,
                "top_k": settings.top_k,
            }
        self._config = GenerationConfig(
            max_new_tokens=settings.max_new_tokens,
            repetition_penalty=settings.repetition_penalty,
            eos_token_id=self.stop_ids,
            pad_token_id=tokenizer.pad_token_id,
            bos_token_id=tokenizer.bos_token_id,
            use_cache=True,
            **sampling,
        )
        # What is not set here would be taken from the model's.
        model.generation_config = self._config

    def answer(self, prompts: Sequence[Sequence[int]], written: Written | None = None) -> list[Answer]:
        """One answer a prompt, in order. `written` is told of all of them twice a second, and at the end."""
        watch = None if written is None else _Watch(self._said, max(map(len, prompts)), written)
        answers = [self._answer(tokens) for tokens in self.generate(prompts, watch)]
        if written is not None:
            for place, answer in enumerate(answers):
                written(place, answer.text)
        return answers

    def _answer(self, tokens: Sequence[int]) -> Answer:
        end = next((at for at, token in enumerate(tokens) if token in self.stop_ids), None)
        said = tokens if end is None else tokens[:end]
        text = self._tokenizer.decode(said, skip_special_tokens=True)
        return Answer(text=text, tokens=len(said), finished=end is not None)

    def _said(self, tokens: Sequence[int]) -> str:
        return self._answer(tokens).text

    def generate(self, prompts: Sequence[Sequence[int]], watch: StoppingCriteria | None = None) -> list[list[int]]:
        """What the model writes after each prompt, as token ids: all there are, padding behind the end included."""
        width = max(len(prompt) for prompt in prompts)
        pad = self._tokenizer.pad_token_id
        ids = torch.tensor([[pad] * (width - len(prompt)) + list(prompt) for prompt in prompts])
        mask = torch.tensor([[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts])
        device = self._model.device
        with torch.inference_mode():
            output = self._model.generate(
                input_ids=ids.to(device),
                attention_mask=mask.to(device),
                generation_config=self._config,
                stopping_criteria=StoppingCriteriaList([watch] if watch else []),
            )
        written: list[list[int]] = output[:, width:].tolist()
        return written


class _Watch(StoppingCriteria):  # type: ignore[misc]  # transformers is not typed
    """Looks on while answers are written, and stops none."""

    def __init__(self, said: Callable[[Sequence[int]], str], width: int, written: Written) -> None:
        self._said = said
        self._width = width
        self._written = written
        self._told = time.monotonic()

    def __call__(self, input_ids: Any, scores: Any, **_: Any) -> Any:
        if time.monotonic() - self._told >= REPORT_SECONDS:
            self._told = time.monotonic()
            for place, tokens in enumerate(input_ids[:, self._width :].tolist()):
                self._written(place, self._said(tokens))
        return torch.zeros(len(input_ids), dtype=torch.bool, device=input_ids.device)
