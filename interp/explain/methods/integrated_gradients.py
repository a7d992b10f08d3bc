"""Integrated gradients on the token embeddings, with a measured error.

Sundararajan et al. 2017, arXiv 1703.01365: a_i = (e_i - b_i) . integral of dF/de_i along the
straight path from the baseline b to the embeddings e. The scores add up to F(e) - F(b)
(completeness), and so does every part of the path, by which `quadrature` measures its error.
"""

from __future__ import annotations

import warnings

import torch
from torch import Tensor

from interp.errors import InputError
from interp.explain.finding import Finding, completeness_error, rounding
from interp.explain.points import Point
from interp.explain.quadrature import COARSE, integrate


def integrated_gradients(
    point: Point, *, tolerance: float = 0.01, max_evaluations: int = 1500
) -> Finding:
    """Scores of one text; of several baselines, the mean over their paths (expected gradients,
    Erion et al. 2021, without its random places on the path).

    Args:
        tolerance: the largest completeness error, relative to |F(e) - F(b)|.
        max_evaluations: of the gradient; when they are used up, the error is what it is, and a
            warning says so.
    """
    if not 0 < tolerance < 1:
        raise InputError(f"tolerance is {tolerance}; it must lie between 0 and 1.")
    paths = len(point.baselines)
    if max_evaluations < (COARSE + 1) * paths:
        raise InputError(
            f"max_evaluations is {max_evaluations}; {paths} path(s) take {COARSE + 1} each at "
            "least."
        )
    difference = abs(point.value - point.baseline_value)
    # F is not known better than it is rounded; where it hardly moves, the tolerance is below that.
    allowed = max(tolerance * difference, rounding(point))
    scores = torch.zeros(len(point.embedded), dtype=torch.float64)
    gap = 0.0
    for baseline, value in zip(point.baselines, point.baseline_values, strict=True):
        step = point.embedded - baseline

        def evaluate(
            places: Tensor, baseline: Tensor = baseline, step: Tensor = step
        ) -> tuple[Tensor, Tensor]:
            at = baseline + places.to(step)[:, None, None] * step
            values, gradient = point.gradients(at)
            return values.double(), (gradient * step).double().sum(-1)

        panels = integrate(evaluate, value, point.value, allowed, max_evaluations // paths)
        scores += torch.stack([panel.scores for panel in panels]).sum(0) / paths
        gap += sum(panel.gap for panel in panels) / paths
    converged = gap <= allowed
    if not converged:
        warnings.warn(
            f"Integrated gradients used {point.backwards} evaluations and its scores still miss "
            f"the difference they explain by {completeness_error(point, scores):.1%}, or by more "
            f"on parts of the path (tolerance {tolerance:.1%}). Allow more with max_evaluations, "
            "or choose a baseline further from the text.",
            stacklevel=3,
        )
    return Finding(point.by_unit(scores), complete=True, converged=converged)
