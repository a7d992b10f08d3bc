"""Relevance of tokens by one backward pass under other rules than the gradient's.

LRP (layer-wise relevance propagation) is said by the authors of its reference implementation to be
patented and free for personal and scientific use; other uses may need a licence. None of the
methods here is a default.
"""

from __future__ import annotations

from interp.explain.finding import Finding
from interp.explain.methods.gradients import gradient, times_step
from interp.explain.points import Point
from interp.explain.rules import backward_rules


def cp_lrp(point: Point) -> Finding:
    """e_i . dF/de_i under the rules of CP-LRP (Ali et al. 2022, arXiv 2202.07304): norms and
    attention patterns are constants, activation functions lines from the origin.

    The scores and the shares of all biases (with those of the positions) add up to the target,
    where that is linear in the logits. A token that the baseline keeps has the score 0. LRP is said
    to be patented: outside personal and scientific use it may need a licence.
    """
    return _relevance(point, "cp_lrp")


def attn_lrp(point: Point) -> Finding:
    """e_i . dF/de_i under the rules of AttnLRP (Achtibat et al. 2024, arXiv 2402.05602): as CP-LRP,
    but relevance flows through the attention pattern too, half of it, and products are split.

    What the softmax takes as its offset has no token, like the biases. LRP is said to be patented:
    outside personal and scientific use it may need a licence.
    """
    return _relevance(point, "attn_lrp")


def gim(point: Point) -> Finding:
    """(e_i - b_i) . dF/de_i, with b the mean of the baselines, under the rules of GIM (Edin et al.
    2025, arXiv 2505.17630): norms are constants, products split, and the softmax has the gradient
    of one at temperature 2, since a saturated one hides how much several keys matter together.

    Its gradients are changed to rank tokens well; no sum of theirs is kept.
    """
    return Finding(times_step(point, gradient(point, backward_rules(point.model, "gim"))))


def _relevance(point: Point, rules: str) -> Finding:
    gradients = gradient(point, backward_rules(point.model, rules))
    scores = (gradients * point.embedded).sum(-1)
    return Finding(point.by_unit(scores * point.moves))
