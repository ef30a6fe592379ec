"""How likely a model finds the answers that the rows hold."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from tunebus.services.platform.rows.encoding import IGNORED, Encoded


class Scorer:
    """Loss of rows' answers, in nats, computed in float32."""

    def __init__(self, model: Any, pad_token_id: int) -> None:
        self._model = model
        self._pad = pad_token_id
        base = model.get_base_model() if hasattr(model, "get_base_model") else model
        self._picks_positions = "logits_to_keep" in inspect.signature(base.forward).parameters

    def losses(self, rows: Sequence[Encoded]) -> list[tuple[float, int]]:
        """For each row (summed loss, number of tokens) of the tokens that carry loss."""
        width = max(len(row.input_ids) for row in rows)
        ids = torch.tensor([[*row.input_ids, *[self._pad] * (width - len(row.input_ids))] for row in rows])
        mask = torch.tensor([[1] * len(row.input_ids) + [0] * (width - len(row.input_ids)) for row in rows])
        # The logits at a position predict the next one.
        targets = torch.tensor([[*row.labels[1:], *[IGNORED] * (width - len(row.labels) + 1)] for row in rows])
        options: dict[str, Any] = {}
        if self._picks_positions:
            positions = (targets != IGNORED).any(dim=0).nonzero().squeeze(1)
            targets = targets[:, positions]
            options["logits_to_keep"] = positions.to(self._model.device)
        device = self._model.device
        with torch.inference_mode():
            logits = self._model(
                input_ids=ids.to(device), attention_mask=mask.to(device), use_cache=False, **options
            ).logits
            losses = F.cross_entropy(
                logits.float().transpose(1, 2), targets.to(device), ignore_index=IGNORED, reduction="none"
            ).sum(dim=1)
        counts = (targets != IGNORED).sum(dim=1)
        return [(float(loss), int(count)) for loss, count in zip(losses, counts, strict=True)]
