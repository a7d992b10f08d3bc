"""Shapley values from random orders, with intervals.

A player's Shapley value is the mean, over all orders in which the players join, of what it then
adds (Castro et al. 2009). Each order is taken together with its reverse, whose errors go the other
way (antithetic sampling: Mitchell et al. 2022, arXiv 2104.12199). Along every order the gains add
up to v(N) - v(nobody), so the scores do whatever was drawn.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import replace

import torch
from torch import Tensor

from interp.errors import InputError
from interp.explain.finding import Finding, rounding
from interp.explain.game import Game, Value
from interp.explain.methods.sampling import generator, mean_of_draws
from interp.explain.points import Point

FIRST = 16  # pairs before the first look at the intervals; Student's t wants some


def permutation_shapley(
    point: Point, *, tolerance: float = 0.1, max_evaluations: int = 2000, seed: int = 0
) -> Finding:
    """Shapley values with 95 % intervals by Student's t over pairs of orders.

    The intervals are looked at after 16 pairs, 32, 64 and so on: to stop at the first narrow one
    after each pair would favour those that are narrow by chance. A unit that only counts in rare
    coalitions may have shown no gain in any order drawn; its interval is then too narrow.

    Args:
        tolerance: stop when no interval reaches further from its score than this share of
            |F(text) - F(baseline)|, or of the largest score, if that is more.
        max_evaluations: of coalitions, those that come again included; when they are used up, the
            intervals are what they are, and a warning says so.

    Raises:
        InputError: a tolerance that is not above 0, or fewer evaluations than two pairs take.
    """
    if not tolerance > 0:
        raise InputError(f"tolerance is {tolerance}; it must be more than 0.")
    game, draws = Game(point), generator(seed)
    cost = max(1, 2 * (len(game) - 1))  # of a pair: its ends are known
    game.check_budget(max_evaluations, 2 * cost)
    most = max_evaluations // cost
    pairs = torch.zeros(0, len(game), dtype=torch.float64)
    widest, allowed = math.inf, 0.0
    while widest > allowed and len(pairs) < most:
        more = min(max(FIRST, len(pairs)), most - len(pairs))
        pairs = torch.cat([pairs, pair_scores(game.values, len(game), more, draws)])
        found = mean_of_draws(game.spread(pairs), seed, complete=True)
        assert found.high is not None
        widest = float((found.high - found.scores).max())
        size = max(abs(game.difference), float(found.scores.abs().max()))
        allowed = max(tolerance * size, rounding(point))
    converged = widest <= allowed
    if not converged:
        warnings.warn(
            f"Permutation sampling used {len(pairs)} pairs of orders, and an interval still "
            f"reaches {widest:.3g} from its score; the tolerance is {allowed:.3g}. Allow more with "
            "max_evaluations, or choose larger units.",
            stacklevel=3,
        )
    return replace(found, converged=converged)


def pair_scores(value: Value, n: int, pairs: int, draws: torch.Generator) -> Tensor:
    """What each of n players adds, the mean of a random order and its reverse: [pair, player]."""
    order = torch.rand(pairs, n, generator=draws, dtype=torch.float64).argsort(1)
    place = torch.cat([order, order.flip(1)]).argsort(1)  # of each player, [2 pair, player]
    present = place[:, None] < torch.arange(n + 1)[:, None]  # [2 pair, joined so far, player]
    values = value(present.reshape(2 * pairs * (n + 1), n)).reshape(2 * pairs, n + 1)
    return values.diff(dim=1).gather(1, place).reshape(2, pairs, n).mean(0)
