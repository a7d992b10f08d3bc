"""The gradient at the text itself: how the target would change with a small step.

Neither method looks at the way between the text and its baseline, so neither adds up to their
difference, unless the target is linear in the embeddings.
"""

from __future__ import annotations

from torch import Tensor

from interp.explain.finding import Finding
from interp.explain.points import Point
from interp.model.tap import NO_TAP, Tap


def saliency(point: Point) -> Finding:
    """The length of the gradient at each token, |dF/de_i| (Simonyan et al. 2014, arXiv 1312.6034;
    Li et al. 2016, arXiv 1506.01066). Of a unit of several tokens, their sum.

    Without sign: it tells how much a token matters, not in which direction. In the target's unit
    per unit of the embedding, so it compares tokens of one text with each other, and nothing else.
    """
    lengths = gradient(point).norm(dim=-1)
    return Finding(point.by_unit(lengths * point.moves))


def gradient_x_input(point: Point) -> Finding:
    """(e_i - b_i) . dF/de_i, with b the mean of the baselines (Shrikumar et al. 2016, arXiv
    1605.01713): the change of a target that goes on as it begins."""
    return Finding(times_step(point, gradient(point)))


def gradient(point: Point, tap: Tap = NO_TAP) -> Tensor:
    """dF/de at the text, [pos, d_model], float64. A tap may change the rules of the backward
    pass."""
    _, found = point.gradients(point.embedded[None], tap)
    return found[0].double()


def times_step(point: Point, gradients: Tensor) -> Tensor:
    """Gradients [..., pos, d_model] times the step from the mean baseline, [..., unit]."""
    step = point.embedded - point.baselines.mean(0)
    return point.by_unit((gradients * step).sum(-1))
