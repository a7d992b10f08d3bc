"""LIME: a linear model of the target around the text.

Ribeiro et al. 2016, arXiv 1602.04938, with the choices of the authors' explainer of texts: a
random number of units is left out, the kernel is exp(-d^2 / width^2)^(1/2) of the cosine distance d
between the presence of the units and the whole text, and the fit is ridge regression.
"""

from __future__ import annotations

import warnings

import torch
from torch import Tensor

from interp.errors import InputError
from interp.explain.finding import Finding, rounding
from interp.explain.game import Game
from interp.explain.methods.sampling import generator
from interp.explain.points import Point

POOR = 0.5  # a fit that explains less than this of the variance says little


def lime(
    point: Point,
    *,
    max_evaluations: int = 2000,
    kernel_width: float = 0.25,
    ridge: float = 1.0,
    seed: int = 0,
) -> Finding:
    """Coefficients of a linear model of the target, with the R^2 of its fit.

    They do not add up to anything, and ridge draws them towards 0; a warning says so when the fit
    is poor.

    Args:
        max_evaluations: of coalitions; the text itself is one of them.
        kernel_width: in cosine distance, which lies between 0 and 1.
        ridge: the penalty on squared coefficients, where the text itself weighs 1.

    Raises:
        InputError: fewer evaluations than unknowns, or a width or penalty out of range.
    """
    game, draws = Game(point), generator(seed)
    n = len(game)
    game.check_budget(max_evaluations, n + 2)  # unknowns, the intercept among them, and one more
    if not kernel_width > 0 or not ridge >= 0:
        raise InputError(
            f"kernel_width is {kernel_width} and ridge {ridge}; the width must be more than 0 and "
            "the penalty not less."
        )
    present = neighbours(n, max_evaluations, draws)
    distance = 1 - (present.double().sum(1) / max(1, n)).sqrt()
    weights = (-((distance / kernel_width) ** 2) / 2).exp()
    scores, fit = weighted_ridge(
        present.double(), game.values(present), weights, ridge, rounding(point)
    )
    if fit < POOR:
        warnings.warn(
            f"The linear model of LIME explains {fit:.0%} of how the target varies around the "
            "text, so its coefficients say little. Prefer Shapley values.",
            stacklevel=3,
        )
    return Finding(game.spread(scores), seed=seed, details={"R^2 of the local fit": fit})


def neighbours(n: int, samples: int, draws: torch.Generator) -> Tensor:
    """The text itself and coalitions from which 1 to n units are left out, each number as often:
    [sample, player]."""
    if not n:
        return torch.ones(samples, 0, dtype=torch.bool)
    missing = torch.randint(1, n + 1, (samples, 1), generator=draws)
    missing[0] = 0
    place = torch.rand(samples, n, generator=draws, dtype=torch.float64).argsort(1).argsort(1)
    return place >= missing


def weighted_ridge(
    x: Tensor, y: Tensor, weights: Tensor, ridge: float, noise: float = 0.0
) -> tuple[Tensor, float]:
    """Coefficients of y [sample] on x [sample, player] with a free intercept, and their R^2.

    They minimise sum of weights (y - intercept - x @ coefficients)^2 + ridge |coefficients|^2.
    Values of y that differ by no more than `noise` are one value, which an intercept fits: R^2 = 1.
    """
    total = weights.sum()
    x = x - (weights @ x) / total
    y = y - y[0]  # the intercept takes it, and equal values become 0 without rounding
    y = y - (weights @ y) / total
    system = x.T @ (weights[:, None] * x) + ridge * torch.eye(x.shape[1], dtype=x.dtype)
    scores = torch.linalg.lstsq(system, x.T @ (weights * y)).solution
    spread = float(weights @ y**2)
    left = float(weights @ (y - x @ scores) ** 2)
    return scores, 1 - left / spread if spread > total * noise**2 else 1.0
