"""Integrals along a path whose function is known, with a measured error.

The gradient of F is integrated from one end to the other, part by part. F itself is known wherever
a gradient was taken, so each part's error is measured, where errors cannot cancel between parts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

# Gauss-Legendre points of a panel: exact for polynomials up to degree 17. An odd number, so that
# the middle is one of them: F is then known at the ends of both halves, should they be needed. With
# 9, the scores of tokens were nearly as exact as their sum; with fewer, sums were often right
# while single scores were not.
POINTS = 9

Evaluate = Callable[[Tensor], tuple[Tensor, Tensor]]
"""Places on the path [n], 0 to 1 -> F there [n], and the shares of dF/d(place), [n, share], which
add up to it; float64. Of several functions at once, [n, term] and [n, term, share]."""


@dataclass(frozen=True)
class Panel:
    """A part of the path, F at its ends and middle, and its part of every share, [share].

    Of several functions at once, all have a first dimension [term].
    """

    start: float
    end: float
    value_start: Tensor
    value_middle: Tensor
    value_end: Tensor
    scores: Tensor

    @property
    def gap(self) -> Tensor:
        """By how much the shares miss the change of F over this part: [] or [term]."""
        return (self.scores.sum(-1) - (self.value_end - self.value_start)).abs()


def integrate(
    evaluate: Evaluate,
    start: Tensor | float,
    end: Tensor | float,
    allowed: Tensor | float,
    max_evaluations: int,
) -> list[Panel]:
    """Panels that cover the path, fine enough that their gaps add up to `allowed` if they can.

    The path is one panel at first. The panels that add up worst are halved until what all of them
    miss, added up without signs, is allowed for every term, or the evaluations are used up.

    Args:
        start, end: F at the ends of the path, [] or [term].
        allowed: of each term.
    """
    at_start, at_end, limit = (
        torch.as_tensor(x, dtype=torch.float64, device="cpu") for x in (start, end, allowed)
    )
    panels = _panels(evaluate, [(0.0, 1.0, at_start, at_end)])
    used = POINTS

    def excess(some: list[Panel]) -> float:
        """What the panels miss, in units of what is allowed, by the worst term."""
        return float((sum(p.gap for p in some) / limit).max()) if some else 0.0

    while excess(panels) > 1:
        panels.sort(key=lambda panel: excess([panel]))
        worst: list[Panel] = []
        # Half of what is allowed stays for the parts that are about to be computed.
        while panels and excess(panels) > 0.5:
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


def _panels(evaluate: Evaluate, parts: list[tuple[float, float, Tensor, Tensor]]) -> list[Panel]:
    """Panels over parts of the path (their ends, and F there), evaluated together."""
    nodes, weights = (torch.from_numpy(x) for x in np.polynomial.legendre.leggauss(POINTS))
    places = torch.cat([(a + b) / 2 + (b - a) / 2 * nodes for a, b, _, _ in parts])
    values, slopes = (x.unflatten(0, (len(parts), POINTS)).cpu() for x in evaluate(places))
    panels = []
    for (a, b, at_a, at_b), value, slope in zip(parts, values, slopes, strict=True):
        scores = (b - a) / 2 * torch.tensordot(weights.to(slope), slope, 1)
        panels.append(Panel(a, b, at_a, value[POINTS // 2], at_b, scores))
    return panels
