"""Linear probes in closed form, from moments alone: no row is looked at again.

All are exact functions of count, mean, scatter and sums of classes, so that a pass over the
activations that keeps only those (`interp.activations.Moments`) has fitted them all. They score
class c by `B_c x + b_c`.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from interp.activations import Moments
from interp.errors import InputError


@dataclass(frozen=True)
class Linear:
    """A linear classifier: `coefficients` [class, d] and `intercepts` [class], in float64."""

    coefficients: Tensor
    intercepts: Tensor

    def logits(self, rows: Tensor) -> Tensor:
        """Scores [row, class] of rows [row, d]; an equal shift of all classes means nothing."""
        return rows @ self.coefficients.to(rows).T + self.intercepts.to(rows)


def ridge(moments: Moments, strengths: tuple[float, ...]) -> list[Linear]:
    """Least squares onto the indicators of the classes, for every strength of one decomposition.

    Minimises sum_i |B x_i + b - onehot(y_i)|^2 / n + strength |B|^2, which is scikit-learn's
    `Ridge(alpha=strength * n)`.
    """
    _check(moments)
    if any(strength <= 0 for strength in strengths):
        raise InputError(f"Strengths {strengths} must be positive; the scatter may be singular.")
    shares = moments.class_n / moments.n
    covariance = moments.class_sums / moments.n - shares[:, None] * moments.mean
    variance, axes = torch.linalg.eigh(moments.covariance)
    turned, found = covariance @ axes, []
    for strength in strengths:
        coefficients = turned / (variance.clamp(min=0) + strength) @ axes.T
        found.append(Linear(coefficients, shares - coefficients @ moments.mean))
    return found


def discriminant(moments: Moments) -> Linear:
    """Linear discriminant analysis (Fisher 1936): Gaussian classes that share a covariance.

    The pooled covariance is within / n. Directions in which no class varies are left out, as in
    scikit-learn's `LinearDiscriminantAnalysis(solver="lsqr")`.
    """
    _check(moments)
    within = (moments.scatter - moments.between) / moments.n
    inverse = _inverse(within, moments.covariance)
    # Seen from the mean of all rows, where the squares are small and lose nothing.
    away = _present(moments)[1] - moments.mean
    coefficients = away @ inverse
    intercepts = -(coefficients * away).sum(1) / 2 + (moments.class_n / moments.n).log()
    return _seen_from(moments, coefficients, intercepts)


def _inverse(within: Tensor, covariance: Tensor) -> Tensor:
    """The pseudo-inverse of a covariance within classes, [d, d].

    It is a difference of two matrices of the size of the whole covariance, whose rounding must not
    be inverted: an eigenvalue no larger than that, on either side of zero, is a zero.
    """
    variance, axes = torch.linalg.eigh(within)
    rounding = len(within) * torch.finfo(within.dtype).eps * torch.linalg.matrix_norm(covariance, 2)
    inverse = torch.where(variance > rounding, 1 / variance, 0.0)
    return axes * inverse @ axes.T


def nearest_mean(moments: Moments) -> Linear:
    """The class whose mean is nearest: scores are minus half the squared distance, shifted."""
    _check(moments)
    away = _present(moments)[1] - moments.mean
    return _seen_from(moments, away, _closed(moments, -away.square().sum(1) / 2))


def difference_of_means(moments: Moments) -> Linear:
    """Each class against the rest: along the line from the mean of the rest to its own (the
    mass-mean probe, Marks & Tegmark 2023, arXiv 2310.06824), zero halfway.

    For two classes it decides as `nearest_mean` does.
    """
    _check(moments)
    present, means = _present(moments)
    n = torch.where(present, moments.class_n, 0.0)[:, None]
    rest = (moments.sum - moments.class_sums) / (moments.n - n).clamp(min=1)
    direction = means - rest
    middle = (means + rest) / 2 - moments.mean
    intercepts = -(direction * middle).sum(1)
    return _seen_from(moments, direction, _closed(moments, intercepts))


def _check(moments: Moments) -> None:
    if len(moments.class_n) < 2:
        raise InputError("A probe needs the sums of at least two classes in its moments.")
    classed = int(moments.class_n.sum())
    if classed != moments.n:
        raise InputError(
            f"{moments.n - classed} of {moments.n} rows have no class; gather the moments of the "
            "labelled rows alone."
        )


def _present(moments: Moments) -> tuple[Tensor, Tensor]:
    """Which classes have rows [class], and their means [class, d]; the others' is the mean of all,
    which never decides, since `_closed` rules them out."""
    present = moments.class_n > 0
    means = torch.where(present[:, None], moments.class_means, moments.mean)
    return present, means


def _closed(moments: Moments, intercepts: Tensor) -> Tensor:
    return intercepts.masked_fill(moments.class_n == 0, -torch.inf)


def _seen_from(moments: Moments, coefficients: Tensor, intercepts: Tensor) -> Linear:
    """From rows as they are, where the scores were made for rows less their mean."""
    return Linear(coefficients, intercepts - coefficients @ moments.mean)
