"""Batches of few different lengths. For a CPU: oneDNN keeps kernels and memory for every shape that it has met, which
on rows of any length adds up to gigabytes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from tunebus.services.platform.rows.encoding import IGNORED

MULTIPLE = 32  # tokens

Batch = dict[str, torch.Tensor]


class Padding:
    """Another collator's batches, filled on the right up to a multiple of 32 tokens, but never beyond `limit` tokens:
    what a model's positions end at, or what the job was given as `max_length`.
    """

    def __init__(self, collate: Callable[[Sequence[Any]], Batch], pad_token_id: int, limit: int) -> None:
        self._collate = collate
        self._fill = {"input_ids": pad_token_id, "labels": IGNORED, "attention_mask": 0}
        self._limit = limit

    def __call__(self, rows: Sequence[Any]) -> Batch:
        batch = self._collate(rows)
        length = batch["input_ids"].shape[1]
        more = max(0, min(-length % MULTIPLE, self._limit - length))
        return {name: F.pad(part, (0, more), value=self._fill[name]) for name, part in batch.items()} if more else batch
