"""Small games with known values, for explainers that leave things out."""

from __future__ import annotations

from itertools import permutations

import torch
from torch import Tensor

from interp.explain.game import Value


def game(n: int, seed: int, order: int | None = None) -> Value:
    """A random game of n players, in which no more than `order` of them act together.

    Every group of players adds a random amount when all of it is present.
    """
    draws = torch.Generator().manual_seed(seed)
    groups = (torch.arange(1, 2**n)[:, None] >> torch.arange(n)) & 1 == 1
    if order is not None:
        groups = groups[groups.sum(1) <= order]
    amounts = torch.randn(len(groups), generator=draws, dtype=torch.float64) / len(groups) ** 0.5

    def value(present: Tensor) -> Tensor:
        absent = (~present).double()
        return (absent @ groups.double().T == 0).double() @ amounts

    return value


def difference(value: Value, n: int) -> float:
    """What everybody wins above nobody."""
    ends = value(torch.tensor([[False] * n, [True] * n]))
    return float(ends[1] - ends[0])


def by_all_orders(value: Value, n: int) -> Tensor:
    """Shapley values as they are defined: the mean over all n! orders of what each player adds."""
    total = torch.zeros(n, dtype=torch.float64)
    orders = list(permutations(range(n)))
    for order in orders:
        present = torch.zeros(n + 1, n, dtype=torch.bool)
        for place, player in enumerate(order):
            present[place + 1 :, player] = True
        total[list(order)] += value(present).diff()
    return total / len(orders)
