"""Cross-entropy of an output layer that never holds all logits.

Logits of a step are tens of times as large as the stream they are made of. They are computed in
chunks that fit the processor's cache, and each chunk's gradient is taken on the spot, so that
nothing of it has to be kept or computed again.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from interp.data.batch import IGNORED

_CHUNK = {"cpu": 2**20, "cuda": 2**28}  # logits at a time


class _LinearCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        labels: Tensor,
        soft_cap: float,
        smoothing: float,
        z_loss: float,
    ) -> Tensor:
        learns = any(ctx.needs_input_grad)
        grad_x = torch.empty_like(x) if learns else None
        grad_weight = torch.zeros_like(weight, dtype=torch.float32) if learns else None
        grad_bias = None
        if learns and bias is not None:
            grad_bias = torch.zeros_like(bias, dtype=torch.float32)
        total = x.new_zeros((), dtype=torch.float32)
        rows = max(1, _CHUNK.get(x.device.type, 2**24) // len(weight))
        for start in range(0, len(x), rows):
            chunk = slice(start, start + rows)
            target = labels[chunk, None]
            counted = target != IGNORED
            target = target.clamp(min=0)
            logits = torch.nn.functional.linear(x[chunk], weight, bias).float()
            slope = None
            if soft_cap > 0:
                logits = logits.div_(soft_cap).tanh_()
                slope = 1 - logits.square() if learns else None
                logits = logits.mul_(soft_cap)
            norm = logits.logsumexp(-1, keepdim=True)
            loss = norm - (1 - smoothing) * logits.gather(-1, target)
            if smoothing:
                loss = loss - smoothing * logits.mean(-1, keepdim=True)
            if z_loss:
                loss = loss + z_loss * norm.square()
            total += torch.where(counted, loss, 0.0).sum()
            if grad_x is None or grad_weight is None:
                continue
            # d loss / d logits = p (1 + 2 z lse) - (1 - s) [label] - s / V
            grad = logits.sub_(norm).exp_()
            if z_loss:
                grad = grad * (1 + 2 * z_loss * norm)
            grad.scatter_add_(-1, target, grad.new_full(target.shape, smoothing - 1))
            if smoothing:
                grad -= smoothing / grad.shape[-1]
            if slope is not None:
                grad *= slope
            grad = grad.masked_fill_(~counted, 0.0).to(x.dtype)
            torch.mm(grad, weight, out=grad_x[chunk])
            grad_weight += grad.t() @ x[chunk]
            if grad_bias is not None:
                grad_bias += grad.sum(0, dtype=torch.float32)
        if grad_weight is not None:
            grad_weight = grad_weight.to(weight.dtype)
        if grad_bias is not None and bias is not None:
            grad_bias = grad_bias.to(bias.dtype)
        ctx.save_for_backward(grad_x, grad_weight, grad_bias)
        return total

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        scaled = [None if g is None else g * grad.to(g.dtype) for g in ctx.saved_tensors]
        return (*scaled, None, None, None, None)


def linear_cross_entropy(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    labels: Tensor,
    *,
    soft_cap: float = -1.0,
    smoothing: float = 0.0,
    z_loss: float = 0.0,
) -> Tensor:
    """Summed cross-entropy of softmax(x @ weight.T + bias) against labels, in nats.

    Args:
        x: [n, d_model].
        weight, bias: [d_vocab, d_model] and [d_vocab] or None.
        labels: [n]; `IGNORED` counts nothing.
        soft_cap: c in c * tanh(logits / c); not positive for none.
        smoothing: share of a label that is spread over the whole vocabulary (Szegedy et al. 2016,
            arXiv 1512.00567).
        z_loss: weight of logsumexp(logits)^2, which keeps logits small (Chowdhery et al. 2022,
            arXiv 2204.02311).

    Returns:
        A float32 scalar; it can be differentiated once.
    """
    function: Any = _LinearCrossEntropy
    out: Tensor = function.apply(x, weight, bias, labels, soft_cap, smoothing, z_loss)
    return out
