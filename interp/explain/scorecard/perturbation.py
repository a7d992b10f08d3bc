"""Scores as predictions of what happens when parts of the input go."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from interp.explain.game import Game
from interp.explain.points import Point
from interp.explain.scorecard.line import Line, mean_line


def random_masks(n: int, draws: int, seed: int) -> Tensor:
    """Coalitions [draw, player] that lack 10 to 50 % of the players, at least one."""
    generator = torch.Generator().manual_seed(seed)
    share = 0.1 + 0.4 * torch.rand(draws, generator=generator)
    lack = (share * n).ceil().clamp(1, max(1, n)).long()
    rank = torch.rand(draws, n, generator=generator).argsort(1).argsort(1)
    return rank >= lack[:, None]


def infidelity_line(game: Game, scores: Tensor, present: Tensor) -> Line:
    """Infidelity (Yeh et al. 2019, arXiv 1901.09392) of scores [player]: how badly the scores of
    what is absent add up to the fall of the target, at the best common scale, in shares of the
    fall's variance. Below 1, the scores predict better than one constant does."""
    absent = (~present).double()
    predicted = (absent @ scores.double()).numpy()
    fall = (game.point.value - game.values(present)).numpy()

    def measure(picks: NDArray[np.int64]) -> float:
        p, f = predicted[picks], fall[picks]
        variance = f.var()
        if variance == 0:
            return math.nan
        scale = (p @ f) / (p @ p) if p @ p else 0.0
        return float(((scale * p - f) ** 2).mean() / variance)

    n = len(fall)
    drawn = np.random.default_rng(0).integers(0, n, (200, n))
    found = [x for x in map(measure, drawn) if not math.isnan(x)]
    low, high = np.percentile(found, [2.5, 97.5]) if found else (math.nan, math.nan)
    value = measure(np.arange(n))
    return Line(
        "infidelity", value, "lower", float(low), float(high), n, "1: as good as a constant"
    )


def soft_lines(point: Point, scores: Tensor, players: Tensor, draws: int, seed: int) -> list[Line]:
    """Soft normalised comprehensiveness and sufficiency (Zhao and Aletras 2023, arXiv 2305.10496).

    Each number of a unit's embedding is replaced by the baseline's with a probability that falls
    (or rises) with the unit's rank. The ranks' mean keeps one half of the numbers whatever the
    scores are, so that methods with larger scores gain nothing by it.

    Args:
        point: of the probability.
        scores: [player]; higher must mean more support.
        players: their units.
    """
    n = len(players)
    rank = torch.argsort(torch.argsort(scores, stable=True))
    keep = torch.ones(len(point.units), dtype=torch.float64)
    lines = []
    for name, better, chance in (
        ("soft sufficiency", "higher", (rank + 0.5) / n),
        ("soft comprehensiveness", "higher", 1 - (rank + 0.5) / n),
    ):
        keep[players] = chance.double()
        by_position = torch.empty(len(point.embedded), dtype=torch.float64)
        for i, group in enumerate(point.units.groups):
            by_position[list(group)] = keep[i]
        generator = torch.Generator().manual_seed(seed)
        shape = (draws, *point.embedded.shape)
        kept = torch.rand(shape, generator=generator).double() < by_position[None, :, None]
        drops = []
        baseline = point.baselines[torch.arange(draws) % len(point.baselines)]
        mixed = torch.where(kept.to(baseline.device), point.embedded, baseline)
        with torch.no_grad():
            for chunk in mixed.split(point.rows):
                drops += [max(0.0, point.value - v) for v in point.values(chunk).tolist()]
        values = drops if name.endswith("comprehensiveness") else [1 - drop for drop in drops]
        lines.append(mean_line(name, values, better))  # type: ignore[arg-type]
    return lines
