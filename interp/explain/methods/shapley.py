"""Shapley values from all coalitions.

Shapley 1953; for predictions Lundberg and Lee 2017, arXiv 1705.07874:
phi_i = sum over S without i of |S|! (n - |S| - 1)! / n! [v(S with i) - v(S)].
They are the only scores that add up to v(N) - v(nobody) (efficiency), are equal for players that
do the same (symmetry), are 0 for one that does nothing (dummy), and are linear in v.
"""

from __future__ import annotations

from math import comb

import torch
from torch import Tensor

from interp.errors import InputError
from interp.explain.finding import Finding
from interp.explain.game import Game, Value
from interp.explain.points import Point

MOST = 12  # players; twice the work with each more


def exact_shapley(point: Point) -> Finding:
    """Shapley values from all 2^n coalitions of n movable units.

    Raises:
        InputError: more than 12 movable units.
    """
    game = Game(point)
    if len(game) > MOST:
        raise InputError(
            f"{len(game)} units can move, and exact Shapley values take 2^{len(game)} "
            f"evaluations; {MOST} units are the most. Estimate them with permutation_shapley or "
            "kernel_shap, take owen, or choose larger units: words, sentences or spans."
        )
    return Finding(game.spread(shapley_values(game.values, len(game))), complete=True)


def shapley_values(value: Value, n: int) -> Tensor:
    """Shapley values [player] of a game of n players, whose 2^n coalitions are all evaluated."""
    members = (torch.arange(2**n)[:, None] >> torch.arange(n - 1, -1, -1)) & 1 == 1
    values = value(members).reshape([2] * n)  # one axis a player: 0 absent, 1 present
    sizes = members.sum(1).reshape([2] * n)
    weights = [1 / (n * comb(n - 1, size)) for size in range(n)]  # = |S|! (n - |S| - 1)! / n!
    weight = torch.tensor(weights, dtype=torch.float64)
    scores = torch.zeros(n, dtype=torch.float64)
    for i in range(n):
        gain = values.select(i, 1) - values.select(i, 0)
        scores[i] = (weight[sizes.select(i, 0)] * gain).sum()
    return scores
