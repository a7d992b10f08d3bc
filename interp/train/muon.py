"""Muon (Jordan et al. 2024): each matrix moves by its momentum, made orthogonal.

torch has a Muon of its own, which computes in bfloat16 wherever it is; on a processor without that
format its step takes a hundred times as long. This one computes in what the machine is fast at, and
takes matrices of one shape together.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from interp.train.precision import fastest_dtype

# Of the quintic iteration: they lift small singular values fast and end between 0.7 and 1.2, which
# is near enough to 1 (Jordan et al. 2024).
_COEFFICIENTS = (3.4445, -4.7750, 2.0315)
_ITERATIONS = 5
_EPS = 1e-7


def orthogonalized(x: Tensor) -> Tensor:
    """Matrices [n, row, column] with their singular values brought near 1, their directions kept.

    Newton-Schulz iteration, in the format of x.
    """
    a, b, c = _COEFFICIENTS
    tall = x.shape[-2] > x.shape[-1]
    if tall:
        x = x.mT
    x = x / x.norm(dim=(-2, -1), keepdim=True).clamp(min=_EPS)  # no singular value above 1
    for _ in range(_ITERATIONS):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.mT if tall else x


class Muon(torch.optim.Optimizer):
    """Moves matrices by -lr * 0.2 * sqrt(longer side) * orthogonalized(momentum).

    The factor gives a matrix an update of the root mean square of AdamW's, so that one rate serves
    both (Liu et al. 2025, arXiv 2502.16982). Momentum is Nesterov's; weight decay is decoupled.

    Args:
        params: matrices.
        lr: learning rate.
        momentum: in [0, 1).
        weight_decay: per unit of the rate.
    """

    def __init__(
        self, params: Iterable[Tensor], lr: float, momentum: float, weight_decay: float
    ) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """Moves every matrix that has a gradient."""
        for group in self.param_groups:
            alike: dict[torch.Size, list[Tensor]] = defaultdict(list)
            for parameter in group["params"]:
                if parameter.grad is not None:
                    alike[parameter.shape].append(parameter)
            for parameters in alike.values():
                self._move(parameters, group)

    def _move(self, parameters: list[Tensor], group: dict[str, Any]) -> None:
        momentum, lr = group["momentum"], group["lr"]
        gradients = [p.grad for p in parameters if p.grad is not None]
        buffers = [self._buffer(p) for p in parameters]
        torch._foreach_lerp_(buffers, gradients, 1 - momentum)
        ahead = torch.stack(torch._foreach_lerp(gradients, buffers, momentum))
        direction = orthogonalized(ahead.to(fastest_dtype(ahead.device.type))).to(ahead.dtype)
        size = 0.2 * math.sqrt(max(ahead.shape[-2:]))
        torch._foreach_mul_(parameters, 1 - lr * group["weight_decay"])
        torch._foreach_add_(parameters, list(direction), alpha=-lr * size)

    def _buffer(self, parameter: Tensor) -> Tensor:
        state = self.state[parameter]
        if not state:
            state["momentum_buffer"] = torch.zeros_like(parameter)
        buffer: Tensor = state["momentum_buffer"]
        return buffer
