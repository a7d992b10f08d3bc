"""Integrated gradients on the token embeddings, with a measured error.

Sundararajan et al. 2017, arXiv 1703.01365: a_i = (e_i - b_i) . integral of dF/de_i along the
straight path from the baseline b to the embeddings e. The scores add up to F(e) - F(b)
(completeness). That holds for every part of the path too, and F is known wherever a gradient was
taken, so the error of the quadrature is measured part by part, where errors cannot cancel between
the parts.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from interp.errors import InputError
from interp.explain.points import Point

# Gauss-Legendre points of a panel: exact for polynomials up to degree 17. An odd number, so that
# the middle is one of them: F is then known at the ends of both halves, should they be needed. With
# 9, the scores of tokens were nearly as exact as their sum; with fewer, sums were often right
# while single scores were not.
POINTS = 9

_TOKENS = 1024  # in one forward; beyond it, memory grows and speed does not

Evaluate = Callable[[Tensor], tuple[Tensor, Tensor]]
"""Places on the path [n], 0 to 1 -> F there [n], and dF/d(place) by token [n, pos]; float64."""


@dataclass(frozen=True)
class _Panel:
    """A part of the path, F at its ends and middle, and its share of every score, [pos]."""

    start: float
    end: float
    value_start: float
    value_middle: float
    value_end: float
    scores: Tensor

    @property
    def gap(self) -> float:
        """By how much the shares miss the change of F over this part."""
        return abs(float(self.scores.sum()) - (self.value_end - self.value_start))


def integrated_gradients(
    point: Point,
    *,
    tolerance: float = 0.01,
    max_evaluations: int = 1500,
    batch_size: int | None = None,
) -> tuple[Tensor, float, bool]:
    """Scores of one text.

    The path is one panel at first. The panels that add up worst are halved until what all of them
    miss, added up without signs, is within the tolerance.

    Args:
        tolerance: the largest completeness error, relative to |F(e) - F(b)|.
        max_evaluations: of the gradient; when they are used up, the error is what it is, and a
            warning says so.
        batch_size: points of the path in one forward; by default as many as are efficient.

    Returns:
        Scores [pos], the completeness error, and whether it is within the tolerance.
    """
    if not 0 < tolerance < 1:
        raise InputError(f"tolerance is {tolerance}; it must lie between 0 and 1.")
    if max_evaluations < POINTS or (batch_size is not None and batch_size < 1):
        raise InputError(
            f"max_evaluations is {max_evaluations} and batch_size {batch_size}; one panel takes "
            f"{POINTS} evaluations, and a batch at least one point."
        )
    step = point.embedded - point.baseline
    rows = batch_size or max(1, _TOKENS // len(step))

    def evaluate(places: Tensor) -> tuple[Tensor, Tensor]:
        values, slopes = [], []
        for chunk in places.to(step).split(rows):
            value, gradient = point.gradients(point.baseline + chunk[:, None, None] * step)
            values.append(value.double())
            slopes.append((gradient * step).double().sum(-1))
        return torch.cat(values), torch.cat(slopes)

    difference = abs(point.value - point.baseline_value)
    # F is not known better than it is rounded; where it hardly moves, the tolerance is below that.
    rounding = 16 * torch.finfo(step.dtype).eps * max(abs(point.value), abs(point.baseline_value))
    allowed = max(tolerance * difference, rounding)
    panels = _integrate(evaluate, point.baseline_value, point.value, allowed, max_evaluations)
    scores = torch.stack([panel.scores for panel in panels]).sum(0)
    gap = abs(float(scores.sum()) - (point.value - point.baseline_value))
    nothing = difference <= rounding  # nothing to explain: the scores must cancel
    error = (0.0 if gap <= rounding else torch.inf) if nothing else gap / difference
    converged = sum(panel.gap for panel in panels) <= allowed
    if not converged:
        warnings.warn(
            f"Integrated gradients used {point.backwards} evaluations and its scores still miss "
            f"the difference they explain by {error:.1%}, or by more on parts of the path "
            f"(tolerance {tolerance:.1%}). Allow more with max_evaluations, or choose a baseline "
            "further from the text.",
            stacklevel=3,
        )
    return scores, error, converged


def _integrate(
    evaluate: Evaluate, start: float, end: float, allowed: float, max_evaluations: int
) -> list[_Panel]:
    """Panels that cover the path, fine enough that their gaps add up to `allowed` if they can.

    Args:
        start, end: F at the ends of the path.
    """
    panels = _panels(evaluate, [(0.0, 1.0, start, end)])
    used = POINTS
    while sum(panel.gap for panel in panels) > allowed:
        panels.sort(key=lambda panel: panel.gap)
        worst: list[_Panel] = []
        # Half of what is allowed stays for the parts that are about to be computed.
        while panels and sum(panel.gap for panel in panels) > allowed / 2:
            if used + 2 * POINTS > max_evaluations:
                break
            worst.append(panels.pop())
            used += 2 * POINTS
        if not worst:
            break
        halves = []
        for panel in worst:
            middle = (panel.start + panel.end) / 2
            halves += [
                (panel.start, middle, panel.value_start, panel.value_middle),
                (middle, panel.end, panel.value_middle, panel.value_end),
            ]
        panels += _panels(evaluate, halves)
    return panels


def _panels(evaluate: Evaluate, parts: list[tuple[float, float, float, float]]) -> list[_Panel]:
    """Panels over parts of the path (their ends, and F there), evaluated together."""
    nodes, weights = (torch.from_numpy(x) for x in np.polynomial.legendre.leggauss(POINTS))
    places = torch.cat([(a + b) / 2 + (b - a) / 2 * nodes for a, b, _, _ in parts])
    values, slopes = evaluate(places)
    panels = []
    for (a, b, at_a, at_b), value, slope in zip(
        parts, values.view(-1, POINTS), slopes.view(len(parts), POINTS, -1), strict=True
    ):
        scores = (b - a) / 2 * (weights.to(slope) @ slope)
        panels.append(_Panel(a, b, at_a, float(value[POINTS // 2]), at_b, scores))
    return panels
