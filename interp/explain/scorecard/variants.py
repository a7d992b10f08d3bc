"""The same text compared with something else, or asked about something else."""

from __future__ import annotations

import dataclasses

from torch import Tensor

from interp.explain.baseline import Baseline
from interp.explain.points import Point
from interp.explain.resolved import ResolvedTarget


def with_baseline(point: Point, baseline: Baseline) -> Point:
    """The same text compared with something else."""
    baselines = baseline.of_parts(point.model, point.parts, point.embedded, point.held)
    return dataclasses.replace(point, baselines=baselines).settle()


def with_target(point: Point, target: ResolvedTarget) -> Point:
    """The same text with another number to explain."""
    return dataclasses.replace(point, target=target).settle()


def probability(target: ResolvedTarget) -> ResolvedTarget | None:
    """The probability of what a target asks for: of its token, class or answer; of several tokens,
    the geometric mean. None for a function of the logits, which has none."""
    if target.kind in ("sequence", "span_start", "span_end"):
        n = max(1, len(target.tokens)) if target.kind == "sequence" else 1

        def mean_probability(logits: Tensor) -> Tensor:
            return (target(logits) / n).exp()

        return ResolvedTarget("callable", "probability", function=mean_probability)
    if target.kind == "callable":
        return None
    return dataclasses.replace(target, kind="probability", foil=None, description="probability")


def log_odds(p: Tensor) -> Tensor:
    """log p / (1 - p), of probabilities kept away from 0 and 1 by 1e-9."""
    p = p.clamp(1e-9, 1 - 1e-9)
    return (p / (1 - p)).log()
