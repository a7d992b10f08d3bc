"""What a method hands back: scores of the units, and what it claims of them."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from interp.explain.points import Point


@dataclass(frozen=True)
class Finding:
    """Scores [unit], float64.

    Attributes:
        complete: whether the method claims that the scores add up to the difference between the
            text and its baseline.
        converged: whether the method met its own tolerance.
        low, high: the ends of a 95 % interval of each score, for methods that sample.
        seed: of the method's random draws; None if it has none.
        details: what else the method measured, by name in words.
    """

    scores: Tensor
    complete: bool = False
    converged: bool = True
    low: Tensor | None = None
    high: Tensor | None = None
    seed: int | None = None
    details: dict[str, float] = field(default_factory=dict)


def rounding(point: Point) -> float:
    """By how much the target may be off for lack of digits."""
    size = max(abs(point.value), abs(point.baseline_value))
    return 16 * torch.finfo(point.embedded.dtype).eps * size


def completeness_error(point: Point, scores: Tensor) -> float:
    """|sum of scores - difference| / |difference|; of a difference that is only rounding, 0 if the
    scores cancel and infinite if they do not."""
    difference = point.value - point.baseline_value
    gap = abs(float(scores.sum()) - difference)
    allowed = rounding(point)
    if abs(difference) <= allowed:
        return 0.0 if gap <= allowed else math.inf
    return gap / abs(difference)
