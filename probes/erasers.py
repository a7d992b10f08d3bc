"""Affine maps after which no linear classifier finds a concept, or which only pretend to.

- `leace`: the smallest change, in mean square, after which all classes have one mean, and so no
  linear classifier beats a constant (Belrose et al. 2023, arXiv 2306.03819, theorem 4.2).
- `inlp`: take out the directions of a linear classifier, fit another, and so on (Ravfogel et al.
  2020, arXiv 2004.07667); here with least squares, which follows from moments.
- `random_eraser`: takes out a random subspace: what losing so many dimensions does by itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from interp.activations import Moments
from interp.errors import InputError

_TOLERANCE = 1e-8  # of the largest singular value or variance; below it is rounding


@dataclass(frozen=True)
class Eraser:
    """x -> x - left right (x - mean), with right left = I: a projection around the mean.

    Attributes:
        mean: [d].
        left, right: [d, rank] and [rank, d], float64.
    """

    mean: Tensor
    left: Tensor
    right: Tensor

    @property
    def rank(self) -> int:
        """How many dimensions are lost."""
        return self.left.shape[1]

    def __call__(self, x: Tensor) -> Tensor:
        """[..., d] -> the same shape and precision."""
        mean, left, right = (part.to(x) for part in (self.mean, self.left, self.right))
        return x - (x - mean) @ right.T @ left.T

    def of_moments(self, moments: Moments) -> Moments:
        """The moments of the rows after erasing, from those before."""
        d = len(self.mean)
        kept = torch.eye(d, dtype=self.left.dtype, device=self.left.device) - self.left @ self.right
        sums = moments.class_sums - moments.class_n[:, None] * self.mean
        return Moments(
            moments.n,
            self(moments.mean),
            kept @ moments.scatter @ kept.T,
            moments.class_n,
            sums @ kept.T + moments.class_n[:, None] * self.mean,
        )


def leace(moments: Moments) -> Eraser:
    """Least-squares concept erasure: P = W^+ U U' W with W = C^(-1/2) of the covariance C, and U an
    orthonormal basis of the columns of W times the covariance of rows and class indicators.

    Raises:
        InputError: rows without a class, or fewer than two classes.
    """
    covariance = _with_classes(moments)
    variance, axes = torch.linalg.eigh(moments.covariance)
    kept = variance > _TOLERANCE * variance[-1].clamp(min=1e-300)
    axes, scale = axes[:, kept], variance[kept].sqrt()
    whitened = (axes / scale).T @ covariance.T  # [kept, class], in the principal axes
    basis = _columns(whitened, int((moments.class_n > 0).sum()) - 1)
    return Eraser(moments.mean, axes * scale @ basis, basis.T @ (axes / scale).T)


def inlp(moments: Moments, iterations: int) -> list[Eraser]:
    """Iterative null-space projection: the eraser after each iteration, of growing rank.

    It ends early where nothing is left that least squares could use.

    Raises:
        InputError: as for `leace`.
    """
    _with_classes(moments)
    d = len(moments.mean)
    taken = moments.mean.new_zeros(d, 0)
    found: list[Eraser] = []
    for _ in range(iterations):
        left = Eraser(moments.mean, taken, taken.T).of_moments(moments)
        weights = _least_squares(left)
        n_classes = int((moments.class_n > 0).sum())
        # Once more against what is taken, so that rounding does not add up.
        weights = weights - taken @ (taken.T @ weights)
        new = _columns(weights, min(n_classes - 1, d - taken.shape[1]))
        if not new.shape[1]:
            break
        taken = torch.cat([taken, new], 1)
        found.append(Eraser(moments.mean, taken, taken.T))
    return found


def random_eraser(moments: Moments, rank: int, seed: int) -> Eraser:
    """Takes out a subspace that is drawn uniformly.

    Raises:
        InputError: a rank that is not from 0 to d.
    """
    d = len(moments.mean)
    if not 0 <= rank <= d:
        raise InputError(f"A rank of {rank} cannot be taken out of {d} dimensions.")
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randn(d, rank, generator=generator, dtype=torch.float64)
    basis = torch.linalg.qr(drawn)[0].to(moments.mean)
    return Eraser(moments.mean, basis, basis.T)


def _with_classes(moments: Moments) -> Tensor:
    """The covariance of class indicators and rows, [class, d]."""
    if int((moments.class_n > 0).sum()) < 2:
        raise InputError("There are fewer than two classes in the moments: nothing to erase.")
    if int(moments.class_n.sum()) != moments.n:
        raise InputError("Some rows have no class; gather the moments of the labelled rows alone.")
    return (moments.class_sums - moments.class_n[:, None] * moments.mean) / moments.n


def _least_squares(moments: Moments) -> Tensor:
    """The weights of the regression of class indicators on rows, [d, class]."""
    covariance = _with_classes(moments)
    variance, axes = torch.linalg.eigh(moments.covariance)
    kept = variance > _TOLERANCE * variance[-1].clamp(min=1e-300)
    axes = axes[:, kept]
    weights = (axes / variance[kept]) @ (axes.T @ covariance.T)
    # A share of the variance so small is what rounding leaves of nothing.
    explained = (weights * covariance.T).sum()
    return weights if float(explained) > _TOLERANCE else torch.zeros_like(weights)


def _columns(matrix: Tensor, most: int) -> Tensor:
    """An orthonormal basis of the column space [d, rank], of a matrix [d, k] of a known rank."""
    left, values, _ = torch.linalg.svd(matrix, full_matrices=False)
    rank = int((values > _TOLERANCE * values[:1].clamp(min=1e-300)).sum())
    basis: Tensor = left[:, : min(rank, most)]
    return basis
