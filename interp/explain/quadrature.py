"""Integrals along a path whose function is known, with a measured error.

The gradient of F is integrated from one end to the other, part by part. F itself is known wherever
a gradient was taken, so each part's error is measured, where errors cannot cancel between parts.

The rule is Clenshaw and Curtis's (1960), whose points nest: a part that is not exact enough keeps
what was computed when it gets twice as many points, and its halves keep their ends.

Several functions along one path are refined each by itself, as if it were alone: one that is exact
enough asks for no more. Where functions ask for the same places, they are evaluated together.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
import torch
from torch import Tensor

# Intervals between the points of a panel at first, and of one that was refined; then it is halved.
# On trained models 8 served easy paths and 16 most others; with 4, sums of scores were often right
# while single scores were not.
COARSE, FINE = 8, 16

Evaluate = Callable[[Tensor], tuple[Tensor, Tensor]]
"""Places on the path [n], 0 to 1 -> F there [n], and the shares of dF/d(place), [n, share], which
add up to it; float64."""

EvaluateTerms = Callable[[Tensor, list[int]], tuple[Tensor, Tensor]]
"""Places [n] and some functions -> the same of each of them: [n, term] and [n, term, share]."""


@dataclass(frozen=True)
class Panel:
    """A part of the path, with F and its slopes at its points, from the start to the end.

    Attributes:
        values: [point].
        slopes: [point, share].
    """

    start: float
    end: float
    values: Tensor
    slopes: Tensor

    @property
    def scores(self) -> Tensor:
        """Its part of every share, [share]."""
        _, weights = rule(len(self.values) - 1)
        return (self.end - self.start) * (weights.to(self.slopes) @ self.slopes)

    @cached_property
    def gap(self) -> float:
        """By how much the shares miss the change of F over this part."""
        return abs(float(self.scores.sum() - (self.values[-1] - self.values[0])))


@cache
def rule(intervals: int) -> tuple[Tensor, Tensor]:
    """Points [intervals + 1] and weights of Clenshaw and Curtis's rule on 0 to 1, for an even
    number of intervals: exact for polynomials of a degree up to it."""
    k = np.arange(intervals + 1)
    points = (1 - np.cos(np.pi * k / intervals)) / 2
    degrees = np.arange(0, intervals + 1, 2)
    moments = 2 / (1 - degrees**2.0)  # of the Chebyshev polynomials, over -1 to 1
    moments[[0, -1]] /= 2
    weights = 2 / intervals * np.cos(np.pi * np.outer(k, degrees) / intervals) @ moments
    weights[[0, -1]] /= 2
    return torch.from_numpy(points), torch.from_numpy(weights / 2)


def integrate(
    evaluate: Evaluate, start: float, end: float, allowed: float, max_evaluations: int
) -> list[Panel]:
    """Panels that cover the path, fine enough that their gaps add up to `allowed` if they can.

    The path is one panel at first. The panels that add up worst are refined, then halved, until
    what all of them miss, added up without signs, is allowed, or the evaluations are used up.

    Args:
        start, end: F at the ends of the path.
    """
    refining = _refining(start, end, allowed, max_evaluations)
    try:
        places = next(refining)
        while True:
            values, slopes = evaluate(places)
            places = refining.send((values.cpu(), slopes.cpu()))
    except StopIteration as done:
        panels: list[Panel] = done.value
        return panels


def integrate_terms(
    evaluate: EvaluateTerms,
    starts: Sequence[float],
    ends: Sequence[float],
    allowed: Sequence[float],
    max_evaluations: int,
) -> list[list[Panel]]:
    """The panels of several functions, of each as `integrate` finds them for it alone.

    Args:
        max_evaluations: of each.
    """
    every = zip(starts, ends, allowed, strict=True)
    refining = [_refining(*one, max_evaluations) for one in every]
    wanted = {i: next(one) for i, one in enumerate(refining)}
    found: list[list[Panel]] = [[] for _ in refining]
    while wanted:
        known = _together(evaluate, {i: places.tolist() for i, places in wanted.items()})
        for i in list(wanted):
            pairs = [known[i, place] for place in wanted[i].tolist()]
            values, slopes = (torch.stack(x) for x in zip(*pairs, strict=True))
            try:
                wanted[i] = refining[i].send((values, slopes))
            except StopIteration as done:
                found[i] = done.value
                del wanted[i]
    return found


def _together(
    evaluate: EvaluateTerms, wanted: dict[int, list[float]]
) -> dict[tuple[int, float], tuple[Tensor, Tensor]]:
    """What functions want to know at their places: places that the same ones want at once."""
    wanting: dict[float, list[int]] = {}
    for i, places in wanted.items():
        for place in places:
            wanting.setdefault(place, []).append(i)
    groups: dict[tuple[int, ...], list[float]] = {}
    for place, terms in wanting.items():
        groups.setdefault(tuple(terms), []).append(place)
    known = {}
    for some, places in groups.items():
        at = torch.tensor(places, dtype=torch.float64)
        values, slopes = (x.cpu() for x in evaluate(at, list(some)))
        for n, place in enumerate(places):
            for k, i in enumerate(some):
                known[i, place] = values[n, k], slopes[n, k]
    return known


def _refining(
    start: float, end: float, allowed: float, max_evaluations: int
) -> Generator[Tensor, tuple[Tensor, Tensor], list[Panel]]:
    """`integrate` of one function: yields places, is sent what is there, and returns panels."""
    points, _ = rule(COARSE)
    values, slopes = yield points
    # Where F was known before is where it is known best: with the rounding that scores add up to.
    values[0], values[-1] = start, end
    panels, used = [Panel(0.0, 1.0, values, slopes)], len(points)
    while sum(panel.gap for panel in panels) > allowed:
        panels.sort(key=lambda panel: panel.gap)
        worst: list[Panel] = []
        # Half of what is allowed stays for the parts that are about to be computed.
        while panels and sum(panel.gap for panel in panels) > allowed / 2:
            used += sum(len(places) for places, _ in _missing(panels[-1]))
            if used > max_evaluations:
                break
            worst.append(panels.pop())
        if not worst:
            break
        wanted = [_missing(panel) for panel in worst]
        values, slopes = yield torch.cat([part for parts in wanted for part, _ in parts])
        panels += _finer(worst, wanted, values, slopes)
    return panels


def _missing(panel: Panel) -> list[tuple[Tensor, list[int]]]:
    """The places that a finer version of a panel needs besides its own, and the indices that they
    get: of one panel with twice the points, or of two halves that have the ends already."""
    width = panel.end - panel.start
    if len(panel.values) == COARSE + 1:
        points, _ = rule(FINE)
        odd = list(range(1, FINE, 2))
        return [(panel.start + width * points[odd], odd)]
    points, _ = rule(COARSE)
    inner = list(range(1, COARSE))
    middle = panel.start + width / 2
    return [(begin + width / 2 * points[inner], inner) for begin in (panel.start, middle)]


def _finer(
    panels: list[Panel],
    wanted: list[list[tuple[Tensor, list[int]]]],
    values: Tensor,
    slopes: Tensor,
) -> list[Panel]:
    """The finer versions of panels, of what was found at the places that they wanted."""
    finer, at = [], 0
    for panel, parts in zip(panels, wanted, strict=True):
        width = (panel.end - panel.start) / len(parts)
        for i, (_, indices) in enumerate(parts):
            here = slice(at, at + len(indices))
            at += len(indices)
            # What is known: every second point of the finer rule, or both ends of a half.
            known = slice(None) if len(parts) == 1 else slice(i * FINE // 2, None, FINE // 2)
            kept = list(range(0, FINE + 1, 2)) if len(parts) == 1 else [0, COARSE]
            begin = panel.start + i * width
            finer.append(
                Panel(
                    begin,
                    begin + width,
                    _woven(panel.values[known][: len(kept)], kept, values[here], indices),
                    _woven(panel.slopes[known][: len(kept)], kept, slopes[here], indices),
                )
            )
    return finer


def _woven(known: Tensor, kept: list[int], fresh: Tensor, indices: list[int]) -> Tensor:
    """Known and fresh values in the order of their points."""
    whole = fresh.new_empty(len(kept) + len(indices), *fresh.shape[1:])
    whole[kept], whole[indices] = known, fresh
    return whole
