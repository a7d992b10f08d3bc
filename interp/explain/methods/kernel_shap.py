"""KernelSHAP: Shapley values by regression.

Lundberg and Lee 2017, arXiv 1705.07874: Shapley values are the phi that minimise
sum over S of w(S) [v(S) - v(nobody) - sum of phi_i over S]^2 with
w(S) = (n - 1) / (C(n, |S|) |S| (n - |S|)), while all phi add up to v(N) - v(nobody).
Coalitions come in pairs, S and its complement (Covert and Lee 2021, arXiv 2012.01536). Under the
constraint both of a pair say the same thing, so that they are one equation:
[v(S) - v(complement)] / 2 = sum of (z_i - 1/2) phi_i, where z_i is 1 in S and 0 outside.
"""

from __future__ import annotations

from itertools import combinations
from math import comb

import torch
from torch import Tensor

from interp.explain.finding import Finding
from interp.explain.game import Game, Value
from interp.explain.methods.sampling import generator
from interp.explain.points import Point


def kernel_shap(point: Point, *, max_evaluations: int = 2000, seed: int = 0) -> Finding:
    """Shapley values with 95 % intervals; exact where the evaluations suffice for all coalitions.

    Raises:
        InputError: fewer evaluations than unknowns and intervals take.
    """
    game = Game(point)
    game.check_budget(max_evaluations, 2 * least_pairs(len(game)))
    scores, half = regress(
        game.values, len(game), game.difference, max_evaluations // 2, generator(seed)
    )
    return Finding(
        game.spread(scores),
        complete=True,
        low=game.spread(scores - half),
        high=game.spread(scores + half),
        seed=seed,
    )


def regress(
    value: Value, n: int, difference: float, pairs: int, draws: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Scores [player] that add up to `difference`, and by how much a 95 % interval reaches beyond
    them on either side."""
    from scipy.stats import t

    if not n:
        return torch.zeros(0), torch.zeros(0)
    present, weights, drawn = choose(n, pairs, draws)
    both = value(torch.cat([present, ~present])).reshape(2, -1)
    x, y = present.double() - 0.5, (both[0] - both[1]) / 2
    # The minimum under the constraint: [[X'WX, 1], [1', 0]] [phi, multiplier] = [X'Wy, difference].
    system = torch.ones(n + 1, n + 1, dtype=torch.float64)
    system[:n, :n] = x.T @ (weights[:, None] * x)
    system[n, n] = 0
    inverse = torch.linalg.inv(system)
    scores = inverse[:n, :n] @ (x.T @ (weights * y)) + inverse[:n, n] * difference
    if drawn < 2:
        return scores, torch.zeros(n, dtype=torch.float64)
    # Only the drawn equations vary. What one adds to the scores is its residual through the
    # inverse; a residual is too small by its own pull on the fit, its leverage.
    x, y, weights = x[-drawn:], y[-drawn:], weights[-drawn:]
    through = x @ inverse[:n, :n]
    leverage = weights * (through * x).sum(1)
    parts = through * ((y - x @ scores) / (1 - leverage) * weights)[:, None]
    error = (parts.var(0) * drawn).sqrt()
    return scores, float(t.ppf(0.975, drawn - 1)) * error


def least_pairs(n: int) -> int:
    """Those of single players, and two to make an interval of; never more than there are."""
    return min(n + 2, (1 << max(0, n - 1)) - 1)


def choose(n: int, pairs: int, draws: torch.Generator) -> tuple[Tensor, Tensor, int]:
    """One coalition of each pair [pair, player], the weight of each pair, and how many of them
    were drawn at random: the last ones.

    Sizes from the outside in are taken whole, as long as drawing them would take as many; the
    rest is drawn by the kernel. Those of one player are always whole, which makes the unknowns
    determined, so `pairs` must be `least_pairs(n)` or more.
    """
    sizes = range(1, n // 2 + 1)
    # A size and that of its complements together; those of half the players are their own.
    share = {s: (1 if 2 * s == n else 2) / (s * (n - s)) for s in sizes}
    count = {s: comb(n, s) // (2 if 2 * s == n else 1) for s in sizes}
    rows, weights, left = [], [], pairs
    rest = list(sizes)
    while rest:
        s = rest[0]
        few = left * share[s] < count[s] * _sum(share, rest)
        unspread = len(rest) > 1 and left - count[s] < 2  # an interval needs two draws
        if s > 1 and (few or unspread):
            break
        rest.pop(0)
        chosen = list(combinations(range(n), s))[: count[s]]  # of halves, those with player 0
        index = torch.tensor(chosen)
        rows.append(torch.zeros(len(chosen), n, dtype=torch.bool).scatter(1, index, True))
        weights.append(torch.full((len(chosen),), share[s] / count[s], dtype=torch.float64))
        left -= len(chosen)
    drawn = left if rest else 0
    if drawn:
        chance = torch.tensor([share[s] for s in rest], dtype=torch.float64)
        size = torch.tensor(rest)[torch.multinomial(chance, drawn, True, generator=draws)]
        place = torch.rand(drawn, n, generator=draws, dtype=torch.float64).argsort(1).argsort(1)
        rows.append(place < size[:, None])
        weights.append(torch.full((drawn,), _sum(share, rest) / drawn, dtype=torch.float64))
    if not rows:  # one player, or none
        return torch.zeros(0, n, dtype=torch.bool), torch.zeros(0, dtype=torch.float64), 0
    return torch.cat(rows), torch.cat(weights), drawn


def _sum(share: dict[int, float], sizes: list[int]) -> float:
    return sum(share[s] for s in sizes)
