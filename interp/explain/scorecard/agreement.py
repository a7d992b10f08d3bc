"""Scores against references that need no other explainer: leaving out, Shapley, people."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from interp.errors import InputError
from interp.explain.game import Game
from interp.explain.scorecard import ranks
from interp.explain.scorecard.line import Line


def leave_one_out(game: Game) -> Tensor:
    """v(N) - v(N without i), [player]."""
    n = len(game)
    return game.point.value - game.values(~torch.eye(n, dtype=torch.bool))


def correlation_line(metric: str, scores: Tensor, reference: Tensor, *, kendall: bool) -> Line:
    """Rank correlation over players, with a bootstrap interval over them."""
    measure = ranks.kendall if kendall else ranks.spearman
    one, other = scores.double().numpy()[None], reference.double().numpy()[None]
    n = one.shape[1]
    drawn = np.random.default_rng(0).integers(0, n, (200, n))
    found = measure(one[0, drawn], other[0, drawn])
    found = found[np.isfinite(found)]  # one value throughout has no order
    low, high = np.percentile(found, [2.5, 97.5]) if len(found) else (math.nan, math.nan)
    return Line(metric, float(measure(one, other)[0]), "higher", float(low), float(high), n)


def rationale_lines(scores: Sequence[float], rationale: Sequence[bool]) -> list[Line]:
    """Scores beside the tokens that people marked: token F1 of the k best, where k is the number
    of marked tokens, and the area under precision and recall (DeYoung et al. 2020).

    Raises:
        InputError: nothing or everything is marked, or the lengths differ.
    """
    marked = np.asarray(rationale, dtype=bool)
    values = np.asarray(scores, dtype=float)
    if marked.shape != values.shape:
        raise InputError(f"The rationale marks {marked.size} units and there are {values.size}.")
    k = int(marked.sum())
    if not 0 < k < len(marked):
        raise InputError("A rationale must mark some units and not all.")
    best = np.argsort(-values, kind="stable")
    f1 = float(marked[best[:k]].sum() / k)  # as many are chosen as are marked: P = R = F1
    return [
        Line("rationale F1", f1, "higher", n=len(marked)),
        Line("rationale AUPRC", average_precision(values, marked), "higher", n=len(marked)),
    ]


def average_precision(scores: NDArray[np.float64], positive: NDArray[np.bool_]) -> float:
    """Mean precision at each positive, equal scores taken together."""
    order = np.argsort(-scores, kind="stable")
    hits, ordered = positive[order], scores[order]
    last = np.append(ordered[1:] != ordered[:-1], True)  # the end of each run of equal scores
    found = hits.cumsum()[last]
    precision = found / (np.flatnonzero(last) + 1)
    gained = np.diff(found, prepend=0)
    return float((precision * gained).sum() / positive.sum())
