"""Averages of weights over a training: they are often better than any of their terms."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class Ema:
    """An exponential moving average of parameters (Polyak & Juditsky 1992).

    The average of the first n steps is weighted as if it had begun there: the decay in step n is
    at most (1 + n) / (10 + n), so early weights do not linger.

    Args:
        named: parameters by name.
        decay: per step, in (0, 1).
    """

    def __init__(self, named: Iterable[tuple[str, nn.Parameter]], decay: float):
        self.decay = decay
        self.parameters = dict(named)
        self.average = {name: p.detach().clone() for name, p in self.parameters.items()}

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Takes in the weights after a step, counted from 0."""
        decay = min(self.decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(
            list(self.average.values()),
            [p.detach() for p in self.parameters.values()],
            1 - decay,
        )

    @contextmanager
    def in_place(self) -> Generator[None, None, None]:
        """The parameters hold their average inside the block, and themselves again after it."""
        self.swap()
        try:
            yield
        finally:
            self.swap()

    @torch.no_grad()
    def swap(self) -> None:
        """Exchanges the parameters and their average."""
        for name, parameter in self.parameters.items():
            kept = parameter.detach().clone()
            parameter.copy_(self.average[name])
            self.average[name].copy_(kept)

    @property
    def state(self) -> dict[str, Tensor]:
        """What must be kept to go on alike; whoever writes into it resumes."""
        return self.average
