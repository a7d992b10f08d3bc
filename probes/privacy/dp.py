"""A differential-privacy audit: how much privacy loss an attack has already shown.

An (epsilon, delta)-private training lets no attack have TPR > e^epsilon FPR + delta, nor TNR above
the same of the FNR (Kairouz et al. 2015). Read backwards, an attack's rates bound epsilon from
below (Jagielski et al. 2020, arXiv 2006.07709).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from interp.data.order import stream_seed
from interp.errors import InputError
from probes.privacy.likelihood import Floats
from probes.privacy.separation import clopper_pearson, roc, sides


@dataclass(frozen=True)
class Bound:
    """A lower bound of epsilon that holds with 95% confidence; 0 where nothing was shown.

    Attributes:
        epsilon: in nats.
        threshold: of the attack, chosen on one half of the units.
        tpr, fpr: its rates on the other half, from which the bound is.
        n: units in that half.
    """

    epsilon: float
    threshold: float
    tpr: float
    fpr: float
    n: int


def epsilon_bound(
    scores: ArrayLike, member: ArrayLike, *, delta: float = 0.0, seed: int = 0
) -> Bound:
    """The largest epsilon that an attack refutes, from its best pair of TPR and FPR.

    The best threshold is chosen on a random half of the units and its rates are taken on the other:
    the best of many thresholds on the same units would claim more than it has shown. Both rates
    count by the ends of their Clopper-Pearson intervals, at 97.5% each.

    Args:
        scores: [unit], higher for members.
        member: [unit].
        delta: that the training claims.

    Raises:
        InputError: fewer than four members or non-members, or a delta that is none.
    """
    inside, outside = sides(scores, member)
    if min(len(inside), len(outside)) < 4:
        raise InputError("A bound of epsilon needs at least four members and four non-members.")
    if not 0 <= delta < 1:
        raise InputError(f"delta is {delta}; it must be in [0, 1).")
    random = np.random.default_rng(stream_seed("epsilon", seed))
    inside, outside = random.permutation(inside), random.permutation(outside)
    half_in, half_out = len(inside) // 2, len(outside) // 2
    threshold = _best(inside[:half_in], outside[:half_out], delta)
    hits = int((inside[half_in:] >= threshold).sum())
    alarms = int((outside[half_out:] >= threshold).sum())
    n_in, n_out = len(inside) - half_in, len(outside) - half_out
    epsilon = float(_epsilon(hits, n_in, alarms, n_out, delta))
    return Bound(epsilon, threshold, hits / n_in, alarms / n_out, n_in + n_out)


def _best(inside: Floats, outside: Floats, delta: float) -> float:
    """The threshold with the largest bound."""
    member = np.repeat([True, False], [len(inside), len(outside)])
    curve = roc(np.concatenate([inside, outside]), member)
    hits = np.rint(curve["tpr"].to_numpy() * len(inside))
    alarms = np.rint(curve["fpr"].to_numpy() * len(outside))
    bounds = _epsilon(hits, len(inside), alarms, len(outside), delta)
    return float(curve["threshold"].iloc[int(np.argmax(bounds))])


def _epsilon(hits: ArrayLike, n_in: int, alarms: ArrayLike, n_out: int, delta: float) -> Floats:
    """What the two inequalities refute; two-sided 95% intervals are one-sided 97.5% ones."""
    tpr, _ = clopper_pearson(hits, n_in)
    _, fpr = clopper_pearson(alarms, n_out)
    with np.errstate(divide="ignore", invalid="ignore"):
        caught = np.log((tpr - delta) / fpr)
        spared = np.log((1 - fpr - delta) / (1 - tpr))
    refuted: Floats = np.fmax(0.0, np.fmax(caught, spared))
    return refuted
