"""Cross-entropy of a frozen output head on a CPU, a few dozen tokens at a time.

The whole matrix of logits (tokens x vocabulary) would be written and read back half a dozen times from main memory.
Since the head is frozen, the gradient with respect to its input is known as soon as the logits are: each slice is
multiplied, scored and turned into its gradient while it is in the cache. This is the idea of fused linear
cross-entropy (Hsu et al. 2024, "Liger Kernel", arXiv:2410.10989, section 3.2), with PyTorch's own CPU operators.
"""

from __future__ import annotations

from typing import Any

import torch

SLICE_BYTES = 8 * 1024 * 1024  # of float32 logits


class _FrozenHeadLoss(torch.autograd.Function):  # type: ignore[misc]  # torch is not followed by mypy here
    @staticmethod
    def forward(
        ctx: Any, hidden: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, targets: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        total, correct = torch.zeros((), dtype=torch.float32), torch.zeros((), dtype=torch.long)
        gradient = torch.empty_like(hidden) if ctx.needs_input_grad[0] else None
        rows = max(1, SLICE_BYTES // (4 * weight.shape[0]))
        for start in range(0, hidden.shape[0], rows):
            part, wanted = hidden[start : start + rows], targets[start : start + rows, None]
            logits = (part @ weight.t()).float()
            if bias is not None:
                logits += bias
            highest = logits.amax(dim=1, keepdim=True)
            chosen = logits.gather(1, wanted)
            shares = logits.sub_(highest).exp_()
            sums = shares.sum(dim=1, keepdim=True)
            total += (highest + sums.log() - chosen).sum()
            correct += _likeliest(chosen >= highest, shares, sums, wanted)
            if gradient is not None:
                shares.div_(sums)
                shares.scatter_add_(1, wanted, torch.full_like(sums, -1.0))
                torch.mm(shares.to(weight.dtype), weight, out=gradient[start : start + rows])
        ctx.save_for_backward(gradient)
        ctx.mark_non_differentiable(correct)
        return total, correct

    @staticmethod
    def backward(ctx: Any, upstream: torch.Tensor, _: torch.Tensor) -> tuple[torch.Tensor | None, None, None, None]:
        (gradient,) = ctx.saved_tensors
        return (None if gradient is None else gradient * upstream.to(gradient.dtype)), None, None, None


def _likeliest(highest: torch.Tensor, shares: torch.Tensor, sums: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """Of how many tokens the target is what `argmax` would choose, given where it has the highest logit.

    Several may have it, as where a model has broken down. Shares are 1 at the highest, so that none has where they sum
    to less than 2.
    """
    doubtful = (highest & (sums >= 2)).squeeze(1)
    correct = (highest.squeeze(1) & ~doubtful).sum()
    if bool(doubtful.any()):
        correct += (shares[doubtful].argmax(dim=1, keepdim=True) == wanted[doubtful]).sum()
    return correct


def frozen_head_loss(
    hidden: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, targets: torch.Tensor, dtype: torch.dtype
) -> tuple[torch.Tensor, torch.Tensor]:
    """Sum of the cross-entropies, in nats, float32; and of how many tokens the head thinks the target the likeliest.

    hidden: (tokens, width); weight: (vocabulary, width), without gradient; bias: (vocabulary,) or None; targets:
    (tokens,). The products are taken in `dtype`, the softmax in float32.
    """
    with torch.autocast("cpu", enabled=False):
        found: tuple[torch.Tensor, torch.Tensor] = _FrozenHeadLoss.apply(
            hidden.to(dtype), weight.to(dtype), bias, targets
        )
    return found
