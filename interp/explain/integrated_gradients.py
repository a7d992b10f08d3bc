"""Integrated gradients on the token embeddings, with a measured error.

Sundararajan et al. 2017, arXiv 1703.01365: a_i = (e_i - b_i) . integral of dF/de_i along the
straight path from the baseline b to the embeddings e. The scores add up to F(e) - F(b)
(completeness), which is known exactly, so the error of the quadrature is known too.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import torch
from torch import Tensor

from interp.errors import InputError
from interp.explain.points import Point

# Gauss-Kronrod nodes and weights on [-1, 1] (QUADPACK, Piessens et al. 1983): 15 points of order
# 22, of which every second makes a Gauss rule of order 13; the two differ by about the error.
_NODES = (
    0.991455371120812639206854697526329,
    0.949107912342758524526189684047851,
    0.864864423359769072789712788640926,
    0.741531185599394439863864773280788,
    0.586087235467691130294144691693013,
    0.405845151377397166906606412076961,
    0.207784955007898467600689403773245,
    0.0,
)
_KRONROD = (
    0.022935322010529224963732008058970,
    0.063092092629978553290700663189204,
    0.104790010322250183839876322541518,
    0.140653259715525918745189590510238,
    0.169004726639267902826583426598550,
    0.190350578064785409913256402421014,
    0.204432940075298892414161999234649,
    0.209482141084727828012999174891714,
)
_GAUSS = (
    0.129484966168869693270611432679082,
    0.279705391489276667901467771423780,
    0.381830050505118944950369775488975,
    0.417959183673469387755102040816327,
)


@dataclass(frozen=True)
class _Panel:
    """A part of the path with its share of every score, [pos], and an estimate of their error."""

    start: float
    end: float
    scores: Tensor
    error: float


def integrated_gradients(
    point: Point,
    *,
    tolerance: float = 0.01,
    max_evaluations: int = 1500,
    batch_size: int = 30,
) -> tuple[Tensor, float, bool]:
    """Scores of one text.

    The path is cut in panels of 15 points; the panel with the largest error is halved until the
    scores add up within `tolerance`, and the estimated error of the single scores, added up, is
    within `tolerance` of their total size too.

    Args:
        tolerance: the largest completeness error, relative to |F(e) - F(b)|.
        max_evaluations: of the gradient; when they are used up, the error is what it is, and a
            warning says so.
        batch_size: points of the path in one forward.

    Returns:
        Scores [pos], the completeness error, and whether both errors are within the tolerance.
    """
    if not 0 < tolerance < 1:
        raise InputError(f"tolerance is {tolerance}; it must lie between 0 and 1.")
    if max_evaluations < 15 or batch_size < 1:
        raise InputError(
            f"max_evaluations is {max_evaluations} and batch_size {batch_size}; one panel takes "
            "15 evaluations, and a batch at least one point."
        )
    difference = point.value - point.baseline_value
    panels = _panels(point, [(0.0, 1.0)], batch_size)
    used = 15
    while True:
        scores = torch.stack([panel.scores for panel in panels]).sum(0)
        completeness = abs(float(scores.sum()) - difference)
        quadrature = sum(panel.error for panel in panels)
        size = max(float(scores.abs().sum()), abs(difference))
        converged = completeness <= tolerance * abs(difference) and quadrature <= tolerance * size
        if converged or used + 30 > max_evaluations:
            break
        worst = max(panels, key=lambda panel: panel.error)
        middle = (worst.start + worst.end) / 2
        halves = _panels(point, [(worst.start, middle), (middle, worst.end)], batch_size)
        panels = [panel for panel in panels if panel is not worst] + halves
        used += 30
    error = (
        completeness / abs(difference) if difference else (0.0 if not completeness else torch.inf)
    )
    if not converged:
        warnings.warn(
            f"Integrated gradients used {used} evaluations and its scores still miss the "
            f"difference they explain by {error:.1%} (tolerance {tolerance:.1%}). Allow more with "
            "max_evaluations, or choose a baseline further from the text.",
            stacklevel=3,
        )
    return scores, float(error), converged


def _panels(point: Point, spans: list[tuple[float, float]], batch_size: int) -> list[_Panel]:
    """Panels over parts of the path, evaluated together."""
    kronrod, gauss, nodes = _rule(point.embedded)
    alphas = torch.cat([(a + b) / 2 + (b - a) / 2 * nodes for a, b in spans])
    step = point.embedded - point.baseline
    per_point = []
    for chunk in alphas.split(batch_size):
        at = point.baseline + chunk[:, None, None].to(step.dtype) * step
        per_point.append((point.gradients(at) * step).double().sum(-1))
    slopes = torch.cat(per_point).view(len(spans), len(nodes), -1)
    panels = []
    for (a, b), slope in zip(spans, slopes, strict=True):
        fine, coarse = ((b - a) / 2 * (weight @ slope) for weight in (kronrod, gauss))
        panels.append(_Panel(a, b, fine, float((fine - coarse).abs().sum())))
    return panels


def _rule(like: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Kronrod weights, Gauss weights (0 at the points in between) and nodes, [15] each."""
    between = [0.0, _GAUSS[0], 0.0, _GAUSS[1], 0.0, _GAUSS[2], 0.0, _GAUSS[3]]

    def both_sides(half: tuple[float, ...] | list[float], sign: int) -> Tensor:
        values = [sign * v for v in half] + list(reversed(half[:-1]))
        return torch.tensor(values, dtype=torch.float64, device=like.device)

    return both_sides(_KRONROD, 1), both_sides(between, 1), both_sides(_NODES, -1)
