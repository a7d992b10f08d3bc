"""The same text compared with something else, or asked about something else."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from interp.explain.baseline import Baseline
from interp.explain.points import DECODER, Point
from interp.explain.resolved import ResolvedTarget


def with_baseline(point: Point, baseline: Baseline) -> Point:
    """The same text compared with something else."""
    lengths = [ids.shape[1] for ids in point.parts.values()]
    pieces = dict(zip(point.parts, point.embedded[None].split(lengths, 1), strict=True))
    start = [
        pieces[name]
        if baseline.of_source and name == DECODER
        else baseline.resolve(point.model, ids, pieces[name])
        for name, ids in point.parts.items()
    ]
    n = max(len(x) for x in start)
    baselines = torch.cat([x.expand(n, -1, -1) for x in start], 1)
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
