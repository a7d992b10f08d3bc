"""Scores for each term of a target, such as every token of an answer, from shared passes."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from interp.errors import InputError
from interp.explain.coalitions import coalition_terms
from interp.explain.points import Point
from interp.explain.quadrature import COARSE, integrate_terms


class TermScores(NamedTuple):
    """Scores [term, pos]; whether they claim to add up, and of each term, whether they do."""

    scores: Tensor
    complete: bool
    converged: tuple[bool, ...]


def integrated_gradients(
    point: Point, *, tolerance: float = 0.01, max_evaluations: int = 1500
) -> TermScores:
    """As the method of this name for each term alone: each is integrated as finely as it needs.

    Args:
        tolerance: the largest completeness error of each term.
        max_evaluations: of the gradient of each term.
    """
    if not 0 < tolerance < 1:
        raise InputError(f"tolerance is {tolerance}; it must lie between 0 and 1.")
    paths, end, starts = len(point.baselines), point.ends[0].cpu(), point.ends[1:].cpu()
    if max_evaluations < (COARSE + 1) * paths:
        raise InputError(
            f"max_evaluations is {max_evaluations}; {paths} path(s) take {COARSE + 1} each at "
            "least."
        )
    start = starts.mean(0)
    rounding = 16 * torch.finfo(point.embedded.dtype).eps * torch.maximum(end.abs(), start.abs())
    allowed = torch.maximum(tolerance * (end - start).abs(), rounding)
    scores = torch.zeros(len(end), len(point.embedded), dtype=torch.float64)
    gaps = torch.zeros(len(end), dtype=torch.float64)
    for baseline, at_start in zip(point.baselines, starts, strict=True):
        step = point.embedded - baseline

        def evaluate(
            places: Tensor, terms: list[int], baseline: Tensor = baseline, step: Tensor = step
        ) -> tuple[Tensor, Tensor]:
            at = baseline + places.to(step)[:, None, None] * step
            values, gradients = _gradients(point, at, terms)
            return values.double(), (gradients * step).double().sum(-1)

        found = integrate_terms(
            evaluate, at_start.tolist(), end.tolist(), allowed.tolist(), max_evaluations // paths
        )
        for i, panels in enumerate(found):
            scores[i] += torch.stack([panel.scores for panel in panels]).sum(0) / paths
            gaps[i] += sum(panel.gap for panel in panels) / paths
    converged = gaps <= allowed
    if not converged.all():
        late = [i + 1 for i, fine in enumerate(converged.tolist()) if not fine]
        warnings.warn(
            f"Integrated gradients used up its evaluations for {len(late)} of {len(end)} tokens of "
            f"the answer (number {', '.join(map(str, late))}), whose scores may miss what they "
            f"explain by more than {tolerance:.1%}. Allow more with max_evaluations, or choose a "
            "baseline further from the text.",
            stacklevel=3,
        )
    return TermScores(scores, True, tuple(converged.tolist()))


def gradient_x_input(point: Point) -> TermScores:
    """The gradient of each term at the text, times the step from the baseline."""
    terms = list(range(point.ends.shape[1]))
    _, gradients = _gradients(point, point.embedded[None], terms)
    step = point.embedded - point.baselines.mean(0)
    return TermScores((gradients[0] * step).sum(-1), False, (True,) * len(terms))


def leave_one_out(point: Point) -> TermScores:
    """What each term loses without a unit."""
    n, n_terms = len(point.units), point.ends.shape[1]
    scores = torch.zeros(n_terms, n, dtype=torch.float64)
    players = point.movable.nonzero()[:, 0].cpu()
    if len(players):
        present = torch.ones(len(players), n, dtype=torch.bool)
        present[torch.arange(len(players)), players] = False
        scores[:, players] = (point.ends[0].cpu() - coalition_terms(point, present)).T
    return TermScores(scores, False, (True,) * n_terms)


METHODS: dict[str, Callable[..., TermScores]] = {
    "integrated_gradients": integrated_gradients,
    "gradient_x_input": gradient_x_input,
    "leave_one_out": leave_one_out,
}


def _gradients(point: Point, embeddings: Tensor, terms: list[int]) -> tuple[Tensor, Tensor]:
    """Some terms at embeddings [n, pos, d_model], [n, term], and their gradients
    [n, term, pos, d_model]: one forward, and a backward for each term."""
    found, slopes = [], []
    for chunk in embeddings.split(point.rows):
        with torch.enable_grad():
            leaf = chunk.detach().requires_grad_()
            values = point.terms(leaf)[:, terms]
            gradients = [
                torch.autograd.grad(values[:, i].sum(), leaf, retain_graph=i < len(terms) - 1)[0]
                for i in range(len(terms))
            ]
        point.backwards += len(chunk) * len(terms)
        found.append(values.detach())
        slopes.append(torch.stack(gradients, 1))
    return torch.cat(found), torch.cat(slopes)
