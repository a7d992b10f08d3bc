"""How sure a global statement is: units that belong together, and many questions at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from interp.errors import InputError

Floats = NDArray[np.float64]

DRAWS = 2000
"""Bootstrap draws by default."""

_FLIPS = 1000  # draws of signs that are in memory at once


def cluster_means(values: ArrayLike, clusters: ArrayLike) -> tuple[Floats, Floats]:
    """Sums and counts by cluster: [unit, ...] -> [cluster, ...] and [cluster].

    Units of one cluster (the tokens of a sentence, the sentences of a document) are not
    independent of each other, so that what is drawn anew is the cluster.
    """
    array = np.asarray(values, dtype=np.float64)
    _, owner = np.unique(np.asarray(clusters), return_inverse=True)
    if len(owner) != len(array):
        raise InputError(f"There are {len(array)} values and {len(owner)} names of clusters.")
    if not len(array):
        raise InputError("There are no values to take an interval of.")
    sums = np.zeros((owner.max() + 1, *array.shape[1:]))
    np.add.at(sums, owner, array)
    return sums, np.bincount(owner).astype(np.float64)


def bootstrap_means(
    values: ArrayLike, clusters: ArrayLike, *, draws: int = DRAWS, seed: int = 0
) -> Floats:
    """Means over drawn clusters, [draw, ...] for values [unit, ...].

    All columns of one draw see the same clusters, so that differences of columns are paired.
    """
    sums, counts = cluster_means(values, clusters)
    weights = _drawn(len(counts), draws, seed)
    flat = sums.reshape(len(counts), -1)
    means = weights @ flat / (weights @ counts)[:, None]
    return means.reshape(draws, *sums.shape[1:])


def ratio_interval(
    sums: ArrayLike, counts: ArrayLike, *, draws: int = DRAWS, seed: int = 0
) -> tuple[Floats, Floats]:
    """The 95% percentile interval of summed values by summed counts, [...] each.

    For means that were summed up while the data went by, over other units in each column.

    Args:
        sums: of each cluster, [cluster, ...].
        counts: of the same shape; a draw in which a column counts nothing says nothing of it.
    """
    above, below = (np.asarray(x, dtype=np.float64) for x in (sums, counts))
    if above.shape != below.shape or not len(above):
        raise InputError(
            f"There are sums of shape {above.shape} and counts of {below.shape}; give one count "
            "for each sum, and at least one cluster."
        )
    if len(above) < 2:  # one cluster says nothing about others
        nothing = np.full(above.shape[1:], np.nan)
        return nothing, nothing
    weights = _drawn(len(above), draws, seed)
    flat = [(weights @ x.reshape(len(x), -1)).reshape(draws, *x.shape[1:]) for x in (above, below)]
    with np.errstate(invalid="ignore"):
        ratios = np.where(flat[1] > 0, flat[0] / flat[1], np.nan)
    never = np.isnan(ratios).all(0)
    low, high = np.nanquantile(np.where(never, 0.0, ratios), (0.025, 0.975), axis=0)
    return np.where(never, np.nan, low), np.where(never, np.nan, high)


def _drawn(n: int, draws: int, seed: int) -> Floats:
    """How often each of n clusters is drawn, [draw, cluster]: multinomial counts are the same draw
    without its order."""
    generator = np.random.default_rng(seed)
    return generator.multinomial(n, np.full(n, 1 / n), size=draws).astype(np.float64)


def cluster_bootstrap(
    values: ArrayLike, clusters: ArrayLike, *, draws: int = DRAWS, seed: int = 0
) -> tuple[Floats, Floats]:
    """The 95% percentile interval of the mean over units, [...] each for values [unit, ...]."""
    low, high = np.quantile(
        bootstrap_means(values, clusters, draws=draws, seed=seed), (0.025, 0.975), axis=0
    )
    return low, high


def holm(p: Sequence[float] | Floats) -> Floats:
    """P-values adjusted so that the chance of any false alarm stays at the level (Holm 1979)."""
    values = _probabilities(p)
    order = np.argsort(values)
    factors = np.arange(len(values), 0, -1)
    adjusted = np.empty_like(values)
    adjusted[order] = np.minimum(np.maximum.accumulate(values[order] * factors), 1.0)
    return adjusted


def benjamini_hochberg(p: Sequence[float] | Floats) -> Floats:
    """P-values adjusted so that the expected share of false alarms among the alarms stays at the
    level (Benjamini & Hochberg 1995)."""
    from scipy.stats import false_discovery_control

    values = _probabilities(p)
    adjusted: Floats = false_discovery_control(values) if len(values) else values
    return adjusted


def best_of_many(
    values: ArrayLike, clusters: ArrayLike, *, draws: int = DRAWS, seed: int = 0
) -> Floats:
    """How likely each column is the truly best one: the share of draws in which its mean is the
    largest, [column] for values [unit, column]. Ties count in equal parts."""
    means = bootstrap_means(values, clusters, draws=draws, seed=seed)
    best = means == means.max(-1, keepdims=True)
    share: Floats = (best / best.sum(-1, keepdims=True)).mean(0)
    return share


def sign_flips(
    differences: ArrayLike,
    clusters: ArrayLike,
    *,
    draws: int = DRAWS,
    seed: int = 0,
    corrected: bool = True,
) -> Floats:
    """One-sided p-values that a mean difference exceeds zero.

    Under the null hypothesis a cluster's differences are as likely as their negatives. The signs
    are flipped cluster by cluster, and each column is compared with the largest statistic over
    all columns (Westfall & Young 1993), so that "the best layer" pays for having been chosen.

    Args:
        differences: [unit, column].
        corrected: for the choice among the columns; otherwise each is compared with itself, to be
            corrected over a larger family (`holm`, `benjamini_hochberg`).

    Returns:
        [column]; none is below 1 / (draws + 1).
    """
    sums, _ = cluster_means(differences, clusters)
    scale = np.sqrt((sums**2).sum(0))
    scale[scale == 0] = np.inf  # a column without any difference has no evidence in it
    observed = sums.sum(0) / scale
    generator = np.random.default_rng(seed)
    reached = np.ones_like(observed)
    for start in range(0, draws, _FLIPS):
        size = min(_FLIPS, draws - start), len(sums)
        found = generator.choice((-1.0, 1.0), size=size) @ sums / scale
        if corrected:
            found = found.max(-1, keepdims=True)
        reached += (found >= observed - 1e-12).sum(0)
    p: Floats = reached / (draws + 1)
    return p


def _probabilities(p: Any) -> Floats:
    values = np.asarray(p, dtype=np.float64)
    if values.ndim != 1 or not ((values >= 0) & (values <= 1)).all():
        raise InputError("P-values are a list of numbers from 0 to 1.")
    return values
