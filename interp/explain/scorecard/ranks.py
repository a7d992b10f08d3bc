"""Rank correlations of many pairs of samples at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def spearman(a: Array, b: Array) -> Array:
    """Spearman's rho of each row of a and b [row, n]; NaN where one has a single value."""
    from scipy.stats import rankdata  # a second to import, and only checks need it

    return _pearson(rankdata(a, axis=1), rankdata(b, axis=1))


def kendall(a: Array, b: Array) -> Array:
    """Kendall's tau-b of each row of a and b [row, n]; NaN where one has a single value."""
    one, other = (np.sign(x[:, :, None] - x[:, None, :]) for x in (a, b))
    return _cosine(one.reshape(len(a), -1), other.reshape(len(b), -1))


def _pearson(a: Array, b: Array) -> Array:
    return _cosine(a - a.mean(1, keepdims=True), b - b.mean(1, keepdims=True))


def _cosine(a: Array, b: Array) -> Array:
    size = np.sqrt((a * a).sum(1) * (b * b).sum(1))
    with np.errstate(invalid="ignore", divide="ignore"):
        found: Array = (a * b).sum(1) / size
    return found
