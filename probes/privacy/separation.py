"""How well a score tells members from non-members: the area under the ROC curve, and its far left.

A practitioner fears the attack that is sure of a few people, not the one that is slightly right
about everybody, so the area stands beside the share of members found at a low false alarm rate
(Carlini et al. 2022, arXiv 2112.03570).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from interp.errors import InputError
from interp.train.metrics.interval import CONFIDENCE
from probes.privacy.likelihood import Floats

LEAST_ALARMS = 10
"""Non-members above a threshold below which a false alarm rate is not known well enough."""


@dataclass(frozen=True)
class Found:
    """Members and non-members above one threshold.

    Attributes:
        threshold: a unit with at least this score is called a member.
        tpr, fpr: the shares of members and of non-members that are.
        ci_low, ci_high: 95% interval of `tpr` (Clopper & Pearson 1934).
    """

    threshold: float
    tpr: float
    fpr: float
    ci_low: float
    ci_high: float


def sides(scores: ArrayLike, member: ArrayLike) -> tuple[Floats, Floats]:
    """The scores of members and of non-members.

    Raises:
        InputError: scores that are not finite, not one for each unit, or one side is empty.
    """
    values, inside = np.asarray(scores, np.float64), np.asarray(member, bool)
    if values.shape != inside.shape or values.ndim != 1:
        raise InputError(f"There are {values.shape} scores for {inside.shape} units.")
    if not np.isfinite(values).all():
        raise InputError(f"The score of unit {int(np.argmin(np.isfinite(values)))} is not finite.")
    if inside.all() or not inside.any():
        raise InputError(
            f"{int(inside.sum())} of {len(inside)} units are members; both sides are needed."
        )
    return values[inside], values[~inside]


def auroc(scores: ArrayLike, member: ArrayLike) -> float:
    """The probability that a member scores higher than a non-member, ties counted half.

    This is the area under the ROC curve (Mann & Whitney 1947); a constant score has 0.5.
    """
    inside, _ = placements(scores, member)
    return float(inside.mean())


def placements(scores: ArrayLike, member: ArrayLike) -> tuple[Floats, Floats]:
    """For each member the share of non-members below it, for each non-member the share of members
    above it, ties half. The means of both are the AUROC; their spread is its variance (DeLong et
    al. 1988)."""
    inside, outside = sides(scores, member)
    return _below(inside, outside), 1 - _below(outside, inside)


def _below(values: Floats, others: Floats) -> Floats:
    ascending = np.sort(others)
    left = np.searchsorted(ascending, values, "left")
    right = np.searchsorted(ascending, values, "right")
    share: Floats = (left + right) / (2 * len(others))
    return share


def auroc_interval(area: float, members: int, nonmembers: int) -> tuple[float, float]:
    """The 95% interval of an AUROC by inverting its score test (Newcombe 2006, method 5).

    Unlike the variance of DeLong it does not shrink to nothing where all members score higher.
    """
    from scipy.optimize import brentq
    from scipy.stats import norm

    z = float(norm.ppf(0.5 + CONFIDENCE / 2))
    extra = (members + nonmembers) / 2 - 1

    def distance(theta: float) -> float:
        spread = 1 + extra * ((1 - theta) / (2 - theta) + theta / (1 + theta))
        variance = theta * (1 - theta) * spread / (members * nonmembers)
        return (theta - area) ** 2 - z * z * variance

    # The ends lie on both sides of the area; next to 0 and 1, where the variance is 0, is a root
    # that is no end.
    tiny = 1e-9
    low = 0.0 if area <= 2 * tiny else float(brentq(distance, 0.0, area - tiny))
    high = 1.0 if area >= 1 - 2 * tiny else float(brentq(distance, area + tiny, 1.0))
    return low, high


def difference(
    scores: ArrayLike, others: ArrayLike, member: ArrayLike
) -> tuple[float, float, float]:
    """How much larger the AUROC of one score is than that of another on the same units, and its
    95% interval (DeLong et al. 1988)."""
    from scipy.stats import norm

    value, error = _gap(scores, others, member)
    reach = float(norm.ppf(0.5 + CONFIDENCE / 2)) * error
    return value, value - reach, value + reach


def _gap(scores: ArrayLike, others: ArrayLike, member: ArrayLike) -> tuple[float, float]:
    """The difference of two AUROCs on the same units, and its standard error."""
    one, other = placements(scores, member), placements(others, member)
    gaps = [a - b for a, b in zip(one, other, strict=True)]
    variance = sum(float(gap.var(ddof=1)) / len(gap) if len(gap) > 1 else math.inf for gap in gaps)
    return float(gaps[0].mean()), math.sqrt(variance)


def p_value(scores: ArrayLike, others: ArrayLike, member: ArrayLike) -> float:
    """One-sided: that a score is no better than chance (Mann & Whitney 1947), or no better than
    another on the same units (DeLong et al. 1988), whichever is the more probable."""
    from scipy.stats import mannwhitneyu, norm

    inside, outside = sides(scores, member)
    chance = float(mannwhitneyu(inside, outside, alternative="greater").pvalue)
    value, error = _gap(scores, others, member)
    if error == 0:  # the same units on the same side, so the same score to all that can be told
        return max(chance, float(value <= 0))
    return max(chance, float(norm.sf(value / error)))


def roc(scores: ArrayLike, member: ArrayLike) -> pd.DataFrame:
    """Every point of the ROC curve: `threshold` (descending, from infinity), `fpr`, `tpr`."""
    inside, outside = sides(scores, member)
    thresholds = np.unique(np.concatenate([inside, outside]))[::-1]
    found: dict[str, Any] = {"threshold": np.concatenate([[np.inf], thresholds])}
    for name, values in (("fpr", outside), ("tpr", inside)):
        found[name] = _share_from(values, found["threshold"])
    return pd.DataFrame(found)


def _share_from(values: Floats, thresholds: Floats) -> Floats:
    """The share of values that are at least each threshold."""
    return 1 - np.searchsorted(np.sort(values), thresholds, "left") / len(values)


def tpr_at(scores: ArrayLike, member: ArrayLike, fpr: float) -> Found:
    """How many members are found while at most a share `fpr` of non-members is.

    The threshold is the lowest that keeps to it on these units.

    Raises:
        InputError: there are too few non-members to know such a small rate.
    """
    inside, outside = sides(scores, member)
    if fpr < LEAST_ALARMS / len(outside):
        raise InputError(
            f"A false alarm rate of {fpr:g} needs at least {math.ceil(LEAST_ALARMS / fpr):,} "
            f"non-members; there are {len(outside):,}."
        )
    curve = roc(scores, member)
    best = curve[curve["fpr"] <= fpr].iloc[-1]
    threshold = float(best["threshold"])
    hits = int((inside >= threshold).sum())
    low, high = clopper_pearson(hits, len(inside))
    rate = hits / len(inside)
    return Found(threshold, rate, float(best["fpr"]), float(low), float(high))


def clopper_pearson(
    hits: ArrayLike, n: int, confidence: float = CONFIDENCE
) -> tuple[Floats, Floats]:
    """The exact interval of shares (Clopper & Pearson 1934), both ends in the shape of `hits`."""
    from scipy.special import betaincinv

    k = np.asarray(hits, np.float64)
    tail = (1 - confidence) / 2
    low = np.where(k > 0, betaincinv(np.maximum(k, 1), n - k + 1, tail), 0.0)
    high = np.where(k < n, betaincinv(k + 1, np.maximum(n - k, 1), 1 - tail), 1.0)
    return low, high


def as_members(member: ArrayLike, n: int) -> NDArray[np.bool_]:
    """Which of n units are members, checked: True and False, one for each."""
    found = np.asarray(member)
    if found.shape != (n,) or found.dtype != np.bool_:
        raise InputError(
            f"`member` has shape {list(found.shape)} and type {found.dtype}; give True or False "
            f"for each of {n} units."
        )
    return found
