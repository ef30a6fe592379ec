"""The sliced loss is the plain loss, gradient included, and knows what was predicted."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from tunebus.services.trainer.recipes import loss
from tunebus.services.trainer.recipes.loss import frozen_head_loss


@pytest.mark.parametrize("slice_bytes", [1, 4 * 50 * 3, 1 << 20])
@pytest.mark.parametrize("with_bias", [False, True])
def test_value_and_gradient(monkeypatch: pytest.MonkeyPatch, slice_bytes: int, with_bias: bool) -> None:
    monkeypatch.setattr(loss, "SLICE_BYTES", slice_bytes)
    torch.manual_seed(0)
    weight, targets = torch.randn(50, 8), torch.randint(0, 50, (11,))
    bias = torch.randn(50) if with_bias else None
    ours = torch.randn(11, 8, requires_grad=True)
    likeliest = F.linear(ours.detach(), weight, bias).argmax(dim=1)
    targets[::3] = likeliest[::3]
    theirs = ours.detach().clone().requires_grad_()
    total, correct = frozen_head_loss(ours, weight, bias, targets, torch.float32)
    expected = F.cross_entropy(F.linear(theirs, weight, bias), targets, reduction="sum")
    (3 * total).backward()
    (3 * expected).backward()
    torch.testing.assert_close(total, expected)
    torch.testing.assert_close(ours.grad, theirs.grad)
    assert int(correct) == int((targets == likeliest).sum()) >= 4


def test_no_token_is_a_loss_of_zero_with_a_gradient() -> None:
    hidden = torch.randn(0, 8, requires_grad=True)
    total, correct = frozen_head_loss(hidden, torch.randn(5, 8), None, torch.zeros(0, dtype=torch.long), torch.float32)
    total.backward()
    assert (total.item(), correct.item(), hidden.grad.shape) == (0.0, 0, (0, 8))


def test_extreme_logits_stay_finite() -> None:
    hidden = torch.tensor([[1e4], [-1e4]], requires_grad=True)
    total, _ = frozen_head_loss(hidden, torch.tensor([[1.0], [-1.0]]), None, torch.tensor([0, 1]), torch.float32)
    total.backward()
    assert total.item() == 0.0
    assert bool(torch.isfinite(hidden.grad).all())


def test_where_many_tokens_are_the_likeliest_only_the_one_that_would_be_chosen_counts() -> None:
    weight, targets = torch.zeros(50, 8), torch.arange(50)
    weight[7] = 1.0
    hidden = torch.zeros(50, 8)
    hidden[7], hidden[9] = 1.0, -1.0
    total, correct = frozen_head_loss(hidden, weight, None, targets, torch.float32)
    likeliest = F.linear(hidden, weight).argmax(dim=1)
    assert int(correct) == int((likeliest == targets).sum()) == 2
    torch.testing.assert_close(total, F.cross_entropy(F.linear(hidden, weight), targets, reduction="sum"))


def test_bfloat16_is_close() -> None:
    torch.manual_seed(0)
    hidden, weight, targets = torch.randn(40, 64), torch.randn(500, 64) / 8, torch.randint(0, 500, (40,))
    exact, _ = frozen_head_loss(hidden, weight, None, targets, torch.float32)
    rough, _ = frozen_head_loss(hidden, weight, None, targets, torch.bfloat16)
    assert float(rough) == pytest.approx(float(exact), rel=3e-3)
