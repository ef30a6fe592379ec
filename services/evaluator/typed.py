"""Prompts that somebody typed, as rows of a dataset without answers: what encodes rows then encodes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tunebus.contracts.recipes import ChatMessage, DatasetSource

SOURCE = DatasetSource(
    dataset_id="", location="", type="jsonl", sha256="", features=["prompt", "completion"], format="prompt_completion"
)


def rows(prompts: Sequence[str | list[ChatMessage]]) -> list[dict[str, Any]]:
    """A text is one turn of the user; a list of messages is the conversation so far."""
    made: list[dict[str, Any]] = []
    for prompt in prompts:
        if isinstance(prompt, str):
            made.append({"prompt": prompt, "completion": ""})
        else:
            answer = [{"role": "assistant", "content": ""}]
            made.append({"prompt": [turn.model_dump() for turn in prompt], "completion": answer})
    return made
