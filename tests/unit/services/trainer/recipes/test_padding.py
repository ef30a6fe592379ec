"""Batches of few different lengths, which hold the rows they are made of and nothing that counts beside."""

import pytest
import torch
from tunebus.services.platform.rows.encoding import IGNORED
from tunebus.services.trainer.recipes.padding import MULTIPLE, Batch, Padding

PAD = 7


def of_length(length: int) -> Batch:
    ones = torch.ones(2, length, dtype=torch.long)
    return {"input_ids": 3 * ones, "labels": 3 * ones, "attention_mask": ones}


@pytest.mark.parametrize(
    ("length", "limit", "padded"),
    [
        (1, 512, MULTIPLE),
        (MULTIPLE - 1, 512, MULTIPLE),
        (MULTIPLE, 512, MULTIPLE),
        (MULTIPLE + 1, 512, 2 * MULTIPLE),
        (MULTIPLE + 1, MULTIPLE + 10, MULTIPLE + 10),
        (MULTIPLE + 10, MULTIPLE + 10, MULTIPLE + 10),
        (5, 20, 20),
    ],
)
def test_a_length_is_rounded_up_within_the_limit(length: int, limit: int, padded: int) -> None:
    batch = Padding(lambda rows: of_length(length), PAD, limit)([])
    assert {part.shape for part in batch.values()} == {(2, padded)}


def test_what_is_added_carries_no_loss_and_no_attention() -> None:
    batch = Padding(lambda rows: of_length(5), PAD, 512)([])
    assert all(torch.equal(batch[name][:, :5], part) for name, part in of_length(5).items())
    added = {name: set(part[:, 5:].flatten().tolist()) for name, part in batch.items()}
    assert added == {"input_ids": {PAD}, "labels": {IGNORED}, "attention_mask": {0}}
