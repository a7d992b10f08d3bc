"""Taking units away in the order of their scores.

ABPC: the area between the curves of deleting the least and the most relevant first (Samek et al.
2017; Achtibat et al. 2024), in shares of the difference to explain. Comprehensiveness and
sufficiency: DeYoung et al. 2020 (ERASER), arXiv 1911.03429.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from interp.explain.game import Game
from interp.explain.scorecard.line import Line
from interp.explain.scorecard.variants import log_odds

CUTS = (0.01, 0.05, 0.1, 0.2, 0.5)
"""Shares of the units that are taken away, or left alone, for comprehensiveness and sufficiency."""

_EVERY = 64  # up to so many units, each is a step of the curve; beyond, so many steps:
_STEPS = 20


def steps(n: int) -> list[int]:
    """How many units are gone at each point of a curve."""
    if n <= _EVERY:
        return list(range(n + 1))
    return sorted({round(n * i / _STEPS) for i in range(_STEPS + 1)})


def without_first(order: Tensor, counts: list[int]) -> Tensor:
    """Coalitions [count, player] that lack the first `count` players of an order [player]."""
    rank = torch.empty_like(order)
    rank[order] = torch.arange(len(order))
    return rank[None, :] >= torch.tensor(counts)[:, None]


def curve_area(game: Game, orders: Tensor) -> Tensor:
    """Area under the share of the difference that is left, as players go in each order
    [order, player]: [order]."""
    counts = steps(len(game))
    at = torch.tensor(counts, dtype=torch.float64) / len(game)
    coalitions = torch.cat([without_first(order, counts) for order in orders])
    shares = game.shares(game.values(coalitions)).view(len(orders), -1)
    return torch.trapezoid(shares, at, dim=1)


def area_between(game: Game, scores: Tensor) -> float:
    """ABPC of scores [player]: 0 for a random order, more is better."""
    most_first = torch.argsort(scores, descending=True, stable=True)
    if game.difference < 0:  # what lowers the target least is then its support
        most_first = most_first.flip(0)
    least, most = curve_area(game, torch.stack([most_first.flip(0), most_first])).tolist()
    return float(least - most)


def random_areas(game: Game, draws: int, seed: int) -> list[float]:
    """ABPC of random orders."""
    generator = torch.Generator().manual_seed(seed)
    orders = torch.stack([torch.randperm(len(game), generator=generator) for _ in range(draws)])
    both = curve_area(game, torch.cat([orders.flip(1), orders])).view(2, -1)
    return [float(x) for x in both[0] - both[1]]


def area_line(game: Game, scores: Tensor, random: list[float], suffix: str = "") -> Line:
    """ABPC, with how far it lies from random orders in their standard deviations."""
    value = area_between(game, scores)
    mean = sum(random) / len(random)
    spread = math.sqrt(sum((x - mean) ** 2 for x in random) / max(1, len(random) - 1))
    z = (value - mean) / spread if spread else math.nan
    return Line(f"ABPC{suffix}", value, "higher", n=len(game), note=f"z = {z:.1f} against random")


def eraser_lines(chance: Game, scores: Tensor, supports: bool) -> list[Line]:
    """Comprehensiveness and sufficiency of scores [player], in probability and log-odds.

    Args:
        chance: the game of the probability.
        supports: whether a high score raises the target; False turns the order around.
    """
    order = torch.argsort(scores, descending=True, stable=True)
    order = order if supports else order.flip(0)
    n = len(order)
    counts = sorted({max(1, math.ceil(cut * n)) for cut in CUTS})
    without = without_first(order, counts)
    p = torch.tensor(chance.point.value, dtype=torch.float64)
    gone, alone = chance.values(without), chance.values(~without)
    lines = []
    for name, values, better in (
        ("comprehensiveness", gone, "higher"),
        ("sufficiency", alone, "lower"),
    ):
        for unit, drop in (
            ("", p - values),
            (" (log-odds)", log_odds(p) - log_odds(values)),
        ):
            lines.append(Line(name + unit, float(drop.mean()), better, n=len(counts)))  # type: ignore[arg-type]
    return lines
